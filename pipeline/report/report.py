"""Gather the evaluation's figures, the pictures and the clips into `data/report/`."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.corpus.layouts import EMOTIONS
from pipeline.corpus.shards import Shards
from pipeline.evaluation.action_units import SPEECH_AUS
from pipeline.evaluation.by_clip import CLIPS, TRACKS
from pipeline.evaluation.generated import Compared, about_faces, compared, truth_of
from pipeline.features.blinks import Blinks
from pipeline.papers.registry import PAPERS, SYSTEMS, paper
from pipeline.report import definitions
from pipeline.report.comparison import signs
from pipeline.report.definitions import METRICS, Metric
from pipeline.report.page import (
    Figures,
    Section,
    Take,
    figures,
    gallery,
    leaderboard,
    players,
    undefined,
    worst_clips,
    write_page,
)
from pipeline.report.pictures import (
    COLOURS,
    bar_chart,
    blink_distributions,
    confusion_matrices,
    contact_sheet,
    loss_curves,
    opening_curves,
    save_image,
    with_header,
)
from pipeline.report.run import read_run
from pipeline.training.trained import read_card

GRID_ROWS = 6  # subjects whose faces are shown in every emotion


def make_report(data: Path, metrics: Path, split: str, common_size: int, step: int, n_clips: int) -> None:
    """Write data/report: index.html, and beside it contact sheets, charts, and clips with the landmarks found in them.

    split: whose clips are shown: n_clips of them, and those in which some system is worst by some metric.
    """
    out, run = data / "report", read_run(data.parent)
    rows = [row for row in compared(data) if row.of in COLOURS]
    details, common = (read_json(data / "evaluation" / f"{split}{size}.json") for size in ("", "_common_size"))
    clips = pd.read_parquet(data / "usable_clips.parquet").set_index("clip")
    clips = clips.loc[[clip for clip in rows[0].frames(data) if clips.loc[clip, "split"] == split]]
    values = figures_of_clips(data, rows, list(clips.index))
    shown = _spread(list(clips.index), n_clips)
    played = sorted({*shown, *worst_clips(values)})
    fps = about_faces(rows[0].faces, data)["fps"]

    sections = [
        leaderboard(
            "Systems and metrics",
            details["means"],
            details["intervals"],
            signs(run, run.clips.index[run.clips["split"] == split]),
            [row.name for row in rows if row.of != "ground_truth"],
            list(next(iter(values.values()))[rows[0].name]),
            notes=notes(data, details, common, rows, common_size),
        ),
        players(
            out,
            {clip: takes(data, rows, clip) for clip in played},
            {row.name: truth_of(row, rows).name for row in rows},
            fps,
            {clip: values[clip] for clip in played},
        ),
        common_section(details, common, common_size),
        charts(data, out, rows, details, shown[0], fps),
        figures(
            "Landmarks that speech predicts",
            "Against those of the real clips, before any texture; `static` keeps the first frame's.",
            read_json(metrics / "landmarks.json"),
            definitions.MOTION,
        ),
        action_units(details, read_json(metrics / "recognition.json")),
        silence(data, metrics, out, rows, set(clips.index), step, n_clips),
        emotions(data, out, rows, clips, split),
        maps(data, out, rows, shown[0]),
        contact_sheets(data, out, rows, shown, step),
        losses(metrics, out),
    ]
    summary = read_json(metrics / "preprocessing.json")
    about = [
        f"{summary['clips']} clips of {summary['subjects']} subjects, {summary['rejected']} rejected, {summary['frames']} "
        f"frames. Figures of the split {split}, means over {details['clips']} clips.",
        "Each system is compared with the truth of the faces that it sees, at its own size. `static` repeats the first frame: "
        "what a system must beat in LMD and mouth correlation. `ground_truth_reencoded` is the noise floor.",
    ]
    write_page(
        out,
        "Talking heads",
        about,
        [s for s in sections if s],
        [*run.missing, *missing(details, {s.title for s in sections if s})],
    )


def read_json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())


def figures_of_clips(data: Path, rows: list[Compared], clips: list[str]) -> dict[str, Figures]:
    """What was measured of each clip: clip → row's name → metric → value, None where it has none."""
    table = pd.read_parquet(data / "evaluation" / CLIPS).set_index(["clip", "system"])
    table = table[[key for key in METRICS if key in table]].astype(object)
    table = table.where(table.notna(), None)
    return {clip: {row.name: table.loc[(clip, row.name)].to_dict() for row in rows} for clip in clips}


def takes(data: Path, rows: list[Compared], clip: str) -> dict[str, Take]:
    """A clip as all rows have it, by their names; the first is the real one."""
    ordered = sorted(rows, key=lambda row: row.of != "ground_truth")
    return {
        row.name: Take(
            data / "videos" / row.folder / f"{clip}.mp4",
            row.found(data)[clip],
            about_faces(row.faces, data)["image_size"],
        )
        for row in ordered
    }


