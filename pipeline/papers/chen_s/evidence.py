"""What Chen S. 2021 prints, as it is made here: Tables 1, 2, 4, 5 and Figs. 7–11."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from pipeline.errors import ClipRejected, UserError
from pipeline.evaluation.action_units import Counts, count, pooled, resampled_scores, score
from pipeline.evaluation.au_recognition import seen_units, units_of
from pipeline.evaluation.evaluate import mean_known
from pipeline.evaluation.generated import Compared, compared, shards, truth_of
from pipeline.evidence.across import across
from pipeline.evidence.declaration import Evidence, Made, Rows
from pipeline.evidence.experiments import experiment
from pipeline.evidence.frames import held_out, one_of_each, shown_clips, who
from pipeline.evidence.motion_maps import about_mouth, difference_maps, differences, flow_maps, optical_flow
from pipeline.evidence.tables import beside, not_run, of_systems, row_of, titled
from pipeline.features.action_units.geometry import landmark_action_units
from pipeline.features.action_units.openface import openface_action_units
from pipeline.features.action_units.units import AUS as MEASURED
from pipeline.features.action_units.units import ActionUnits, without_missing
from pipeline.features.landmarks import mouth_opening
from pipeline.papers.chen_s.action_units import AUS, AUClassifier, AUClassifierSettings
from pipeline.papers.chen_s.labels import au_labels
from pipeline.report.comparison import COLUMNS, Figure, Sample, cell, number
from pipeline.report.definitions import SILENCE
from pipeline.report.pictures import contact_sheet, save_image, stacked
from pipeline.report.run import Run
from pipeline.synthesis import drawn_frames, seed_of
from pipeline.systems.system import load_system
from pipeline.training.data import ClipStore
from pipeline.training.trained import load_network

SYSTEM = "chen_s"
FIGURES = ("psnr", "ssim", "au_f1", "au_accuracy")
# Table 2's rows before the whole system, by what they add.
ABLATIONS = {
    "reconstruction": "chen_s_reconstruction",
    "+ perceptual": "chen_s_perceptual",
    "+ identity": "chen_s_identity",
    "+ adversarial": "chen_s_adversarial",
    "+ AU": "chen_s_au",
}
WHOLE = "+ Audio-to-AU: `chen_s`"
# The splits of metrics/recognition.json, by what a table calls them.
SPLITS = {"train": "training", "test_sentences": "unseen sentences", "test": "unseen people"}
STEP, N_FRAMES = 4, 12  # of a strip of frames
# Fig. 9: people at most, frames at most, and how long the middle of a sentence is where no word's place is known.
PEOPLE, WORD_FRAMES, MIDDLE_S = 6, 12, 0.48
ALIGNED_PER_S = 25_000  # units of GRID's alignments


def speaking(run: Run) -> list[str]:
    """The run's systems that speech drives: what they are compared with here."""
    return [row.of for row in run.rows if row.is_speech_driven]


def table_1(run: Run, out: Path) -> Made:
    note = "The paper's baseline, reconstruction loss alone, is the first row of Table 2."
    return Made(of_systems(run, speaking(run), FIGURES), notes=(note,))


def table_2(run: Run, out: Path) -> Made:
    """The ablations beside the whole system, each with what is measured of every action unit."""
    found = {label: experiment(run, name) for label, name in ABLATIONS.items()}
    runs = {label: other for label, other in found.items() if other} | {WHOLE: run}
    tables = beside(runs, SYSTEM, WHOLE, FIGURES)
    for (_, clips), rows in zip(run.groups(), tables.values(), strict=True):
        for other, row in zip(runs.values(), rows, strict=True):
            measured = other.measured[row_of(other, SYSTEM).name]
            row |= by_unit(pooled([measured[clip].action_units for clip in clips]))
    return Made(tables, notes=tuple(not_run(SYSTEM, ABLATIONS[label]) for label, other in found.items() if not other))


def by_unit(counts: Counts) -> dict[str, str]:
    """F1 and accuracy of each action unit, as a row's cells; – where it occurs in no real frame."""
    scores = score(counts)
    of_figures = {"F1": scores.f1, "accuracy": scores.accuracy}
    return {f"AU{au} {name}": shown(values[au]) for name, values in of_figures.items() for au in AUS}


def table_4(run: Run, out: Path) -> Made:
    """What the stage `recognition` found of the two pre-trained networks."""
    path = run.folder / "metrics" / "recognition.json"
    found = _read(path)
    titles = {"au_classifier": "AU classifier, on real frames", "audio_to_au": "Audio-to-AU module, on real speech"}
    return Made(
        {title: recognition(found[network]) for network, title in titles.items()},
        notes=(
            "The paper prints the classifier's figures alone. An action unit that never occurs in a split has none.",
        ),
    )


