"""What every metric says of damage: python -m pipeline.evaluation.damage [--output docs/metrics.png]

Damage of one kind after the other is planted in clips of the demo corpus, which are rendered for it, and measured as a system
would be. The picture shows every metric against every damage. A metric that does not move under a damage that it is meant for
is named.
"""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import cv2
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.patches import Rectangle

from pipeline.corpus.tables import read_landmarks
from pipeline.corpus.workers import count, each
from pipeline.demo.corpus import make_clips
from pipeline.demo.motion import FPS
from pipeline.errors import one_line_errors
from pipeline.evaluation.evaluate import METRICS, POOLED, Clip, Measured, compare, pooled_metrics, summarise
from pipeline.evaluation.landmark import detect_landmarks
from pipeline.features.alignment import align_landmarks, crop_faces, template
from pipeline.features.blinks import blink_events
from pipeline.features.landmarks import EYES, MOUTH, eye_aspect_ratio, inter_ocular_distance
from pipeline.references import REFERENCES
from pipeline.video import read_frames

# A clip of each of two people, in which they blink.
CLIPS = ("1001_ITH_NEU_XX", "1015_WSI_NEU_XX")
IMAGE_SIZE, EYE_DISTANCE, EYE_HEIGHT = 128, 0.3, 0.34  # as params.yaml places faces, larger
FLOOR, SEED = "truth, re-encoded", 0


class Real(NamedTuple):
    """A clip to damage: crops uint8 (T, S, S, 3), its true landmarks (T, 68, 2) in them, and another person's crops."""

    crops: np.ndarray
    landmarks: np.ndarray
    others: np.ndarray


class Damage(NamedTuple):
    """plant: a real clip → damaged frames of its shape. meant: those of the metrics that are there to notice it."""

    plant: Callable[[Real], np.ndarray]
    meant: tuple[str, ...] = ()


def blurred(real: Real) -> np.ndarray:
    return np.stack([cv2.GaussianBlur(crop, (0, 0), 1.0) for crop in real.crops])


def tinted(real: Real) -> np.ndarray:
    """Warmer by 12 grey levels of red, and as many less of blue."""
    return _rounded(real.crops + np.array([12.0, 0.0, -12.0]))


def flickering(real: Real) -> np.ndarray:
    """The whole picture lighter or darker, anew in every frame, with a deviation of 4 grey levels."""
    return _rounded(real.crops + np.random.default_rng(SEED).normal(0, 4, (len(real.crops), 1, 1, 1)))


def shaking(real: Real) -> np.ndarray:
    """Shifted anew in every frame, by a deviation of 1 px each way."""
    shifts = np.random.default_rng(SEED).normal(0, 1, (len(real.crops), 2))
    matrices = np.concatenate([np.tile(np.eye(2), (len(shifts), 1, 1)), shifts[..., None]], axis=2)
    return crop_faces(list(real.crops), matrices, IMAGE_SIZE)


def delayed(real: Real, frames: int = 3) -> np.ndarray:
    return real.crops[np.maximum(np.arange(len(real.crops)) - frames, 0)]


def mouth_frozen(real: Real) -> np.ndarray:
    """Mouth and chin as in the first frame."""
    return _pasted(real, np.zeros(len(real.crops), int), [*range(4, 13), *range(MOUTH.start, MOUTH.stop)])


def never_blinking(real: Real) -> np.ndarray:
    return _pasted(real, np.zeros(len(real.crops), int), list(range(EYES.start, EYES.stop)))


def blinking_longer(real: Real, frames: int = 4) -> np.ndarray:
    """Eyes stay shut for 0.16 s more: their most closed frame is shown again."""
    ratio, source = eye_aspect_ratio(real.landmarks), np.arange(len(real.crops))
    for start, stop in blink_events(ratio, FPS):
        shut = start + int(np.argmin(ratio[start:stop]))
        source[shut + 1 : shut + 1 + frames] = shut
        opening = slice(shut + 1 + frames, stop + frames)
        source[opening] = np.arange(len(source))[opening] - frames
    return _pasted(real, source, list(range(EYES.start, EYES.stop)))


def somebody_else(real: Real) -> np.ndarray:
    return real.others[np.arange(len(real.crops)) % len(real.others)]


def hidden(real: Real) -> np.ndarray:
    """A grey card before the face in every third frame."""
    frames = real.crops.copy()
    frames[::3, 20:] = 127
    return frames


DAMAGES = {
    "truth": Damage(lambda real: real.crops),
    FLOOR: Damage(lambda real: REFERENCES["ground_truth_reencoded"](real.crops)),
    "blurred, σ 1 px": Damage(blurred, ("psnr", "ssim", "cpbd")),
    "tinted, ±12": Damage(tinted, ("psnr", "ssim")),
    "flickering, σ 4": Damage(flickering, ("psnr", "flicker")),
    "shaking, σ 1 px": Damage(shaking, ("psnr", "ssim", "jitter", "flicker")),
    "late by 3 frames": Damage(delayed, ("lmd", "lmd_iod", "nlmd", "mouth_correlation", "mouth_lag", "au_f1")),
    "mouth frozen": Damage(mouth_frozen, ("lmd", "lmd_iod", "nlmd", "mouth_correlation", "au_f1", "au_accuracy")),
    "no blinks": Damage(never_blinking, ("blink_rate",)),
    "blinks 0.16 s longer": Damage(blinking_longer, ("blink_duration", "blink_distance")),
    "somebody else": Damage(somebody_else, ("psnr", "ssim", "identity")),
    "hidden, each third": Damage(hidden, ("psnr", "ssim", "no_face")),
}
COLUMNS = (*METRICS, *POOLED)


