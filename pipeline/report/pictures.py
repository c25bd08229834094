"""Contact sheets, loss curves and bar charts, as PNG."""

import math
import os
from collections.abc import Sequence
from pathlib import Path

import cv2
import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from pipeline.features.blinks import Blinks
from pipeline.papers.registry import SYSTEMS
from pipeline.references import COLOURS as REFERENCE_COLOURS

# In the order of charts.
COLOURS = REFERENCE_COLOURS | {name: declared.colour for name, declared in SYSTEMS.items()}
# What the charts show of metrics/evaluation.json: label, and which way is better.
CHARTED = {
    "lmd": "LMD (px) ↓",
    "mouth_correlation": "mouth-opening correlation ↑",
    "psnr": "PSNR (dB) ↑",
    "ssim": "SSIM ↑",
    "au_f1": "action units, F1 ↑",
}


def contact_sheet(rows: dict[str, np.ndarray], step: int, max_columns: int = 14, size: int = 96) -> np.ndarray:
    """Every `step`-th frame of each clip in `rows` (name → uint8 (T, S, S, 3)), one named row each: uint8 (H, W, 3)."""
    strips = []
    label = 16 + max(cv2.getTextSize(name, cv2.FONT_HERSHEY_SIMPLEX, 0.42, 1)[0][0] for name in rows)
    for name, frames in rows.items():
        images = [cv2.resize(f, (size, size), interpolation=cv2.INTER_CUBIC) for f in frames[::step][:max_columns]]
        strip = np.concatenate([np.full((size, label, 3), 255, np.uint8), *images], axis=1)
        cv2.putText(strip, name, (6, size // 2 + 4), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
        strips.append(strip)
    width = max(strip.shape[1] for strip in strips)
    padded = [np.pad(s, ((0, 0), (0, width - s.shape[1]), (0, 0)), constant_values=255) for s in strips]
    return np.concatenate(padded)


def stacked(sheets: Sequence[np.ndarray], gap: int = 12) -> np.ndarray:
    """Sheets uint8 (H, W, 3), one below the other on white, `gap` pixels after each."""
    width = max(sheet.shape[1] for sheet in sheets)
    padded = [np.pad(s, ((0, gap), (0, width - s.shape[1]), (0, 0)), constant_values=255) for s in sheets]
    return np.concatenate(padded)


def with_landmarks(frames: np.ndarray, landmarks: np.ndarray, size: int) -> np.ndarray:
    """Crops uint8 (T, S, S, 3), enlarged to `size` pixels, with a dot on each of their landmarks (T, 68, 2)."""
    scale, drawn = size / frames.shape[1], []
    for frame, points in zip(frames, landmarks, strict=True):
        image = cv2.resize(frame, (size, size), interpolation=cv2.INTER_CUBIC)
        for x, y in (points + 0.5) * scale - 0.5:
            cv2.circle(image, (round(16 * x), round(16 * y)), 16, (80, 255, 80), -1, cv2.LINE_AA, shift=4)
        drawn.append(image)
    return np.stack(drawn)


def thumbnail(frame: np.ndarray, size: int = 96) -> np.ndarray:
    """A frame uint8 (H, W, 3) as a whole in a white square: (size, size, 3)."""
    height, width = frame.shape[:2]
    scale = size / max(height, width)
    small = cv2.resize(
        frame, (max(1, round(width * scale)), max(1, round(height * scale))), interpolation=cv2.INTER_AREA
    )
    top, left = (size - small.shape[0]) // 2, (size - small.shape[1]) // 2
    square = np.full((size, size, 3), 255, np.uint8)
    square[top : top + small.shape[0], left : left + small.shape[1]] = small
    return square


def histograms(path: Path, values: dict[str, pd.Series]) -> None:
    """One panel for each of `values`, label → a number per clip."""
    figure, axes = plt.subplots(2, -(-len(values) // 2), figsize=(13, 5), layout="constrained")
    for axis, (label, of_clips) in zip(axes.flat, values.items(), strict=False):
        axis.hist(of_clips, bins=30, color="#4c72b0")
        axis.set_title(label, fontsize=9)
        axis.spines[["top", "right"]].set_visible(False)
    for axis in axes.flat[len(values) :]:
        axis.remove()
    figure.supylabel("clips", fontsize=9)
    _save(figure, path)


def with_header(sheet: np.ndarray, columns: Sequence[str], size: int = 96, height: int = 22) -> np.ndarray:
    """A contact sheet of images `size` wide with a name above each: uint8 (H, W, 3) → (H + height, W, 3)."""
    header = np.full((height, sheet.shape[1], 3), 255, np.uint8)
    left = sheet.shape[1] - len(columns) * size
    for k, name in enumerate(columns):
        cv2.putText(header, name, (left + k * size + 6, 15), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
    return np.concatenate([header, sheet])


def confusion_matrices(path: Path, matrices: dict[str, np.ndarray], names: Sequence[str]) -> None:
    """One panel per matrix (title → int (n, n)): rows are what was wanted, columns what was recognised, as shares of a row."""
    figure, axes = plt.subplots(1, len(matrices), figsize=(4.2 * len(matrices), 4), layout="constrained", squeeze=False)
    for axis, (title, matrix) in zip(axes.flat, matrices.items(), strict=True):
        shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
        axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for (row, column), n in np.ndenumerate(matrix):
            axis.text(
                column, row, str(n), ha="center", va="center", color="white" if shares[row, column] > 0.6 else "black"
            )
        axis.set_xticks(range(len(names)), names, fontsize=8)
        axis.set_yticks(range(len(names)), names, fontsize=8)
        axis.set_xlabel("recognised", fontsize=9)
        axis.set_ylabel("wanted", fontsize=9)
        axis.set_title(title, fontsize=10)
    _save(figure, path)


def save_image(path: Path, image: np.ndarray) -> None:
    """Write an RGB image as PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image[..., ::-1])


def bar_chart(path: Path, means: dict[str, dict], intervals: dict[str, dict], colours: dict[str, str]) -> None:
    """One panel per metric of CHARTED, a bar per system of `colours`, with the 95 % interval where there is one."""
    systems = list(colours)
    figure, axes = plt.subplots(
        1, len(CHARTED), figsize=(15, 0.8 + 0.28 * len(systems)), sharey=True, layout="constrained"
    )
    for axis, (metric, label) in zip(axes, CHARTED.items(), strict=True):
        for place, system in enumerate(systems):
            value = means[system][metric]
            # The truth's own PSNR is a cap and its LMD nought: they would flatten the rest.
            if value is None or (system.startswith("ground_truth") and metric == "psnr"):
                continue
            low, high = intervals[system][metric] or (value, value)
            axis.barh(place, value, color=colours[system], xerr=[[value - low], [high - value]], capsize=3)
        axis.set_title(label, fontsize=10)
        axis.set_yticks(range(len(systems)), systems, fontsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].invert_yaxis()
    _save(figure, path)


def loss_curves(path: Path, losses: dict[str, pd.DataFrame]) -> None:
    """One panel per column of the trainings' loss tables, a line per training."""
    # First what all of them have: its panel bears the legend.
    columns = dict.fromkeys(["validation_error", *(column for table in losses.values() for column in table.columns)])
    columns = [column for column in columns if column not in ("phase", "epoch")]
    n_rows = -(-len(columns) // 3)
    figure, axes = plt.subplots(n_rows, 3, figsize=(13, 2.8 * n_rows), layout="constrained", squeeze=False)
    for axis, column in zip(axes.flat, columns, strict=False):
        for k, (training, table) in enumerate(losses.items()):
            if column in table:
                axis.plot(
                    table["epoch"], table[column], ".-", markersize=3, label=training.replace("_", " "), color=f"C{k}"
                )
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.set_title(column.replace("_", " "), fontsize=10)
        axis.set_xlabel("epoch", fontsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    for axis in axes.flat[len(columns) :]:
        axis.remove()
    axes.flat[0].legend(fontsize=7, frameon=False)
    _save(figure, path)


def opening_curves(
    path: Path, openings: dict[str, np.ndarray], truths: dict[str, np.ndarray], colours: dict[str, str], fps: float
) -> None:
    """Mouth opening over time of one clip: system → (T,), in inter-ocular distances; its truth lies grey behind each."""
    shown = {system: opening for system, opening in openings.items() if not system.startswith("ground_truth")}
    n = math.ceil(len(shown) / 3)
    figure, axes = plt.subplots(
        n, 3, figsize=(13, 1.5 * n + 0.4), layout="constrained", squeeze=False, sharex=True, sharey=True
    )
    for axis, (system, opening) in zip(axes.flat, shown.items(), strict=False):
        truth = truths[system]
        axis.fill_between(np.arange(len(truth)) / fps, truth, color=COLOURS["ground_truth"], alpha=0.2, linewidth=0)
        axis.plot(np.arange(len(opening)) / fps, opening, color=colours[system], linewidth=1.8)
        axis.set_title(f"{system}: no face found" if np.isnan(opening).all() else system, fontsize=9)
        axis.spines[["top", "right"]].set_visible(False)
    for axis in axes.flat[len(shown) :]:
        axis.remove()
    figure.supxlabel("seconds", fontsize=9)
    figure.supylabel("mouth opening", fontsize=9)
    _save(figure, path)


def blink_distributions(path: Path, blinks: dict[str, Blinks], fps: float) -> None:
    """Durations, blinks per clip and intervals (Sinha 2020, Fig. 11) of `ground_truth` and `generated`, as shares of each."""
    # Times are whole numbers of frames, of which every bin holds as many as any other: its width, and where the first begins.
    frame = 1 / fps
    bins = {"durations": (frame, -frame / 2), "counts": (1, -0.5), "intervals": (4 * frame, -frame / 2)}
    colours = {"ground_truth": COLOURS["ground_truth"], "generated": COLOURS["sinha"]}
    panels = {"duration (s)": "durations", "blinks per clip": "counts", "start to start of the next (s)": "intervals"}
    figure, axes = plt.subplots(1, len(panels), figsize=(12, 2.8), layout="constrained")
    for axis, (label, field) in zip(axes, panels.items(), strict=True):
        samples = {name: getattr(found, field) for name, found in blinks.items()}
        together = np.concatenate(list(samples.values()))
        width, start = bins[field]
        edges = start + width * np.arange((together.max(initial=0) - start) // width + 2)
        for name, values in samples.items():
            shares = np.full(len(values), 1 / max(1, len(values)))
            label_n = f"{name.replace('_', ' ')}, n = {len(values)}"
            axis.hist(values, edges, weights=shares, color=colours[name], alpha=0.6, label=label_n)
        axis.set_title(label, fontsize=10)
        axis.legend(fontsize=7, frameon=False)
        axis.spines[["top", "right"]].set_visible(False)
    _save(figure, path)


def curves(
    path: Path,
    panels: dict[str, dict[str, Sequence[float]]],
    ticks: Sequence[str],
    x_label: str,
    colours: dict[str, str],
) -> None:
    """Two panels in a row, by their titles: in each a line through as many values as there are ticks, by its name."""
    rows = -(-len(panels) // 2)
    figure, axes = plt.subplots(rows, 2, figsize=(11, 2.9 * rows + 0.6), layout="constrained", squeeze=False)
    for axis, (title, lines) in zip(axes.flat, panels.items(), strict=False):
        for name, values in lines.items():
            axis.plot(range(len(ticks)), values, ".-", color=colours[name], label=name)
        axis.set_xticks(range(len(ticks)), ticks, fontsize=9)
        axis.set_title(title, fontsize=10)
        axis.spines[["top", "right"]].set_visible(False)
    for axis in axes.flat[len(panels) :]:
        axis.remove()
    figure.legend(
        *axes.flat[0].get_legend_handles_labels(), loc="outside upper center", ncols=4, fontsize=8, frameon=False
    )
    figure.supxlabel(x_label, fontsize=9)
    _save(figure, path)


def _save(figure: plt.Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    # Without the writer's name and version equal plots are equal files.
    figure.savefig(partial, dpi=110, format="png", metadata={"Software": None})
    plt.close(figure)
    os.replace(partial, path)