def recognition(by_split: dict[str, dict[str, Any]]) -> Rows:
    """A row per action unit and their mean, two columns per split."""

    def row(label: str, figures: Callable[[dict[str, Any]], tuple[float | None, float | None]]) -> dict[str, str]:
        cells = {
            f"{name}, {SPLITS[split]}": shown(value)
            for split, found in by_split.items()
            for name, value in zip(("F1", "accuracy"), figures(found), strict=True)
        }
        return {"AU": label} | cells

    def of_unit(found: dict[str, Any], unit: str) -> tuple[float | None, float | None]:
        of_one = found.get(unit, {})
        return of_one.get("f1"), of_one.get("accuracy")

    rows = [row(f"AU{au}", partial(of_unit, unit=f"AU{au}")) for au in AUS]
    return [*rows, row("mean", lambda found: (found["mean_f1"], found["mean_accuracy"]))]


def table_5(run: Run, out: Path) -> Made:
    """Action units in generated frames, by the classifier and by what its labels came from, against the labels."""
    data, own = run.folder / "data", row_of(run, SYSTEM)
    classifier, _ = load_network(data / "trained" / SYSTEM / "au_classifier", AUClassifier, AUClassifierSettings)
    labels, made = ClipStore(data, own.faces, "action_units"), _compared(run, SYSTEM)
    frames, teacher, by_teacher = made.frames(data), *_teacher(run, made)
    judges = {"the AU classifier": lambda clip: seen_units(classifier, frames[clip]), teacher: by_teacher}
    counts = {
        clip: {name: count(units_of(au_labels(labels, clip)), judge(clip)) for name, judge in judges.items()}
        for clip in tqdm(run.clips.index.intersection(labels.clips.index), "action units", unit="clip", disable=None)
    }
    tables = {}
    for title, clips in run.groups():
        # Clips whose action units were not measured have no labels.
        if known := [clip for clip in clips if clip in counts]:
            tables[titled(title, known)] = [
                {"seen by": name} | _scored(run, known, [counts[clip][name] for clip in known]) for name in judges
            ]
    return Made(tables)


def _teacher(run: Run, made: Compared) -> tuple[str, Callable[[str], ActionUnits]]:
    """What labelled the run's real frames: its name in a table, and what it says of a generated clip."""
    data, p = run.folder / "data", run.value("action_units")
    fps = run.value("corpus.fps")
    if p["backend"] != "openface":
        return "the landmark estimator", lambda clip: landmark_action_units(made.found(data)[clip], fps)
    videos, frames = data / "videos" / made.folder, made.frames(data)

    def by_openface(clip: str) -> ActionUnits:
        n = len(frames[clip])
        try:
            return openface_action_units(
                videos / f"{clip}.mp4", n, fps, p["command"], p["time_limit_s"], p["min_confidence"]
            )
        except ClipRejected:  # frames in which it sees no face do not count
            absent = np.zeros((n, len(MEASURED)))
            return without_missing(absent, absent, absent[:, 0], absent[:, 0] > 0)

    return "OpenFace", by_openface


def _scored(run: Run, clips: list[str], counts: list[Counts]) -> dict[str, str]:
    """Mean F1 and accuracy of clips' counts, as a row's cells."""
    people = run.clips.loc[clips, "subject"].to_numpy(str)
    sample = Sample(people, run.value("evaluation.bootstrap_samples"), run.value("seed"))
    drawn, scores = sample.those(np.full(len(clips), True)), score(pooled(counts))
    resampled = resampled_scores(counts, drawn)
    values = {"f1": scores.mean_f1, "accuracy": scores.mean_accuracy}
    return {
        COLUMNS[f"au_{name}"].metric.heading: cell(
            f"au_{name}", Figure(value, resampled[f"mean_{name}"], drawn.units), 0, False
        )
        for name, value in values.items()
    }