def _rounded(frames: np.ndarray) -> np.ndarray:
    return np.rint(frames).clip(0, 255).astype(np.uint8)


def _pasted(real: Real, source: np.ndarray, points: list[int]) -> np.ndarray:
    """Crops whose region about some points is that of frame source[t], with soft edges."""
    frames, reach = real.crops.copy(), 0.15 * inter_ocular_distance(real.landmarks[0])
    for t, other in enumerate(source):
        if t != other:
            about = np.concatenate([real.landmarks[t, points], real.landmarks[other, points]])
            mask = np.zeros(frames.shape[1:3], np.float32)
            cv2.fillConvexPoly(mask, cv2.convexHull(np.rint(about).astype(np.int32)), 1)
            mask = cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, [2 * round(reach) + 1] * 2))
            mask = cv2.GaussianBlur(mask, (0, 0), reach / 3)[..., None]
            frames[t] = _rounded(mask * real.crops[other] + (1 - mask) * real.crops[t])
    return frames


def demo_clips(folder: Path) -> tuple[dict[str, Real], np.ndarray]:
    """CLIPS, rendered into a folder and cropped; and the template (68, 2) of these crops."""
    make_clips(folder, list(CLIPS), SEED, count("auto"))
    landmarks = read_landmarks(folder / "truth" / "landmarks.parquet")
    mean = template(np.stack([landmarks[clip][0] for clip in CLIPS]), IMAGE_SIZE, EYE_DISTANCE, EYE_HEIGHT)
    crops, moved = {}, {}
    for clip in CLIPS:
        transforms, moved[clip] = align_landmarks(landmarks[clip].astype(float), mean)
        frames = read_frames(folder / "VideoFlash" / f"{clip}.flv", FPS)
        crops[clip] = crop_faces(list(frames), transforms, IMAGE_SIZE)
    others = {clip: next(crops[other] for other in CLIPS if other[:4] != clip[:4]) for clip in CLIPS}
    return {clip: Real(crops[clip], moved[clip], others[clip]) for clip in CLIPS}, mean


def measured(clip: str, reals: dict[str, Real], template: np.ndarray) -> dict[str, Measured]:
    """What is measured of a clip with each of DAMAGES."""
    real = reals[clip]
    truth = Clip(real.crops, detect_landmarks(real.crops))
    found = {}
    for name, damage in DAMAGES.items():
        frames = damage.plant(real)
        found[name] = compare(truth, Clip(frames, detect_landmarks(frames)), template, FPS)
    return found


def figures(by_clip: dict[str, dict[str, Measured]]) -> pd.DataFrame:
    """A row for each of DAMAGES, a column for each of COLUMNS; NaN where a metric is undefined. by_clip: as of `measured`."""
    table = pd.DataFrame(
        {"system": name} | found.metrics for clips in by_clip.values() for name, found in clips.items()
    )
    pooled = {name: pooled_metrics([clips[name] for clips in by_clip.values()], FPS) for name in DAMAGES}
    means = {name: row | pooled[name] for name, row in summarise(table).items()}
    return pd.DataFrame.from_dict(means, orient="index", columns=COLUMNS).astype(float)


def unmoved(table: pd.DataFrame) -> list[tuple[str, str]]:
    """(damage, metric): those that do not notice what they are meant for.

    A metric notices where it is further from the truth's than re-encoding alone makes it, or is undefined where the truth's is
    not.
    """
    change = (table - table.loc["truth"]).abs()
    noticed = (change > change.loc[FLOOR].fillna(0)) | (table.isna() & table.loc["truth"].notna())
    return [
        (name, metric) for name, damage in DAMAGES.items() for metric in damage.meant if not noticed.loc[name, metric]
    ]


def draw(table: pd.DataFrame, path: Path) -> None:
    """Values, the darker the further from the truth's. Framed where they are meant to notice; in red where they do not."""
    change = (table - table.loc["truth"]).abs()
    shade = (change / change.max().replace(0, 1)).to_numpy()
    figure, axis = plt.subplots(figsize=(13.5, 0.9 + 0.36 * len(table)), layout="constrained")
    axis.imshow(np.nan_to_num(shade), cmap="Blues", vmin=0, vmax=1.3, aspect="auto")
    silent = set(unmoved(table))
    for (row, column), value in np.ndenumerate(table.to_numpy()):
        text = "–" if np.isnan(value) else f"{value:.3g}"
        axis.text(column, row, text, ha="center", va="center", fontsize=8)
        name, metric = table.index[row], table.columns[column]
        if metric in DAMAGES[name].meant:
            colour = "#c03020" if (name, metric) in silent else "#202020"
            axis.add_patch(
                Rectangle((column - 0.47, row - 0.45), 0.94, 0.9, fill=False, edgecolor=colour, linewidth=1.2)
            )
    axis.set_xticks(range(len(table.columns)), table.columns, rotation=35, ha="left", fontsize=8)
    axis.xaxis.tick_top()
    axis.set_yticks(range(len(table)), table.index, fontsize=9)
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)


@one_line_errors
def main() -> None:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m pipeline.evaluation.damage", description=__doc__, formatter_class=raw)
    parser.add_argument("--output", type=Path, default=Path("docs/metrics.png"), help="(default: %(default)s)")
    output = parser.parse_args().output
    with TemporaryDirectory() as folder:
        reals, mean = demo_clips(Path(folder))
    work = partial(measured, reals=reals, template=mean)
    results = dict(each(work, CLIPS, "damage"))
    table = figures({clip: results[clip] for clip in CLIPS})
    draw(table, output)
    print(table.T.to_string(float_format="%.4g"))
    for name, metric in unmoved(table):
        print(f"{name}: {metric} does not notice it")
    print(output)


if __name__ == "__main__":
    main()
