"""What became of a corpus's clips on their way to training: figures, and one page to look at."""

from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.corpus.about import read_about
from pipeline.corpus.incremental import read_done
from pipeline.corpus.shards import Shards
from pipeline.corpus.tables import Tables
from pipeline.errors import ClipRejected
from pipeline.features.action_units.units import AUS, NAMES
from pipeline.report.by_clip import MEASURES, figures_by_clip, sync_check, worst
from pipeline.report.page import Section, address, gallery, write_page
from pipeline.report.pictures import contact_sheet, histograms, save_image, thumbnail, with_landmarks
from pipeline.video import stream_frames

# By their folders in data/, without those of alignment, of which there is one for each of the faces.
STAGES = ("landmarks", "heatmaps", "action_units", "audio_features", "character_features")
# The worst clips: how many, every how many frames, and how large each is drawn, in pixels.
WORST_CLIPS, SHEET_STEP, SHEET_SIZE = 8, 5, 160
NAMED = 5  # clips at the end of each scale
# Rejected clips that are shown: so many for each reason and in all, with so many pictures each, so many frames apart.
PER_REASON, MOST_SHOWN, PICTURES, PICTURE_STEP = 4, 24, 12, 10
# Sound and picture of one clip may differ by this much in length, in seconds, without being counted.
SAME_LENGTH_S = 0.2


def stages_of(faces: list[str]) -> list[str]:
    """All stages that clips came through, by their folders in data/."""
    return [*STAGES[:1], *(f"alignment/{name}" for name in faces), *STAGES[1:]]


def done_tables(data: Path, faces: list[str]) -> dict[str, pd.DataFrame]:
    """What became of each clip in each stage: a row per clip with its figures."""
    tables = {stage: pd.DataFrame(read_done(stage, data)).set_index("clip") for stage in stages_of(faces)}
    for table in tables.values():  # a figure that no clip has is a column of None
        figures = table.columns.difference(["key", "reason", "detail"])
        table[figures] = table[figures].apply(pd.to_numeric)
    return tables


def rejected_clips(data: Path, faces: list[str]) -> pd.DataFrame:
    """All rejected clips: clip, stage, reason, detail."""
    return pd.concat([pd.read_parquet(data / stage / "rejected.parquet") for stage in ("clips", *stages_of(faces))])


def usable_clips(data: Path, faces: list[str]) -> pd.DataFrame:
    """The clips that came through every stage, for all of the faces: clip, subject, sentence, emotion, level, split."""
    clips = pd.read_parquet(data / "clips" / "clips.parquet")
    usable = set.intersection(
        *(set(table.index[table["reason"].isna()]) for table in done_tables(data, faces).values())
    )
    described = clips[["clip", "subject", "sentence", "emotion", "level", "split"]]
    return described[described["clip"].isin(usable)].reset_index(drop=True)


def summarise_preprocessing(
    data: Path, faces: list[str], fps: float, action_units_backend: str, sync: pd.DataFrame
) -> dict[str, object]:
    """Counts of clips and rejections; faces, jitter, blinks, action units, sound, sync; frames per second and process.

    sync: as by `sync_by_clip`. jitter: mean acceleration of rigid landmarks in % of the eyes' distance per frame²; aligned: of
    the first of the faces. seconds: of a clip; eye_distance: the eyes' in the video, in pixels.
    """
    clips = pd.read_parquet(data / "clips" / "clips.parquet")
    rejected, done = rejected_clips(data, faces), done_tables(data, faces)
    reasons = (rejected["stage"] + "." + rejected["reason"]).value_counts().sort_index()
    detected, aligned, audio = done["landmarks"], done[f"alignment/{faces[0]}"], done["audio_features"]
    units = done["action_units"]
    # As decoded: the lengths that containers state are often those of the longer of the two.
    gap = (audio["frames"] / fps - audio["seconds_of_audio"]).abs()
    about_characters = read_about(data / "character_features")
    characters = about_characters | about_characters["characters"]
    seen = units["frames"].sum() - units["frames_missing"].sum()
    return _rounded(
        {
            "clips": len(clips) + int((rejected["stage"] == "clips").sum()),
            "rejected": int(rejected["clip"].nunique()),
            "rejections": {reason: int(count) for reason, count in reasons.items()},
            "split": {split: int(count) for split, count in clips["split"].value_counts().sort_index().items()},
            "subjects": int(clips["subject"].nunique()),
            "frames": int(aligned["frames"].sum()),
            "seconds": _spread(aligned["frames"] / fps),
            "eye_distance": _spread(detected["eye_distance"]),
            "face_share": detected["frames_with_face"].sum() / detected["frames"].sum(),
            "several_faces_share": detected["frames_with_several"].sum() / detected["frames"].sum(),
            "jitter": {stage: 100 * aligned[f"jitter_{stage}"].mean() for stage in ("raw", "smoothed", "aligned")},
            "blinks": {
                "per_second": aligned["blinks"].sum() / aligned["frames"].sum() * fps,
                "amplitude_kept": aligned["blink_amplitude_kept"].mean(),
            },
            "action_units": {
                "backend": action_units_backend,
                "missing": units["frames_missing"].sum() / units["frames"].sum(),
                **{f"AU{au:02d}": units[f"frames_AU{au:02d}"].sum() / seen for au in AUS},
            },
            "audio": {
                "hours": audio["seconds_of_audio"].sum() / 3600,
                "voiced_share": audio["voiced_share"].mean(),
                "silent_share": audio["silent_share"].mean(),
                "clipped_clips": int((audio["clipped_share"] > 0.001).sum()),
                "longer_or_shorter_than_video": int((gap > SAME_LENGTH_S).sum()),
            },
            "character_features": {
                key: characters[key] for key in ("backend", "character_error_rate") if key in characters
            },
            "sync": sync_check(sync),
            "frames_per_second_and_process": {
                stage: table["frames"].sum() / table["seconds"].sum() for stage, table in done.items()
            },
        }
    )


