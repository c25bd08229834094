"""Gather the evaluation's figures, the pictures and the clips into `data/report/`."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.corpus.layouts import EMOTIONS
from pipeline.corpus.shards import Shards
from pipeline.evaluation.action_units import SPEECH_AUS
from pipeline.evaluation.by_clip import TRACKS
from pipeline.evaluation.generated import Compared, about_faces, compared, truth_of
from pipeline.features.blinks import Blinks
from pipeline.papers.registry import PAPERS, SYSTEMS, paper
from pipeline.report.page import data_uri, render_page
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
from pipeline.training.trained import read_card

GRID_ROWS = 6  # subjects whose faces are shown in every emotion


def make_report(data: Path, metrics: Path, split: str, common_size: int, step: int, n_clips: int) -> None:
    """Write contact sheets, charts and index.html to data/report. `split`: whose clips are shown."""
    out = data / "report"
    evaluation = data / "evaluation"
    means = json.loads((metrics / "evaluation.json").read_text())
    details = json.loads((evaluation / f"{split}.json").read_text())
    common = json.loads((evaluation / f"{split}_common_size.json").read_text())
    openings = pd.read_parquet(evaluation / TRACKS)
    rows = [row for row in compared(data) if row.of in COLOURS]
    systems, colours = [row.name for row in rows], {row.name: COLOURS[row.of] for row in rows}
    fps = about_faces(rows[0].faces, data)["fps"]

    blinks = json.loads((data / "blinks.json").read_text())
    found = {name: Blinks(**{k: np.array(v) for k, v in fields.items()}) for name, fields in blinks.items()}
    blink_distributions(out / "blinks.png", found, fps)
    bar_chart(out / "metrics.png", means, details["intervals"], colours)
    losses = {}
    for of_paper in PAPERS:
        tables = {
            name: pd.read_csv(metrics / "losses" / f"{of_paper}_{name}.csv") for name in paper(of_paper).trainings
        }
        tables = {name: table for name, table in tables.items() if len(table)}
        if tables:
            losses[f"Losses: {paper(of_paper).title.split(',')[0]}"] = out / f"losses_{of_paper}.png"
            loss_curves(out / f"losses_{of_paper}.png", tables)

    table = pd.read_parquet(data / "usable_clips.parquet").set_index("clip")
    of_split = [clip for clip in rows[0].frames(data) if table.loc[clip, "split"] == split]
    shown = _spread(of_split, n_clips)
    for clip in shown:
        sheet = contact_sheet({row.name: row.frames(data)[clip] for row in rows}, step)
        save_image(out / "contact_sheets" / f"{clip}.png", sheet)
    of_clip = openings[openings["clip"] == shown[0]].groupby("system")["opening"]
    curves = {row.name: of_clip.get_group(row.name).to_numpy() for row in rows}
    truths = {row.name: curves[truth_of(row, rows).name] for row in rows}
    opening_curves(out / "mouth_opening.png", curves, truths, colours, fps)

    charts = {
        "Metrics, with 95 % intervals": out / "metrics.png",
        f"Mouth opening in {shown[0]}": out / "mouth_opening.png",
        "Blinks: generated and real": out / "blinks.png",
        **losses,
    }
    subjects = table.loc[of_split, "subject"]
    emotions, emotion_pictures = json.loads((data / "emotions.json").read_text()).get(split), {}
    if emotions:
        conditioned = [row for row in rows if (data / "synthesis" / row.folder / "emotions").exists()]
        truths = [truth_of(row, rows).name for row in conditioned]
        # Real clips are judged where they are labelled.
        judged = [s for s in dict.fromkeys([*truths, *(row.name for row in conditioned)]) if s in emotions["details"]]
        matrices = {s: np.array(emotions["details"][s]["confusion"]) for s in judged}
        confusion_matrices(out / "emotions.png", matrices, EMOTIONS)
        emotion_pictures["What was recognised"] = out / "emotions.png"
        for row in conditioned:
            one_each = _spread(list(subjects.drop_duplicates().index), GRID_ROWS)
            save_image(out / f"emotions_{row.name}.png", emotion_grid(data, row, truth_of(row, rows), one_each))
            emotion_pictures[f"{row.name}: one speech in every emotion"] = out / f"emotions_{row.name}.png"
    sheets = silence_sheets(data, out, rows, set(of_split), step, n_clips)

    maps = {system: data / "videos" / system / "maps" / f"{shown[0]}.png" for system in systems}
    page = render_page(
        means=means,
        intervals=details["intervals"],
        common={key: common[key] for key in ("means", "intervals")} | {"size": common_size},
        signature=" · ".join(f"{key}: {value}" for key, value in details["signature"].items()),
        n_clips=details["clips"],
        split=split,
        preprocessing=json.loads((metrics / "preprocessing.json").read_text()),
        motion=json.loads((metrics / "landmarks.json").read_text()),
        perceptual=perceptual_origins(data, systems),
        recognition=json.loads((metrics / "recognition.json").read_text()),
        recognised_units=[f"AU{au}" for au in SPEECH_AUS],
        action_units=details["action_units"],
        silence=json.loads((metrics / "silence.json").read_text()),
        silence_sheets={path.stem: data_uri(path, "image/png") for path in sheets},
        emotions=emotions and emotions["figures"],
        emotion_pictures={title: data_uri(path, "image/png") for title, path in emotion_pictures.items()},
        charts={title: data_uri(path, "image/png") for title, path in charts.items()},
        maps={system: data_uri(path, "image/png") for system, path in maps.items() if path.exists()},
        systems=systems,
        clips={
            clip: {row.name: data_uri(data / "videos" / row.folder / f"{clip}.mp4", "video/mp4") for row in rows}
            for clip in shown
        },
        sheets={clip: data_uri(out / "contact_sheets" / f"{clip}.png", "image/png") for clip in shown},
    )
    (out / "index.html").write_text(page)


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
