"""Measure every system and reference on the test splits: `metrics/evaluation.json` and per-clip tables."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline import parameters
from pipeline.corpus.shards import Shards
from pipeline.corpus.tables import Tables, read_landmarks, write_table
from pipeline.corpus.workers import each
from pipeline.errors import UserError, one_line_errors
from pipeline.evaluation.blinks import compare_blinks
from pipeline.evaluation.evaluate import counts, evaluate_systems, intervals, signature, summarise
from pipeline.evaluation.motion import summarise_motion

REFERENCES = ("static", "ground_truth", "ground_truth_reencoded", "ground_truth_delayed")
SYSTEMS = (
    *REFERENCES,
    *("speech_without_fm", "speech", "landmark", "speech_landmark"),
    *("atvgnet", "identity_preserving", "atvgnet_true_landmarks", "identity_preserving_true_landmarks"),
)


def evaluate(clip: str, detection_size: int) -> tuple[list[dict], dict[str, np.ndarray]]:
    truth = Shards(Path("data/alignment/crops"))[clip]
    generated = {system: Shards(Path("data/synthesis") / system / "frames")[clip] for system in SYSTEMS}
    return evaluate_systems(truth, generated, detection_size)


@one_line_errors
def main() -> None:
    p = parameters.load()
    clips = pd.read_parquet("data/clips/clips.parquet").set_index("clip")
    crops = Shards(Path("data/alignment/crops"))
    tested = sorted(Shards(Path("data/synthesis/static/frames")))
    if p.evaluation.split not in set(clips.loc[tested, "split"]):
        raise UserError(
            f"params.yaml: evaluation.split: no clip is left in {p.evaluation.split}; choose the other test split"
        )
    rows, openings = [], []
    work = partial(evaluate, detection_size=p.evaluation.detection_size)
    results = dict(each(work, tested, "evaluation", p.compute.workers))
    for clip in tested:
        measured, opening = results[clip]
        about = {"clip": clip, **clips.loc[clip, ["split", "subject", "sentence", "emotion"]]}
        rows += [about | row for row in measured]
        openings += [pd.DataFrame({"clip": clip, "system": s, "opening": values}) for s, values in opening.items()]
    table = pd.DataFrame(rows)
    out = Path("data/evaluation")
    write_table(table, out / "clips.parquet")
    write_table(pd.concat(openings), out / "mouth_opening.parquet")
    Path("metrics").mkdir(exist_ok=True)
    for split, of_split in table.groupby("split"):
        details = {
            "split": split,
            "clips": of_split["clip"].nunique(),
            "n": counts(of_split),
            "means": summarise(of_split),
            "intervals": intervals(of_split, p.seed, p.evaluation.bootstrap_samples),
            "by_emotion": {emotion: summarise(rows) for emotion, rows in of_split.groupby("emotion")},
            "by_subject": {subject: summarise(rows) for subject, rows in of_split.groupby("subject")},
            "signature": signature(crops[tested[0]].shape[1], p.evaluation.detection_size),
        }
        write_json(out / f"{split}.json", details)
        if split == p.evaluation.split:
            write_json(Path("metrics/evaluation.json"), details["means"])
    of_split = [clip for clip in tested if clips.loc[clip, "split"] == p.evaluation.split]
    truth = Tables(Path("data/alignment/landmarks"))
    files = {system: Path("data/synthesis") / system / "landmarks.parquet" for system in SYSTEMS}
    predicted = {system: read_landmarks(path) for system, path in files.items() if path.exists()}
    motion = summarise_motion({clip: truth.landmarks(clip) for clip in of_split}, predicted, p.corpus.fps)
    write_json(Path("metrics/landmarks.json"), motion)
    blinks, found = compare_blinks(p, Path("data"))
    write_json(Path("metrics/blink.json"), blinks)
    write_json(
        out / "blinks.json", {name: {k: v.tolist() for k, v in b._asdict().items()} for name, b in found.items()}
    )
    print(pd.DataFrame(summarise(table[table["split"] == p.evaluation.split])).T.to_string(float_format="%.4f"))


def write_json(path: Path, content: dict) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