def _spread(values: pd.Series) -> dict[str, float]:
    return {"least": values.min(), "median": values.median(), "most": values.max()}


def _rounded(value: object) -> object:
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    if isinstance(value, float):
        return None if np.isnan(value) else float(f"{value:.5g}")
    return value


def worst_clips(data: Path, faces: list[str]) -> list[str]:
    """The clips to look at first: most frames without a face, then most jitter."""
    done = done_tables(data, faces)
    table = done[f"alignment/{faces[0]}"].join(done["landmarks"]["frames_with_face"])
    table = table[table["reason"].isna()]
    table["missing"] = 1 - table["frames_with_face"] / table["frames"]
    return list(table.sort_values(["missing", "jitter_raw"], ascending=False).index[:WORST_CLIPS])


def rejected_pictures(data: Path, faces: list[str], fps: float) -> dict[str, np.ndarray]:
    """What some of the rejected clips show, a few for each reason: "clip: reason" → uint8 (T, S, S, 3).

    Those that the table of clips has are shown; of the others, nothing could be opened.
    """
    videos = pd.read_parquet(data / "clips" / "clips.parquet").set_index("clip")["video"]
    rejected = rejected_clips(data, faces)
    rejected = rejected[rejected["clip"].isin(videos.index)].groupby(["stage", "reason"]).head(PER_REASON)
    rows = {}
    for row in rejected.head(MOST_SHOWN).itertuples():
        pictures = []
        try:
            for frame in islice(stream_frames(Path(videos[row.clip]), fps), 0, PICTURES * PICTURE_STEP, PICTURE_STEP):
                pictures.append(thumbnail(frame))
        except ClipRejected:  # damaged: what comes before is shown
            pass
        if pictures:
            rows[f"{row.clip}: {row.reason}"] = np.stack(pictures)
    return rows


def make_page(data: Path, faces: list[str], out: Path, summary: dict, sync: pd.DataFrame, fps: float) -> None:
    """Write to `out` index.html and its pictures: the worst clips, those that were rejected, and how all are distributed."""
    aligned, done = f"alignment/{faces[0]}", done_tables(data, faces)
    crops, landmarks = Shards(data / aligned / "crops"), Tables(data / aligned / "landmarks")
    shown = {
        clip: with_landmarks(crops[clip][::SHEET_STEP], landmarks.landmarks(clip)[::SHEET_STEP], SHEET_SIZE)
        for clip in worst_clips(data, faces)
    }
    save_image(out / "worst.png", contact_sheet(shown, 1, max_columns=6, size=SHEET_SIZE))
    if pictures := rejected_pictures(data, faces, fps):
        save_image(out / "rejected.png", contact_sheet(pictures, 1))
    figures = figures_by_clip(done["landmarks"], done[aligned], done["audio_features"], sync, fps)
    histograms(out / "clips.png", {MEASURES[name].label: figures[name].dropna() for name in MEASURES})
    least = {MEASURES[name].label: worst(figures, name, NAMED).to_dict() for name in MEASURES}
    ends = {"distributions": address(out, out / "clips.png"), "worst": least}
    rejected = {
        "reasons": summary["rejections"],
        "clips": rejected_clips(data, faces).head(200).to_dict("records"),
        "sheet": address(out, out / "rejected.png") if pictures else None,
    }
    drawn = {"Frames with their landmarks": out / "worst.png"}
    sections = [
        Section("What is in them", "preprocessing", {"s": summary, "names": NAMES}),
        Section("The clips", "clips", ends),
        gallery(out, "The worst landmarks", drawn, "Most frames without a face, then most jitter before smoothing."),
        Section("Rejected", "rejected", rejected),
    ]
    with_face, several = (100 * summary[f"{share}_share"] for share in ("face", "several_faces"))
    about = (
        f"{summary['clips']} clips of {summary['subjects']} subjects, {summary['rejected']} rejected; {summary['frames']} "
        f"frames, a face in {with_face:.2f} % of them, several in {several:.2f} %."
    )
    write_page(out, "Preprocessing", [about], sections)