def figure_7(run: Run, out: Path) -> Made:
    """Frames, their differences from the truth, and what moves in them; how much of both is about the mouth."""
    clips, everything, data = shown_clips(run), compared(run.folder / "data"), run.folder / "data"
    of_systems = [row for row in everything if row.of in speaking(run)]
    sheets, measured = [], {}
    for clip in clips:
        strips = {}
        for row in (truth_of(of_systems[0], everything), *of_systems):
            truth = truth_of(row, everything)
            frames, real = row.frames(data)[clip], truth.frames(data)[clip]
            apart, flow = differences(frames, real), optical_flow(frames)
            strips[row.of.replace("_", " ")] = frames[:-1]
            if row != truth:
                strips[f"{row.of}: difference".replace("_", " ")] = difference_maps(apart)[:-1]
            strips[f"{row.of}: flow".replace("_", " ")] = flow_maps(flow)
            mouth = about_mouth(truth.found(data)[clip], frames.shape[1])
            measured.setdefault(row.of, []).append(_about_mouth(apart, flow, mouth))
        sheets.append(contact_sheet(strips, STEP, N_FRAMES))
    save_image(out / "figure_7.png", stacked(sheets))
    caption = (
        f"{who(run, clips)}: every {STEP}th frame; its difference from the real one, black where there is none; and the "
        "optical flow to the next frame: the colour is its direction, the deeper the faster, white is still."
    )
    columns = (
        "difference, mouth (grey levels)",
        "difference, elsewhere",
        "flow, mouth (% of the side per frame)",
        "flow, elsewhere",
    )
    rows = [
        {"system": f"`{of}`"} | dict(zip(columns, (number(v, 2) for v in np.nanmean(values, axis=0)), strict=True))
        for of, values in measured.items()
    ]
    return Made({titled("Means over the picture", clips): rows}, {"figure_7.png": caption})


def _about_mouth(apart: np.ndarray, flow: np.ndarray, mouth: np.ndarray) -> list[float]:
    """Mean difference and mean length of the flow, each about the mouth and elsewhere; frames without a mouth are left out."""
    length = 100 * np.hypot(flow[..., 0], flow[..., 1]) / flow.shape[1]
    found = mouth.any(axis=(1, 2))
    return [
        mean_known(values[found[: len(values)]][where[: len(values)][found[: len(values)]]])
        for values in (apart, length)
        for where in (mouth, ~mouth)
    ]


def figure_8(run: Run, out: Path) -> Made:
    """Photos in silence: one with the mouth shut and two with it open, as the paper shows them."""
    data = run.folder / "data"
    silent = {
        row.of: shards(folder)
        for row in compared(data)
        if row.of in speaking(run) and (folder := data / "synthesis" / row.folder / "silence").exists()
    }
    if SYSTEM not in silent:
        raise UserError(f"data/synthesis: {SYSTEM} was not given silence; `make repro` does")
    clips = held_out(run, SYSTEM)
    opening = {clip: float(mouth_opening(clips.landmarks(clip)[0])) for clip in sorted(silent[SYSTEM])}
    photos = photos_in_silence(opening, clips.table["subject"])
    # Where systems see other crops, another photo may be the most open.
    rows_of = {
        clip: {"photo": clips.crops[clip][:1]} | {of: found[clip] for of, found in silent.items() if clip in found}
        for clip in photos
    }
    sheets = [contact_sheet(rows, STEP, N_FRAMES) for rows in rows_of.values()]
    save_image(out / "figure_8.png", stacked(sheets))
    subjects = [f"{clips.table.loc[clip, 'subject']}, open by {opening[clip]:.2f}" for clip in photos]
    caption = (
        f"A photo, and every {STEP}th frame while nobody speaks, for one with the mouth shut and others with it open: "
        f"{'; '.join(subjects)}, in distances of the eyes."
    )
    found = _read(run.folder / "metrics" / "silence.json")
    rows = [
        {"system": f"`{name}`"} | {m.heading: shown(of[key], m.digits) for key, m in SILENCE.items()}
        for name, of in found.items()
    ]
    return Made({f"All photos in silence, {SPLITS[run.value('evaluation.split')]}": rows}, {"figure_8.png": caption})


def photos_in_silence(opening: dict[str, float], subjects: pd.Series) -> list[str]:
    """The clip whose photo's mouth is shut the most, and the most open ones of two other people, where there are."""
    shut = min(opening, key=opening.get)
    chosen = {subjects[shut]: shut}
    for clip in sorted(opening, key=opening.get, reverse=True):
        chosen.setdefault(subjects[clip], clip)
    return list(chosen.values())[:3]


