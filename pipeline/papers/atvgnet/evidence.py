"""What Chen L. 2019 prints of ATVGnet, as it is made here."""

from functools import partial
from pathlib import Path

import numpy as np

from pipeline.evidence.declaration import Evidence, Made
from pipeline.evidence.frames import held_out, who
from pipeline.evidence.noise import claimed
from pipeline.evidence.tables import ablated, beside, of_systems, row_of
from pipeline.evidence.trials import Draw, only, some, tried
from pipeline.features.blinks import SHUT
from pipeline.features.landmarks import eye_aspect_ratio, inter_ocular_distance, mouth_opening, turned_away
from pipeline.papers import cascade
from pipeline.papers.atvgnet.paper import PAPER
from pipeline.papers.interface import Driving
from pipeline.report.comparison import COLUMNS, row_figures
from pipeline.report.pictures import COLOURS, contact_sheet, curves, save_image
from pipeline.report.run import Run
from pipeline.synthesis import HeldOutClips, drawn_frames, seed_of
from pipeline.systems.system import System, load_system

SYSTEM = "atvgnet"
FIGURES = ("psnr", "ssim", "lmd", "lmd_share", "mouth_correlation")
ABLATIONS = {
    "plain L1 instead of the dynamic loss (Eq. 8)": "atvgnet_l1",
    "without the regression-based discriminator (Eq. 9)": "atvgnet_no_discriminator",
}
# Fig. 4: deviations of the noise, in distances of the eyes; and which of a person's poses are examples, from side to side.
SIGMAS = (0.01, 0.02, 0.04, 0.08)
POSES = (0.0, 0.25, 0.5, 0.75, 1.0)
N_CLIPS = 12
CHARTED = ("psnr", "ssim", "lmd_share", "identity")
STEP, N_FRAMES = 5, 10  # of the pictures' rows


def table_1(run: Run, out: Path) -> Made:
    return Made(of_systems(run, PAPER.systems, FIGURES))


def losses(run: Run, out: Path) -> Made:
    return ablated(run, SYSTEM, f"`{SYSTEM}`", ABLATIONS, (*FIGURES, "cpbd", "identity"))


def noise_on_landmarks(run: Run, out: Path) -> Made:
    """Fig. 4 (a): noise on the landmarks between the two halves."""
    row_of(run, SYSTEM)  # without it there is nothing to try
    clips = some(run, N_CLIPS)
    ways = {f"{100 * sigma:g} %": partial(with_noise, sigma=sigma) for sigma in SIGMAS}
    runs = {"0 %": only(run, ("static", SYSTEM), clips)} | {
        label: tried(run, [SYSTEM], clips, way, f"atvgnet_noise/{way.keywords['sigma']}") for label, way in ways.items()
    }
    chart(out / "figure_4a.png", runs, clips, "σ of the noise on the landmarks, % of the eyes' distance")
    rows = drawn_by(run, {"0 %": partial(with_noise, sigma=0.0)} | ways, clips[0])
    save_image(out / "figure_4a_frames.png", contact_sheet(rows, STEP, N_FRAMES))
    pictures = {
        "figure_4a.png": "Quality as noise on the landmarks grows.",
        "figure_4a_frames.png": f"{who(run, clips[:1])}: every fifth frame, a row for each σ, in % of the eyes' distance.",
    }
    note = (
        f"{len(clips)} clips, the same in every row. Every point of every frame is moved by Gaussian noise of its own."
    )
    return Made(beside(runs, SYSTEM, "0 %", (*FIGURES, "identity")), pictures, (note,))


def pose_of_the_example(run: Run, out: Path) -> Made:
    """Fig. 4 (b): the same speech on example photos in which the person's head is turned otherwise."""
    row_of(run, SYSTEM)
    clips, seen = some(run, N_CLIPS), held_out(run, "atvgnet")
    found = {pose: examples(seen, clips, pose) for pose in POSES}
    angles = {pose: [angle(seen.landmarks(clip)[k]) for clip, k in of_pose.values()] for pose, of_pose in found.items()}
    labels = {pose: f"{100 * pose:g} % ({np.mean(of_pose):+.1f}°)" for pose, of_pose in angles.items()}
    ways = {labels[pose]: partial(posed, examples=of_pose) for pose, of_pose in found.items()}
    runs = {labels[p]: tried(run, [SYSTEM], clips, ways[labels[p]], f"atvgnet_pose/{p}") for p in POSES}
    middle = labels[0.5]
    chart(out / "figure_4b.png", runs, clips, "how far the example's head is turned, mean over clips")
    save_image(out / "figure_4b_frames.png", contact_sheet(drawn_by(run, ways, clips[0]), STEP, N_FRAMES))
    pictures = {
        "figure_4b.png": "Quality by the pose of the example.",
        "figure_4b_frames.png": f"{who(run, clips[:1])}: every fifth frame, a row for each pose of the example.",
    }
    notes = (
        f"{len(clips)} clips, the same in every row. The example is a frame of the person's other test clips, with eyes "
        "open and lips no wider apart than usual: 0 % is the one whose head is turned most to one side, 100 % most to the "
        "other, in brackets their mean angle. Marks compare with the middle one.",
        "A head's angle is the arctangent of how far the tip of the nose lies off the middle between the ends of the jaw, in "
        "halves of its width: the angle itself where the nose is as far in front of these.",
        "PSNR and SSIM compare with the clip's own frames, whose head is turned otherwise: they fall however well the example "
        "is animated. LMD and the correlation compare mouths alone, identity with the clip's own photo.",
    )
    return Made(beside(runs, SYSTEM, middle, (*FIGURES, "identity")), pictures, notes)


