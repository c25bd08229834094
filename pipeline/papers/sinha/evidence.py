"""Sinha 2020's own evidence: Tables I and II, one speech on many people, maps of ablations, and blinks."""

import json
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
from tqdm import tqdm

from pipeline.errors import UserError
from pipeline.evaluation.evaluate import pooled_metrics
from pipeline.evidence.declaration import Evidence, Made, Rows
from pipeline.evidence.experiments import experiment
from pipeline.evidence.frames import held_out, one_of_each, who
from pipeline.evidence.noise import claimed
from pipeline.evidence.tables import ablated, not_run, of_systems
from pipeline.features.blinks import Blinks, blink_events, find_blinks
from pipeline.features.landmarks import eye_aspect_ratio, mouth_opening
from pipeline.papers.interface import Drawn
from pipeline.report.comparison import number
from pipeline.report.definitions import METRICS
from pipeline.report.pictures import blink_distributions, contact_sheet, save_image, with_header
from pipeline.report.run import Run
from pipeline.synthesis import HeldOutClips, drawn_frames, seed_of
from pipeline.systems.system import System, load_system

SYSTEM = "data/systems/sinha"
FIGURES = ("psnr", "ssim", "cpbd", "lmd")
# Rows of Table II and Fig. 10 before the whole system, by what the paper calls them.
ABLATIONS = {"L_pix": "sinha_pixel", "L_pix + L_adv": "sinha_pixel_adversarial"}
WHOLE = "L_pix + L_adv + L_reg"
# Fig. 9: people at most; every third frame, as a blink lasts three or more; pixels of a frame's side. Where eyes are shut a
# frame has a bar of this colour.
PEOPLE, STEP, SIZE, BAR = 6, 3, 96, (220, 40, 40)
# Blinks in speech that goes on: its length, and how often each person speaks it.
LONG_S, TIMES = 60, 3
BLINKS = ("blink_rate", "blink_duration", "blink_interval")


def one_speech(run: Run, out: Path) -> Made:
    """Fig. 9: photos of several people say what the first of them says; bars mark shut eyes."""
    system = load_system(run.folder / SYSTEM)
    clips = held_out(run, "sinha")
    photos = one_of_each(clips, "subject")[:PEOPLE]
    spoken, fps = clips.driving(photos[0], system), system.preprocessing.fps
    rows = {}
    for clip in tqdm(photos, "one speech on many people", unit="person", disable=None):
        driving = replace(spoken, photo_landmarks=clips.landmarks(clip)[0])
        seed = seed_of(clip, run.value("seed"))
        frames = drawn_frames(system, clips.crops[clip][0], driving, seed)
        rows[str(clips.table.loc[clip, "subject"])] = barred(frames, shut_eyes(system.landmarks(driving, seed), fps))
    save_image(out / "figure_9.png", contact_sheet(rows, STEP, spoken.n_frames, SIZE))
    caption = (
        f"Every third frame: photos of {len(rows)} people say what {next(iter(rows))} says. A red bar above a frame: its "
        "landmarks are in a blink, at other times for each person, as blinks come of noise and not of speech."
    )
    return Made(pictures={"figure_9.png": caption})


def shut_eyes(landmarks: np.ndarray, fps: float) -> np.ndarray:
    """In which frames a blink is under way: (T, 68, 2) → bool (T,)."""
    shut = np.zeros(len(landmarks), bool)
    for start, stop in blink_events(eye_aspect_ratio(landmarks), fps):
        shut[start:stop] = True
    return shut


