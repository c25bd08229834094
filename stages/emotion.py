"""Train the emotion-conditioned system; a corpus without labels of emotions has none."""

from pathlib import Path

from pipeline import parameters
from pipeline.errors import one_line_errors
from pipeline.training.emotion import NoEmotions, leave_untrained, train


@one_line_errors
def main() -> None:
    data, losses = Path("data"), Path("metrics/losses")
    files = losses / "emotion.csv", losses / "emotion_warm_up.csv"
    try:
        train(parameters.load(), data, *files)
    except NoEmotions as reason:
        print(f"emotion: skipped: {reason}")
        leave_untrained(data, *files)


if __name__ == "__main__":
    main()