def notes(data: Path, details: dict, common: dict, rows: list[Compared], common_size: int) -> list[str]:
    """Small print of the first table: all that changes its figures."""
    lines = [" · ".join(f"{key}: {value}" for key, value in details["signature"].items())]
    for system, origin in perceptual_origins(data, [row.name for row in rows]).items():
        lines.append(f"Perceptual loss of {system}: {origin['weights']} weights of VGG-19 ({origin['detail']}).")
    if common["means"] == details["means"]:
        lines.append(f"All frames are of {common_size} px, the common size: there the figures are the same.")
    return lines


def common_section(details: dict, common: dict, common_size: int) -> Section | None:
    """The table at one size; None where all systems have that size by themselves."""
    if common["means"] == details["means"]:
        return None
    about = (
        f"The frames of every system, and the truth that it is compared with, brought to {common_size} px with their "
        "landmarks: PSNR, SSIM and LMD are of images of one size. How much of a crop a face fills, its transform still decides."
    )
    return leaderboard(f"All at {common_size} px", common["means"], common["intervals"], notes=[about])


def charts(data: Path, out: Path, rows: list[Compared], details: dict, clip: str, fps: float) -> Section:
    """Metrics as bars, one clip's mouths over time, and blinks."""
    colours = {row.name: COLOURS[row.of] for row in rows}
    bar_chart(out / "metrics.png", details["means"], details["intervals"], colours)
    openings = pd.read_parquet(data / "evaluation" / TRACKS)
    of_clip = openings[openings["clip"] == clip].groupby("system")["opening"]
    curves = {row.name: of_clip.get_group(row.name).to_numpy() for row in rows}
    opening_curves(
        out / "mouth_opening.png", curves, {row.name: curves[truth_of(row, rows).name] for row in rows}, colours, fps
    )
    blinks = read_json(data / "blinks.json")
    found = {name: Blinks(**{k: np.array(v) for k, v in fields.items()}) for name, fields in blinks.items()}
    blink_distributions(out / "blinks.png", found, fps)
    drawn = {
        "Metrics, with 95 % intervals": out / "metrics.png",
        f"Mouth opening in {clip}; grey: the real mouth": out / "mouth_opening.png",
        "Blinks: generated and real": out / "blinks.png",
    }
    return gallery(out, "Charts", drawn)


def losses(metrics: Path, out: Path) -> Section | None:
    """The losses of every paper that trained; None where none did."""
    drawn = {}
    for of_paper in PAPERS:
        tables = {
            name: pd.read_csv(metrics / "losses" / f"{of_paper}_{name}.csv") for name in paper(of_paper).trainings
        }
        tables = {name: table for name, table in tables.items() if len(table)}
        if tables:
            path = out / f"losses_{of_paper}.png"
            drawn[paper(of_paper).title.split(",")[0]] = path
            loss_curves(path, tables)
    return gallery(out, "Losses", drawn) if drawn else None


def action_units(details: dict, networks: dict) -> Section:
    """F1 and accuracy of each unit: of generated clips, and of the networks that recognise them in real ones."""
    units = [f"AU{au:02d}" for au in SPEECH_AUS]
    content = {"units": units, "systems": details["action_units"], "networks": networks}
    return Section("Action units", "action_units", content)


def silence(
    data: Path, metrics: Path, out: Path, rows: list[Compared], of_split: set[str], step: int, n_photos: int
) -> Section | None:
    """What mouths do while nobody speaks; None where nobody was shown silence."""
    found = read_json(metrics / "silence.json")
    if not found:
        return None
    about = (
        "Two photos of each subject, the mouth the most closed and the most open, while nobody speaks: it should keep still, "
        "as it is in the photo. Beside it what the same photos do in speech."
    )
    sheets = {path.stem: path for path in silence_sheets(data, out, rows, of_split, step, n_photos)}
    return figures("Silence", about, found, definitions.SILENCE, out, sheets)


