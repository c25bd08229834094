"""Measure every system and reference on the test splits: `metrics/evaluation.json` and per-clip tables."""

import json
from functools import cache, partial
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline import parameters
from pipeline.corpus.shards import Shards
from pipeline.corpus.tables import Tables, read_landmarks, write_table
from pipeline.corpus.workers import each
from pipeline.errors import ClipRejected, UserError, one_line_errors
from pipeline.evaluation.au_recognition import recognition_scores
from pipeline.evaluation.blinks import compare_blinks
from pipeline.evaluation.emotion import emotion_details, recognised_emotions, summarise_emotions
from pipeline.evaluation.evaluate import (
    Measured,
    action_unit_details,
    counts,
    evaluate_systems,
    intervals,
    pooled_intervals,
    pooled_metrics,
    signature,
    summarise,
)
from pipeline.evaluation.motion import summarise_motion
from pipeline.evaluation.silence import compare_silence, summarise_silence
from pipeline.training import audio_au, emotion, emotion_classifier

SYNTHESIS, DETECTION = Path("data/synthesis"), Path("data/detection")
REFERENCES = ("static", "ground_truth", "ground_truth_reencoded", "ground_truth_delayed")
# In the order of tables and charts; those that were not synthesised are left out.
SYSTEMS = (
    *REFERENCES,
    *("speech_without_fm", "speech", "landmark", "speech_landmark"),
    *("atvgnet", "identity_preserving", "atvgnet_true_landmarks", "identity_preserving_true_landmarks"),
    *("audio_au", "emotion"),
)

shards = cache(Shards)  # opened once per process


def evaluate(clip: str, systems: list[str], template: np.ndarray, fps: float) -> tuple[dict[str, Measured], list[dict]]:
    """What is measured of a clip by system; and of its photo in silence, a row by system, if it is one of those."""
    generated = {system: shards(SYNTHESIS / system / "frames")[clip] for system in systems}
    landmarks = {system: shards(DETECTION / system / "frames")[clip] for system in systems}
    measured = evaluate_systems(generated, landmarks, template, fps)
    silences = {s: shards(DETECTION / s / "silence") for s in systems if (DETECTION / s / "silence").exists()}
    silent = {s: found[clip] for s, found in silences.items() if clip in found}
    photo = landmarks["ground_truth"][0]
    judged = ["ground_truth", *silent] if silent else []
    rows = [{"system": s} | compare_silence(photo, silent.get(s), landmarks[s]) for s in judged]
    return measured, rows