def figure_9(run: Run, out: Path) -> Made:
    """One word on many people: what one test clip says, from the photos of several people."""
    system, clips = load_system(run.folder / "data" / "systems" / SYSTEM), held_out(run, SYSTEM)
    photos = one_of_each(clips, "subject")[:PEOPLE]
    spoken = photos[0]
    driving, fps = clips.driving(spoken, system), system.preprocessing.fps
    said, start, stop = word(run, spoken, driving.n_frames / fps)
    span = slice(round(start * fps), round(stop * fps))
    rows = {}
    for clip in tqdm(photos, "one word on many people", unit="person", disable=None):
        of_person = replace(driving, photo_landmarks=clips.landmarks(clip)[0])
        frames = drawn_frames(system, clips.crops[clip][0], of_person, seed_of(clip, run.value("seed")))
        rows[str(clips.table.loc[clip, "subject"])] = frames[span]
    step = max(1, -(-(span.stop - span.start) // WORD_FRAMES))
    save_image(out / "figure_9.png", contact_sheet(rows, step, WORD_FRAMES))
    of = f"{start:.2f} to {stop:.2f} s of {clips.table.loc[spoken, 'subject']}'s {spoken}"
    caption = f"{said}, {of}, from the photos of {len(rows)} people; frames {step / fps:.2f} s apart."
    return Made(pictures={"figure_9.png": caption})


def word(run: Run, clip: str, duration_s: float) -> tuple[str, float, float]:
    """What of a clip is shown, in words, and from when to when (s): the longest word of GRID's alignment.

    Of a corpus that has none the middle of the sentence.
    """
    about = run.clips.loc[clip]
    root = run.folder / run.value("corpus.root")
    found = sorted(root.rglob(f"{about['sentence']}.align")) if run.value("corpus.layout") == "grid" else []
    for path in found:
        if str(about["subject"]) in path.absolute().parts:
            lines = [line.split() for line in path.read_text(errors="replace").splitlines()]
            words = [(int(stop) - int(start), said, start) for start, stop, said in lines if said not in ("sil", "sp")]
            length, said, start = max(words)
            return f"“{said}”", int(start) / ALIGNED_PER_S, (int(start) + length) / ALIGNED_PER_S
    middle, reach = duration_s / 2, min(MIDDLE_S, duration_s) / 2
    return "The middle of a sentence, as the corpus does not say when its words are", middle - reach, middle + reach


def figures_10_11(run: Run, others: Sequence[Run], out: Path) -> Made:
    return across(run, others, SYSTEM, out, "figures_10_11.png")


def shown(value: float | None, digits: int = 3) -> str:
    """A figure; – where there is none."""
    return "–" if value is None or np.isnan(value) else number(value, digits)


def _compared(run: Run, system: str) -> Compared:
    """Where a system's frames lie. Raises UserError where it has none."""
    for row in compared(run.folder / "data"):
        if row.of == system:
            return row
    raise UserError(f"data/synthesis: {system}: no frames; `make repro` makes them")


def _read(path: Path) -> dict[str, Any]:
    """Figures that a stage left. Raises UserError where it did not."""
    found = json.loads(path.read_text()) if path.is_file() else {}
    if not found:
        raise UserError(f"{path} holds no figures; `make repro` makes it")
    return found


EVIDENCE = (
    Evidence(
        where="Table 1",
        shows="Image quality and action units of the whole system, beside the other systems that speech drives.",
        differs=(
            "CRAN and Speech2Vid are not here; beside it stand the systems of the other papers, trained on the same clips. "
            "People, sentences and crops are this run's, and an action unit is what its estimator sees."
        ),
        make=table_1,
        published=("Table 1",),
    ),
    Evidence(
        where="Table 2",
        shows="What each loss, and at last the Audio-to-AU module, adds.",
        differs="people, crops and schedule are this run's, and what tells action units, which OpenFace does in the paper.",
        make=table_2,
        published=("Table 2",),
        ablations=tuple(ABLATIONS.values()),
    ),
    Evidence(
        where="Table 4",
        shows="How well the pre-trained AU classifier recognises action units in real frames.",
        differs=(
            "labels are those of this run's estimator, and of its clips; the paper does not say whether its test set holds "
            "people who trained."
        ),
        make=table_4,
        published=("Table 4",),
    ),
    Evidence(
        where="Table 5",
        shows=(
            "Action units in the frames that the system draws, as its AU classifier sees them, and as an estimator does; "
            "against the labels of the real frames."
        ),
        differs=(
            "OpenFace sees them in the paper; here it does where `action_units.backend` says so, else the landmark estimator. "
            "TCD-TIMIT is another corpus, for which the paper refines its classifier."
        ),
        make=table_5,
        published=("Table 5",),
    ),
    Evidence(
        where="Fig. 7",
        shows="Differences from the real frames, and optical flow, of every system that speech drives.",
        differs="the paper shows one clip of GRID beside CRAN, says neither how the flow is found nor how it is coloured.",
        make=figure_7,
    ),
    Evidence(
        where="Fig. 8",
        shows="Photos with mouths shut and open, while nobody speaks and only slight noise is heard.",
        differs="the paper shows three people of GRID, beside CRAN, and measures nothing.",
        make=figure_8,
    ),
    Evidence(
        where="Fig. 9",
        shows="One word from the photos of many people.",
        differs="the paper's word is “wash”, of TCD-TIMIT.",
        make=figure_9,
    ),
    Evidence(
        where="Figs. 10 and 11",
        shows="The system on another corpus than it was trained on, as it is, and beside what was trained there.",
        differs="the paper shows frames of LRW and VoxCeleb2, and measures nothing.",
        make=figures_10_11,
        across=True,
    ),
)