def with_noise(system: System, clips: HeldOutClips, clip: str, seed: int, sigma: float) -> np.ndarray:
    """A clip drawn from the landmarks that speech predicts and Gaussian noise: its deviation in distances of the eyes."""
    speak, draw = system.frames.args  # of `cascade`

    def spoken_with_noise(driving: Driving, seed: int) -> np.ndarray:
        landmarks = speak(driving, seed)
        noise = np.random.default_rng(seed).standard_normal(landmarks.shape)
        return landmarks + sigma * inter_ocular_distance(driving.photo_landmarks) * noise

    drawn = cascade.frames(spoken_with_noise, draw, clips.crops[clip][0], clips.driving(clip, system), seed)
    return np.stack([frame.image for frame in drawn])


def posed(
    system: System, clips: HeldOutClips, clip: str, seed: int, examples: dict[str, tuple[str, int]]
) -> np.ndarray:
    """What a clip says, said by another photo of its person: examples[clip], a clip and which of its frames."""
    other, k = examples[clip]
    n_frames, photo_landmarks = len(clips.crops[clip]), clips.landmarks(other)[k]
    driving = system.driving(n_frames, photo_landmarks, clips.speech(clip), clips.sample_rate)
    return drawn_frames(system, clips.crops[other][k], driving, seed)


def examples(clips: HeldOutClips, chosen: list[str], pose: float) -> dict[str, tuple[str, int]]:
    """For each clip a frame of its person's other clips: a clip, and which of its frames.

    pose: 0 = the head turned most to one side, 0.5 = as the middle one of all frames, 1 = most to the other side.
    """
    ranked = {clip: by_angle(clips, clip) for clip in chosen}
    return {clip: frames[round(pose * (len(frames) - 1))] for clip, frames in ranked.items()}


def by_angle(clips: HeldOutClips, clip: str) -> list[tuple[str, int]]:
    """The frames that may be a clip's example, from one side to the other. Without another clip of the person its own."""
    subject = clips.table["subject"]
    others = sorted(subject.index[(subject == subject[clip]) & (subject.index != clip)]) or [clip]
    frames = [(angle(clips.landmarks(other)[k]), other, k) for other in others for k in at_rest(clips.landmarks(other))]
    return [(other, k) for _, other, k in sorted(frames)]


def at_rest(landmarks: np.ndarray) -> list[int]:
    """The frames of a clip (T, 68, 2) whose eyes are open, and lips no further apart than its median."""
    eyes = eye_aspect_ratio(landmarks)
    # In pixels: a head that turns brings its eyes closer.
    gaps = mouth_opening(landmarks) * inter_ocular_distance(landmarks)
    return np.flatnonzero((eyes > SHUT * np.median(eyes)) & (gaps <= np.median(gaps))).tolist()


def angle(landmarks: np.ndarray) -> float:
    """By how many degrees a head is turned, of a face (68, 2): 0 = seen from the front. See `turned_away`."""
    return float(np.degrees(np.arctan(turned_away(landmarks))))


def drawn_by(run: Run, ways: dict[str, Draw], clip: str) -> dict[str, np.ndarray]:
    """A clip's frames as each of the ways draws them."""
    system, clips = load_system(run.folder / "data" / "systems" / SYSTEM), held_out(run, "atvgnet")
    return {label: way(system, clips, clip, seed_of(clip, run.value("seed"))) for label, way in ways.items()}


def chart(path: Path, runs: dict[str, Run], clips: list[str], x_label: str) -> None:
    """Means over the clips of CHARTED, a panel each, by the runs' labels."""
    figures = [row_figures(run, row_of(run, SYSTEM), clips) for run in runs.values()]
    panels = {COLUMNS[key].metric.heading: {SYSTEM: [found[key].value for found in figures]} for key in CHARTED}
    curves(path, panels, list(runs), x_label, COLOURS)


EVIDENCE = (
    Evidence(
        where="Table 1",
        shows="The whole system, and its second half alone, which is driven by the real landmarks.",
        differs="other people and sentences, of whom fewer train; the three systems that it is compared with are not here.",
        make=table_1,
        published=("Table 1",),
    ),
    Evidence(
        where="Loss ablation",
        shows="What the dynamic pixel-wise loss and the regression-based discriminator do.",
        differs="the paper argues for both in the text and prints no figures of them.",
        make=losses,
        ablations=tuple(ABLATIONS.values()),
    ),
    Evidence(
        where="Fig. 4 (a)",
        shows="Quality against Gaussian noise on the landmarks that the first half predicts and the second draws from.",
        differs="the paper's scale is a user study, here it is metrics; the text says neither who took part nor σ's unit.",
        make=noise_on_landmarks,
    ),
    Evidence(
        where="Fig. 4 (b)",
        shows="Quality against the pose of the example photo, with the same speech.",
        differs="the paper's scale is a user study; its examples are other photos; how their angles were measured is not said.",
        make=pose_of_the_example,
    ),
    claimed("§ 1", "The paper calls its talking faces robust under noisy audio conditions."),
)
