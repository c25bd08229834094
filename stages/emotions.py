"""Let a classifier, trained on real clips, say which emotions generated ones show: `metrics/emotions.json`, and details.

Each system is judged by the classifier of the faces that it sees. Both are empty where the corpus could teach none.
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
    rows, summary, details = compared(DATA), {}, {}
    trained = {faces: load(DATA / "trained" / f"emotion_classifier@{faces}") for faces in {row.faces for row in rows}}
    judges = {faces: partial(recognise, found[0]) for faces, found in trained.items() if found}
    if judges:
        clips = tested_clips(rows, DATA, p.evaluation.split)
        judged = [row for row in rows if row.faces in judges]
        table = recognised_emotions(judges, DATA, judged, clips["emotion"])
        by_split = dict(list(table.groupby(table["clip"].map(clips["split"]))))
        samples = p.evaluation.bootstrap_samples
        details = {
            split: {
                "figures": summarise_emotions(found),
                "details": emotion_details(found, clips["subject"], p.seed, samples),
            }
            for split, found in by_split.items()
        }
        summary = details[p.evaluation.split]["figures"] if p.evaluation.split in details else {}
    write_json(Path("metrics/emotions.json"), summary)
    write_json(DATA / "emotions.json", details)


if __name__ == "__main__":
    main()