def emotions(data: Path, out: Path, rows: list[Compared], clips: pd.DataFrame, split: str) -> Section | None:
    """What a classifier recognises; None where the clips have no labels. clips: the split's, with their subjects."""
    found = read_json(data / "emotions.json").get(split)
    if not found:
        return None
    conditioned = [row for row in rows if (data / "synthesis" / row.folder / "emotions").exists()]
    truths = [truth_of(row, rows).name for row in conditioned]
    # Real clips are judged where they are labelled.
    judged = [s for s in dict.fromkeys([*truths, *(row.name for row in conditioned)]) if s in found["details"]]
    drawn = {}
    if judged:
        drawn["What was recognised"] = out / "emotions.png"
        confusion_matrices(
            out / "emotions.png", {s: np.array(found["details"][s]["confusion"]) for s in judged}, EMOTIONS
        )
    for row in conditioned:
        one_each = _spread(list(clips["subject"].drop_duplicates().index), GRID_ROWS)
        drawn[f"{row.name}: one speech in every emotion"] = path = out / f"emotions_{row.name}.png"
        save_image(path, emotion_grid(data, row, truth_of(row, rows), one_each))
    recall = {e: Metric(e, 1, 3, f"Share of the clips that should be {e} in which it is recognised.") for e in EMOTIONS}
    about = (
        "As a classifier sees them that was trained on real clips only. `ground_truth` is its ceiling; chance is 0.167. "
        "Systems that no emotion conditions are judged by the photo's."
    )
    table = {system: row | row["recall"] for system, row in found["figures"].items()}
    return figures("Emotions", about, table, definitions.EMOTIONS | recall, out, drawn)


def maps(data: Path, out: Path, rows: list[Compared], clip: str) -> Section | None:
    """What systems draw anew in one clip; None where none composes its frames from the photo."""
    made = {row.name: data / "videos" / row.folder / "maps" / f"{clip}.png" for row in rows}
    made = {name: path for name, path in made.items() if path.exists()}
    if not made:
        return None
    (out / "maps").mkdir(parents=True, exist_ok=True)
    copied = {name: Path(shutil.copyfile(path, out / "maps" / f"{name}.png")) for name, path in made.items()}
    about = (
        f"Every fifth frame of {clip}; below it the colour map, and the map of change: white where a frame takes the "
        "colour map, black where it keeps the photo. (Sinha's attention map is its negative.)"
    )
    return gallery(out, "What is drawn anew, and where", copied, about)


def contact_sheets(data: Path, out: Path, rows: list[Compared], clips: list[str], step: int) -> Section:
    """Every `step`-th frame of some clips, a row per system."""
    sheets = {clip: out / "contact_sheets" / f"{clip}.png" for clip in clips}
    for clip, path in sheets.items():
        save_image(path, contact_sheet({row.name: row.frames(data)[clip] for row in rows}, step))
    return gallery(out, "Contact sheets", sheets)


def missing(details: dict, titles: set[str]) -> list[str]:
    """Sentences on what this page does not show, beside what the run itself lacks."""
    lines = []
    if empty := undefined(details["means"]):
        lines.append(f"No clip has a value of: {', '.join(metric.label for metric in empty)}.")
    if "Silence" not in titles:
        lines.append("Silence: no system was shown any.")
    if "Emotions" not in titles:
        lines.append("Emotions: no clip has a label that a judge could learn from.")
    return lines


def perceptual_origins(data: Path, systems: list[str]) -> dict[str, dict[str, str]]:
    """By what features each system with a perceptual loss was trained, as its card says."""
    cards = {system: read_card(data / "systems" / system) for system in systems if system in SYSTEMS}
    origins = {s: [about.get("perceptual") for about in card["networks"].values()] for s, card in cards.items()}
    return {system: next(filter(None, found)) for system, found in origins.items() if any(found)}


def silence_sheets(
    data: Path, out: Path, rows: list[Compared], of_split: set[str], step: int, n_photos: int
) -> list[Path]:
    """Every `step`-th frame of photos in silence: a sheet per photo, with itself as the first system sees it, and a row per
    system that was given any."""
    folders = {row: data / "synthesis" / row.folder / "silence" for row in rows}
    silent, paths = {row: Shards(folder) for row, folder in folders.items() if folder.exists()}, []
    for clip in _spread([clip for clip in next(iter(silent.values()), ()) if clip in of_split], n_photos):
        photo = truth_of(next(iter(silent)), rows).frames(data)[clip][:1]
        paths.append(out / "silence" / f"{clip}.png")
        shown = {"photo": photo} | {row.name: frames[clip] for row, frames in silent.items()}
        save_image(paths[-1], contact_sheet(shown, step))
    return paths


def emotion_grid(data: Path, row: Compared, truth: Compared, clips: list[str]) -> np.ndarray:
    """A row per photo: itself, and the middle frame of its speech in each emotion."""
    crops = truth.frames(data)
    frames = [Shards(data / "synthesis" / row.folder / "emotions" / emotion) for emotion in EMOTIONS]
    rows = {clip: np.stack([crops[clip][0], *(f[clip][len(f[clip]) // 2] for f in frames)]) for clip in clips}
    return with_header(contact_sheet(rows, step=1), ["photo", *EMOTIONS])


def _spread(clips: list[str], n: int) -> list[str]:
    """n clips, spread evenly over the sorted list, and so over subjects."""
    clips = sorted(clips)
    return [clips[k * len(clips) // n] for k in range(min(n, len(clips)))]