@one_line_errors
def main() -> None:
    p = parameters.load()
    clips = pd.read_parquet("data/clips/clips.parquet").set_index("clip")
    systems = [system for system in SYSTEMS if (SYNTHESIS / system / "frames").exists()]
    static = shards(SYNTHESIS / "static" / "frames")
    tested = sorted(static)
    if p.evaluation.split not in set(clips.loc[tested, "split"]):
        raise UserError(
            f"params.yaml: evaluation.split: no clip is left in {p.evaluation.split}; choose the other test split"
        )
    template, image_size = np.load("data/alignment/template.npy"), static[tested[0]].shape[1]
    work = partial(evaluate, systems=systems, template=template, fps=p.corpus.fps)
    results = dict(each(work, tested, "evaluation", p.compute.workers))
    rows, openings, silences = [], [], []
    for clip in tested:
        if isinstance(results[clip], ClipRejected):
            raise UserError(f"data/synthesis: {clip}: {results[clip]}; `dvc repro` tries again")
        measured, silent = results[clip]
        about = {"clip": clip, **clips.loc[clip, ["split", "subject", "sentence", "emotion"]]}
        rows += [about | {"system": system} | measured[system].metrics for system in systems]
        silences += [about | row for row in silent]
        openings += [
            pd.DataFrame({"clip": clip, "system": system, "opening": measured[system].opening}) for system in systems
        ]
    table, silence = pd.DataFrame(rows), pd.DataFrame(silences)
    out = Path("data/evaluation")
    write_table(table, out / "clips.parquet")
    write_table(silence, out / "silence.parquet")
    write_table(pd.concat(openings), out / "mouth_opening.parquet")
    Path("metrics").mkdir(exist_ok=True)
    for split, of_split in table.groupby("split"):
        by_system = {s: [results[clip][0][s] for clip in tested if clips.loc[clip, "split"] == split] for s in systems}
        means, limits = summarise(of_split), intervals(of_split, p.seed, p.evaluation.bootstrap_samples)
        for system, measured in by_system.items():
            means[system] |= pooled_metrics(measured, p.corpus.fps)
            limits[system] |= pooled_intervals(measured, p.seed, p.evaluation.bootstrap_samples)
        details = {
            "split": split,
            "clips": of_split["clip"].nunique(),
            "n": counts(of_split),
            "means": means,
            "intervals": limits,
            "action_units": {system: action_unit_details(measured) for system, measured in by_system.items()},
            "by_emotion": {emotion: summarise(rows) for emotion, rows in of_split.groupby("emotion")},
            "by_subject": {subject: summarise(rows) for subject, rows in of_split.groupby("subject")},
            "signature": signature(image_size, p.evaluation.detection_size),
        }
        write_json(out / f"{split}.json", details)
        if split == p.evaluation.split:
            write_json(Path("metrics/evaluation.json"), means)
            of_silence = silence[silence["split"] == split] if len(silence) else silence
            write_json(Path("metrics/silence.json"), summarise_silence(of_silence) if len(of_silence) else {})
            print(pd.DataFrame(means).T.to_string(float_format="%.4f"))
    of_split = [clip for clip in tested if clips.loc[clip, "split"] == p.evaluation.split]
    truth = Tables(Path("data/alignment/landmarks"))
    files = {system: SYNTHESIS / system / "landmarks.parquet" for system in systems}
    predicted = {system: read_landmarks(path) for system, path in files.items() if path.exists()}
    motion = summarise_motion({clip: truth.landmarks(clip) for clip in of_split}, predicted, p.corpus.fps)
    write_json(Path("metrics/landmarks.json"), motion)
    blinks, found = compare_blinks(p, Path("data"))
    write_json(Path("metrics/blink.json"), blinks)
    write_json(
        out / "blinks.json", {name: {k: v.tolist() for k, v in b._asdict().items()} for name, b in found.items()}
    )
    write_json(Path("metrics/action_units.json"), recognition_scores(Path("data")))
    write_json(Path("metrics/perceptual.json"), perceptual_origins(Path("data"), systems))
    write_emotions(out, systems, clips.loc[tested], p.evaluation.split, p.seed, p.evaluation.bootstrap_samples)


def perceptual_origins(data: Path, systems: list[str]) -> dict[str, dict[str, str] | None]:
    """By what features each system with a perceptual loss was trained; None where its weight was 0."""
    trained = {"audio_au": audio_au, "emotion": emotion}
    return {
        system: module.load(data / "end_to_end" / system)[1]["perceptual"]
        for system, module in trained.items()
        if system in systems
    }


def write_emotions(out: Path, systems: list[str], clips: pd.DataFrame, split: str, seed: int, samples: int) -> None:
    """metrics/emotion.json and `out`/emotion.json: empty where the corpus could teach no classifier."""
    trained = emotion_classifier.load(Path("data/emotion_classifier"))
    summary, details = {}, {}
    if trained:
        recognise = partial(emotion_classifier.recognise, trained[0])
        table = recognised_emotions(recognise, SYNTHESIS, systems, clips["emotion"])
        write_table(table, out / "emotion.parquet")
        by_split = dict(list(table.groupby(table["clip"].map(clips["split"]))))
        summary = summarise_emotions(by_split[split])
        details = {
            name: {"figures": summarise_emotions(rows), "details": emotion_details(rows, seed, samples)}
            for name, rows in by_split.items()
        }
    write_json(Path("metrics/emotion.json"), summary)
    write_json(out / "emotion.json", details)


def write_json(path: Path, content: dict) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
