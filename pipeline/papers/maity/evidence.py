"""What Maity 2024 prints, as it is made here; and what it is for and prints no figure of: emotions, and speech in noise."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.corpus.layouts import EMOTIONS
from pipeline.corpus.shards import Shards
from pipeline.errors import UserError
from pipeline.evaluation.generated import compared, truth_of
from pipeline.evidence.declaration import Evidence, Made, Rows
from pipeline.evidence.frames import held_out, shown_clips, who
from pipeline.evidence.noise import claimed
from pipeline.evidence.tables import of_systems
from pipeline.papers.maity.paper import PAPER
from pipeline.report import definitions
from pipeline.report.comparison import number
from pipeline.report.pictures import confusion_matrices, contact_sheet, save_image
from pipeline.report.run import Run
from pipeline.synthesis import drawn_frames, seed_of
from pipeline.systems.system import load_system

SYSTEM = "maity"
STEP, N_FRAMES = 5, 12
GROUPS = {"test_sentences": "Unseen sentences", "test": "Unseen people"}


def table_5_1(run: Run, out: Path) -> Made:
    return Made(of_systems(run, PAPER.systems, ("psnr", "ssim", "nlmd", "lmd_share", "mouth_correlation")))


def figure_5_1(run: Run, out: Path) -> Made:
    """A photo says what somebody else says, without emotion."""
    system = load_system(run.folder / "data" / "systems" / SYSTEM)
    clips = held_out(run, "maity")
    speaking, shown = shown_clips(run)[0], shown_clips(run)[-1]
    driving = replace(clips.driving(speaking, system), emotion="NEU", photo_landmarks=clips.landmarks(shown)[0])
    photo = clips.crops[shown][0]
    frames = drawn_frames(system, photo, driving, seed_of(speaking, run.value("seed")))
    rows = {"photo": photo[None], "speaking": frames}
    save_image(out / "figure_5_1.png", contact_sheet(rows, STEP, N_FRAMES))
    whose = run.clips.loc[shown, "subject"]
    caption = f"A photo of {whose}, and every fifth frame of it as it says, neutrally, what is said by {who(run, [speaking])}."
    return Made(pictures={"figure_5_1.png": caption})


def emotions(run: Run, out: Path) -> Made:
    """One photo and sentence in every emotion, and what a classifier sees in all of them."""
    data = run.folder / "data"
    rows = compared(data)
    row = next((row for row in rows if row.of == SYSTEM), None)
    if row is None:
        raise UserError(f"data/synthesis/{SYSTEM}: no frames; `make repro` makes them")
    clip, truth = shown_clips(run)[0], truth_of(row, rows)
    drawn = {emotion: Shards(data / "synthesis" / row.folder / "emotions" / emotion)[clip] for emotion in EMOTIONS}
    shown = {f"real ({run.clips.loc[clip, 'emotion']})": truth.frames(data)[clip]} | drawn
    save_image(out / "emotions.png", contact_sheet(shown, STEP, N_FRAMES))
    pictures = {
        "emotions.png": f"Every fifth frame: the clip itself, {who(run, [clip])}, and its photo and speech in six emotions."
    }
    judgements = data / "emotions.json"
    if not judgements.exists():
        return Made(pictures=pictures, notes=(f"No judge: {judgements} was not made; `dvc repro emotions` makes it.",))
    found = json.loads(judgements.read_text())
    if not found:
        return Made(pictures=pictures, notes=("No judge: no clip that trains has a label of an emotion.",))
    systems = [truth.name, row.name]
    tables = {
        f"{GROUPS[split]}: what a classifier sees": _accuracies(of_split, systems) for split, of_split in found.items()
    }
    split = run.value("evaluation.split") if run.value("evaluation.split") in found else next(iter(found))
    matrices = {
        name: np.array(about["confusion"]) for name, about in found[split]["details"].items() if name in systems
    }
    confusion_matrices(out / "confusion.png", matrices, EMOTIONS)
    pictures["confusion.png"] = (
        f"{GROUPS[split]}: the emotion that was wanted, in rows, and the one that was recognised, in columns."
    )
    return Made(
        tables, pictures, ("The classifier was trained on real clips of the people who train. Chance is 0.167.",)
    )


def _accuracies(of_split: dict[str, Any], systems: list[str]) -> Rows:
    """A row per system: its accuracy with the interval, also in the photo's own emotion and in others; recall by emotion."""
    rows = []
    for name in (name for name in systems if name in of_split["figures"]):
        figures, about = of_split["figures"][name], of_split["details"][name]
        values = {metric.heading: _cell(figures[key]) for key, metric in definitions.EMOTIONS.items()}
        if about["interval"]:
            values[definitions.EMOTIONS["accuracy"].heading] += " [{}, {}]".format(*map(_cell, about["interval"]))
        recall = {emotion: _cell(value) for emotion, value in figures["recall"].items()}
        rows.append({"system": f"`{name}`", "clips": str(about["clips"])} | values | recall)
    return rows


def _cell(value: float | None) -> str:
    return "–" if value is None else number(value, 2)


EVIDENCE = (
    Evidence(
        where="Table 5.1",
        shows="The whole system by PSNR, SSIM and the distance of the mouths after both faces are brought to one template.",
        differs="other people and sentences, of whom fewer train; of 40 videos neither people nor sentences are named there.",
        make=table_5_1,
        published=("Table 5.1",),
    ),
    Evidence(
        where="Fig. 5.1",
        shows="One photo that says, without emotion, what another voice says.",
        differs="the thesis shows a person of CREMA-D, and a voice of a corpus that is not at hand.",
        make=figure_5_1,
    ),
    Evidence(
        where="Emotions",
        shows="One photo and one sentence in six emotions, and how often a classifier recognises them.",
        differs="the thesis says that expressions vary with the corpus, and prints no figure of them.",
        make=emotions,
    ),
    claimed(
        "Introduction", "The thesis would make talking faces of noisy speech, and calls robustness to noise crucial."
    ),
)
