"""Let a classifier, trained on real clips, say which emotions generated ones show: `metrics/emotions.json`, and details.

Both are empty where the corpus could teach no classifier.
"""

from functools import partial
from pathlib import Path

from pipeline import parameters
from pipeline.errors import one_line_errors
from pipeline.evaluation.emotion import emotion_details, recognised_emotions, summarise_emotions
from pipeline.evaluation.emotion_classifier.use import load, recognise
from pipeline.evaluation.generated import compared, tested_clips, write_json

DATA = Path("data")


@one_line_errors
def main() -> None:
    p = parameters.load()
    trained = load(DATA / "trained" / "emotion_classifier")
    summary, details = {}, {}
    if trained:
        clips = tested_clips(DATA, p.evaluation.split)
        table = recognised_emotions(
            partial(recognise, trained[0]), DATA / "synthesis", compared(DATA), clips["emotion"]
        )
        by_split = dict(list(table.groupby(table["clip"].map(clips["split"]))))
        samples = p.evaluation.bootstrap_samples
        details = {
            split: {"figures": summarise_emotions(rows), "details": emotion_details(rows, p.seed, samples)}
            for split, rows in by_split.items()
        }
        summary = details[p.evaluation.split]["figures"] if p.evaluation.split in details else {}
    write_json(Path("metrics/emotions.json"), summary)
    write_json(DATA / "emotions.json", details)


if __name__ == "__main__":
    main()
