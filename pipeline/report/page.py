"""One page to look at, whatever it is of: sections, a leaderboard, and players that show every system side by side.

A page is a folder: `index.html`, which holds its style and script, and beside it pictures, videos and landmarks. It needs no
network. `pipeline.report.single_file` makes one file of it.
"""

import base64
import json
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy as np
from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup, escape

from pipeline.report.definitions import METRICS, Metric

TEMPLATES = Path(__file__).parent / "templates"
# Landmarks as the page holds them: whole numbers of 16 bits, in shares of the crop's side; and what stands where there is none.
PARTS, NO_FACE = 8192, -32768

Figures = dict[str, dict[str, Any]]  # system → metric → what is known of it, or None


class Section(NamedTuple):
    """A part of a page. template: a file in templates/, without its ending, that shows `content`."""

    title: str
    template: str
    content: dict[str, Any]


class Take(NamedTuple):
    """One clip of one system. landmarks: (T, 68, 2) in pixels of a crop of `size`, NaN without a face, or None; what the video
    shows is the whole of the crop, however large."""

    video: Path
    landmarks: np.ndarray | None
    size: int


def write_page(
    out: Path, title: str, about: Sequence[str], sections: Sequence[Section], missing: Sequence[str] = ()
) -> None:
    """Write `out`/index.html, whole or not at all. Text is escaped; what stands between backticks in sentences is code.

    about: sentences at its head. missing: sentences on what a reader would look for in vain. Addresses in `sections` are
    relative to `out`, as `address` makes them.
    """
    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["sentence"] = with_code
    shown = [
        (section.title, environment.get_template(f"{section.template}.html.jinja").render(section.content))
        for section in sections
    ]
    page = environment.get_template("page.html.jinja").render(title=title, about=about, missing=missing, sections=shown)
    out.mkdir(parents=True, exist_ok=True)
    partial = out / "index.html.partial"
    partial.write_text(page)
    os.replace(partial, out / "index.html")


def with_code(sentence: str) -> Markup:
    """A sentence as HTML."""
    return Markup(re.sub(r"`(.+?)`", r"<code>\1</code>", str(escape(sentence))))


def address(out: Path, path: Path) -> str:
    """How the page in `out` names a file beside it."""
    return quote(path.relative_to(out).as_posix())


def gallery(out: Path, title: str, paths: dict[str, Path], about: str = "") -> Section:
    """A section of pictures, by their titles; `about` stands above them."""
    addresses = {name: address(out, path) for name, path in paths.items()}
    return Section(title, "gallery", {"about": about, "pictures": addresses})


def figures(
    title: str,
    about: str,
    rows: Figures,
    metrics: dict[str, Metric],
    out: Path = Path(),
    paths: dict[str, Path] | None = None,
) -> Section:
    """A section with a table that can be sorted, of the metrics that some row has, and pictures in `out` by their titles."""
    shown = {name: address(out, path) for name, path in (paths or {}).items()}
    content = {"label": title, "about": about, "rows": rows, "metrics": defined(metrics, rows), "pictures": shown}
    return Section(title, "figures", content)


def defined(metrics: dict[str, Metric], rows: Figures) -> dict[str, Metric]:
    """Those metrics that some row has a value of."""
    return {key: metric for key, metric in metrics.items() if any(row.get(key) is not None for row in rows.values())}


def undefined(rows: Figures, metrics: dict[str, Metric] = METRICS) -> list[Metric]:
    """Those that were measured, and of which no row has a value."""
    measured = {key for row in rows.values() for key in row}
    return [metric for key, metric in metrics.items() if key in measured and key not in defined(metrics, rows)]


def leaderboard(
    title: str,
    means: Figures,
    intervals: Figures,
    signs: Figures | None = None,
    playable: Sequence[str] = (),
    by_clip: Sequence[str] = (),
    metrics: dict[str, Metric] = METRICS,
    notes: Sequence[str] = (),
) -> Section:
    """All systems × metrics, to be sorted by any of them, with what each means.

    means, intervals: of each system; [low, high] or None. signs: 1 where a figure is surely better than the still photo's, −1
    where worse, 0 where the clips cannot tell; without them the page speaks of no marks. playable: systems that the players
    show, by_clip: metrics that single clips have: such a figure leads to the clip in which it is worst. metrics: the columns;
    one that no system has is left out. notes: small print.
    """
    shown = defined(metrics, means)
    compared = {key for of_system in (signs or {}).values() for key in of_system}
    content = {"means": means, "intervals": intervals, "signs": signs, "metrics": shown, "notes": notes}
    content["unsigned"] = [metric.label for key, metric in shown.items() if key not in compared]
    return Section(title, "leaderboard", content | {"playable": playable, "by_clip": by_clip})


def players(
    out: Path,
    clips: dict[str, dict[str, Take]],
    truths: dict[str, str],
    fps: float,
    values: dict[str, Figures],
    metrics: dict[str, Metric] = METRICS,
) -> Section:
    """Every system's video of one clip side by side, in step, heard with the real one's sound; copies them to `out`.

    clips: by clip, by system; the first system is the real one, which leads. A system that lacks a clip is not shown in it.
    truths: system → the one that holds its real landmarks. values: by clip, the figures that single clips have.
    """
    shown = {}
    for clip, takes in clips.items():
        videos = {system: out / "videos" / system / f"{clip}.mp4" for system in takes}
        for system, path in videos.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(takes[system].video, path)
        found = {system: packed(take) for system, take in takes.items() if take.landmarks is not None}
        script = out / "landmarks" / f"{clip}.js"
        script.parent.mkdir(parents=True, exist_ok=True)
        # A page that was opened from a disk may load scripts, and no other data.
        script.write_text(f"receiveLandmarks({json.dumps(clip)}, {json.dumps(found)});\n")
        shown[clip] = {
            "videos": {system: address(out, path) for system, path in videos.items()},
            "landmarks": address(out, script),
        }
    systems = list(dict.fromkeys(system for takes in clips.values() for system in takes))
    of_clips = {
        key: m for key, m in metrics.items() if any(key in row for of in values.values() for row in of.values())
    }
    data = {
        "fps": fps,
        "real": systems[0],
        "truths": {system: truths[system] for system in systems},
        "clips": shown,
        "values": values,
        "metrics": {key: metric._asdict() for key, metric in of_clips.items()},
        "parts": PARTS,
        "noFace": NO_FACE,
    }
    return Section("Clips, side by side", "players", {"systems": systems, "data": data, "metrics": of_clips})


def packed(take: Take) -> str:
    """A take's landmarks for the page: base64 of little-endian int16 (T, 68, 2)."""
    shares = (take.landmarks + 0.5) / take.size
    whole = np.nan_to_num(np.round(PARTS * shares), nan=NO_FACE).clip(NO_FACE, -NO_FACE - 1)
    return base64.b64encode(whole.astype("<i2").tobytes()).decode()


def worst_clips(values: dict[str, Figures], metrics: dict[str, Metric] = METRICS) -> list[str]:
    """The clips in which some system has its worst figure by some metric, where clips differ. values: by clip, by system."""
    worst = set()
    for system in dict.fromkeys(system for of_clip in values.values() for system in of_clip):
        for key, metric in metrics.items():
            found = {clip: of_clip.get(system, {}).get(key) for clip, of_clip in values.items()}
            badness = {clip: metric.badness(value) for clip, value in found.items() if value is not None}
            if len(set(badness.values())) > 1:
                worst.add(max(badness, key=badness.get))
    return sorted(worst)
