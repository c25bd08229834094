"""What became of a corpus's clips on their way to training, in numbers."""

from pathlib import Path

import pandas as pd

STAGES = ("clips", "landmarks", "alignment", "audio_features")


def summarise_preprocessing(data: Path) -> dict:
    """Counts of clips by split, of rejections by stage and reason, frames, and the share of frames with a face."""
    clips = pd.read_parquet(data / "clips" / "clips.parquet")
    rejected = pd.concat([pd.read_parquet(data / stage / "rejected.parquet") for stage in STAGES])
    frames = pd.read_parquet(data / "landmarks" / "landmarks.parquet", columns=["has_face"])
    reasons = (rejected["stage"] + "." + rejected["reason"]).value_counts().sort_index()
    return {
        "clips": len(clips) + int((rejected["stage"] == "clips").sum()),
        "rejected": int(rejected["clip"].nunique()),
        "rejections": {reason: int(count) for reason, count in reasons.items()},
        "split": {split: int(count) for split, count in clips["split"].value_counts().sort_index().items()},
        "subjects": int(clips["subject"].nunique()),
        "frames": len(frames),
        "face_share": round(float(frames["has_face"].mean()), 6),
    }