def barred(frames: np.ndarray, which: np.ndarray) -> np.ndarray:
    """Frames uint8 (T, S, S, 3), with a bar along the upper edge of some: bool (T,)."""
    frames = frames.copy()
    frames[which, : frames.shape[1] // 16] = BAR
    return frames


def maps(run: Run, out: Path) -> Made:
    """Fig. 10: what each ablation draws anew, where, and the frame that comes of it; for a clip of each test split."""
    found = {label: experiment(run, name, SYSTEM) for label, name in ABLATIONS.items()}
    folders = {label: other.folder / SYSTEM for label, other in found.items() if other} | {WHOLE: run.folder / SYSTEM}
    systems = {label: load_system(folder) for label, folder in folders.items()}
    clips = held_out(run, "sinha")
    chosen = one_of_each(clips, "split")
    widest = {clip: int(np.argmax(mouth_opening(clips.landmarks(clip)))) for clip in chosen}
    rows = {"photo, real frame": np.concatenate([beside_truth(clips.crops[c], widest[c]) for c in chosen])}
    for label, system in tqdm(systems.items(), "maps", unit="system", disable=None):
        drawn = [frame_of(system, clips, clip, widest[clip], run.value("seed")) for clip in chosen]
        rows[label] = np.concatenate([in_maps(frame) for frame in drawn])
    sheet = with_header(contact_sheet(rows, 1, size=SIZE), ["attention", "colour map", "frame"] * len(chosen), SIZE)
    save_image(out / "figure_10.png", sheet)
    caption = (
        f"The frame of the widest mouth, of {who(run, chosen)}. Attention is white where the photo stays, and black where the "
        "colour map takes its place."
    )
    missing = (not_run("sinha", ABLATIONS[label]) for label, other in found.items() if not other)
    return Made(pictures={"figure_10.png": caption}, notes=tuple(missing))


def frame_of(system: System, clips: HeldOutClips, clip: str, k: int, seed: int) -> Drawn:
    """The k-th frame of a test clip as the system draws it, with its maps."""
    frames = system.frames(clips.crops[clip][0], clips.driving(clip, system), seed_of(clip, seed))
    return next(islice(frames, k, None))


def beside_truth(crops: np.ndarray, k: int) -> np.ndarray:
    """A clip's photo, nothing, its k-th frame: (T, S, S, 3) → (3, S, S, 3)."""
    return np.stack([crops[0], np.full_like(crops[0], 255), crops[k]])


def in_maps(drawn: Drawn) -> np.ndarray:
    """Attention, colour map and frame as pictures: uint8 (3, S, S, 3). The paper's attention is 1 − change (Eq. 6)."""
    return np.stack([np.repeat(255 - drawn.change[..., None], 3, axis=2), drawn.colour, drawn.image])


def blinks(run: Run, out: Path) -> Made:
    """Fig. 11 and what § V-B says of blinks: generated against real, in landmarks, in speech that goes on, and in frames."""
    path, fps = run.folder / "data" / "blinks.json", run.value("corpus.fps")
    if not path.is_file():
        raise UserError(f"{path} was not made; `make repro` makes it")
    found = {
        name: Blinks(**{key: np.array(v) for key, v in of.items()}) for name, of in json.loads(path.read_text()).items()
    }
    blink_distributions(out / "figure_11.png", found, fps)
    long, n_people = in_long_speech(run)
    rows = [
        statistics("training clips", found["ground_truth"]),
        statistics("generated, clips as long", found["generated"]),
        statistics(f"generated, {n_people} people who speak for {LONG_S} s", long),
        *in_frames(run),
    ]
    caption = (
        "Blinks of the training clips' landmarks and of generated ones, ten clips of its length for each: how long they "
        "last, how many a clip has, how far apart they begin."
    )
    return Made({"Blinks": rows}, {"figure_11.png": caption})


def statistics(name: str, found: Blinks) -> dict[str, str]:
    """A row of the table of blinks."""
    means = [v.mean() if len(v) else np.nan for v in (found.durations, found.intervals)]
    return blink_row(name, [found.counts.sum() / found.seconds.sum(), *means], int(found.counts.sum()))


def blink_row(name: str, values: list[float | None], n: int | None = None) -> dict[str, str]:
    """values: of BLINKS; n: how many blinks."""
    shown = ["–" if value is None or np.isnan(value) else number(value, 3) for value in values]
    headings = [METRICS[key].heading for key in BLINKS]
    return {"blinks of": name} | dict(zip(headings, shown, strict=True)) | {"blinks": "–" if n is None else str(n)}


def in_long_speech(run: Run) -> tuple[Blinks, int]:
    """Blinks of the landmarks of all test people, who speak for LONG_S, TIMES over; and how many people they are.

    What they say is the test clips' speech, one clip after the other.
    """
    system = load_system(run.folder / SYSTEM)
    clips, fps = held_out(run, "sinha"), system.preprocessing.fps
    spoken = np.concatenate([clips.speech(clip) for clip in sorted(clips.table.index)])
    speech = np.resize(spoken, LONG_S * clips.sample_rate)  # from the start again, where there is less of it
    photos = one_of_each(clips, "subject")
    driving = system.driving(round(LONG_S * fps), clips.landmarks(photos[0])[0], speech, clips.sample_rate)
    ratios = []
    for clip in tqdm(photos, "blinks in long speech", unit="person", disable=None):
        of_person = replace(driving, photo_landmarks=clips.landmarks(clip)[0])
        for k in range(TIMES):
            ratios.append(eye_aspect_ratio(system.landmarks(of_person, seed_of(clip, run.value("seed") + k))))
    return find_blinks(ratios, fps), len(photos)


def in_frames(run: Run) -> Rows:
    """Blinks as a detector finds them in the test clips, real and drawn."""
    measured = list(run.measured.get("sinha", {}).values())
    real = [clip._replace(eyes=clip.true_eyes) for clip in measured]
    return [
        blink_row(name, [pooled_metrics(of, run.value("corpus.fps"))[key] for key in BLINKS])
        for name, of in (("test clips, real frames", real), ("test clips, generated frames", measured))
        if of
    ]


EVIDENCE = (
    Evidence(
        where="Table I",
        shows="Image quality and lips of the whole system, beside ATVGnet.",
        differs=(
            "the corpus and the split are this run's, ATVGnet was trained here on the same clips, where the paper takes its "
            "published weights, and Vougioukas 2019 is not here."
        ),
        make=lambda run, out: Made(of_systems(run, ("sinha", "atvgnet"), FIGURES)),
        published=("Table I",),
    ),
    Evidence(
        where="Table II",
        shows="What the adversarial loss and the regularisation of Eq. 14 bring, one after the other.",
        differs=(
            "the paper's figures are of a validation set of TCD-TIMIT, without names; these are of this run's test clips."
        ),
        make=lambda run, out: ablated(run, "sinha", WHOLE, ABLATIONS, FIGURES),
        published=("Table II",),
        ablations=tuple(ABLATIONS.values()),
    ),
    Evidence(
        where="Fig. 9",
        shows="One speech on many people, who blink by themselves.",
        differs="people and speech are this run's.",
        make=one_speech,
    ),
    Evidence(
        where="Fig. 10",
        shows="The attention map, the colour map and the frame of each row of Table II.",
        differs="faces, and what the networks learned from, are this run's.",
        make=maps,
        ablations=tuple(ABLATIONS.values()),
    ),
    Evidence(
        where="Fig. 11",
        shows="Durations of blinks, generated against real, and the rates that § V-B names.",
        differs=(
            "the paper counts blinks in 11,000 videos of GRID and TCD-TIMIT, by a definition that it does not give. Here eyes "
            "are shut below a share of their usual opening, and an interval runs from the start of one blink to that of the "
            "next in the same clip: short clips hold none but short ones. What the paper calls inter-blink duration must be "
            "something else, as blinks of which there are 0.38 in a second begin 2.7 s apart."
        ),
        make=blinks,
        published=("§ V-B",),
    ),
    claimed("§ I", "DeepSpeech's features are to generalise to new voices, accents and noise."),
)
