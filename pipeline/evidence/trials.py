"""A finished run as it would be, had its systems been driven otherwise: other speech, other photos, other landmarks.

What is measured, and against what, is as in the run's own evaluation, so that the figures stand beside its own. What was tried
is kept in data/papers/trials, and only what changed is made again.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline import code
from pipeline.corpus.incremental import Job, Made, process
from pipeline.corpus.shards import Shards
from pipeline.corpus.tables import Tables
from pipeline.evaluation.action_units import Counts
from pipeline.evaluation.evaluate import METRICS, Clip, Measured, check, compare
from pipeline.evaluation.generated import about_faces, compared, truth_of
from pipeline.evaluation.landmark import detect_landmarks
from pipeline.papers.registry import PAPER_OF
from pipeline.report.run import Run
from pipeline.synthesis import HeldOutClips, seed_of
from pipeline.systems.system import System, load_system

# Draws a test clip: (system, the run's clips, the clip's id, its seed) → frames uint8 (T, S, S, 3), as many as are real.
# A function of a module, or `partial` of one with its settings by name: workers import it, and it tells what was made before.
Draw = Callable[[System, HeldOutClips, str, int], np.ndarray]

_system = cache(load_system)  # once per process
_clips = cache(HeldOutClips)


def some(run: Run, n: int) -> list[str]:
    """n clips of the split that the run is judged by, or all, spread evenly over the sorted list, and so over people."""
    clips = sorted(run.clips.index[run.clips["split"] == run.value("evaluation.split")])
    n = min(n, len(clips))
    return [clips[k * len(clips) // n] for k in range(n)]


def tried(run: Run, systems: Sequence[str], clips: Sequence[str], draw: Draw, label: str) -> Run:
    """The run, with these systems' figures of these clips as they are where `draw` draws them.

    Its rows are the references that frame a table and those systems; it has no other clips. label: of the trial, a file's name.
    Raises UserError where a system cannot be loaded, or a clip not be drawn.
    """
    rows = [row for row in run.rows if row.is_reference or row.of in systems]
    found = {row.name: _measured(run, row.of, clips, draw, label) for row in rows if not row.is_reference}
    by_clip = {(name, clip): of_clip.metrics for name, of_row in found.items() for clip, of_clip in of_row.items()}
    own = only(run, [row.of for row in rows if row.is_reference], clips)
    made = pd.DataFrame.from_dict(by_clip, orient="index", columns=list(METRICS))
    made.index = pd.MultiIndex.from_tuples(by_clip, names=own.metrics.index.names)
    return replace(own, rows=rows, metrics=pd.concat([own.metrics, made]), measured=own.measured | found)


def only(run: Run, of: Sequence[str], clips: Sequence[str]) -> Run:
    """The run without all but these systems and references, and these clips: what its trials are compared with."""
    rows = [row for row in run.rows if row.of in of]
    names = [row.name for row in rows]
    metrics = run.metrics[
        run.metrics.index.get_level_values("system").isin(names)
        & run.metrics.index.get_level_values("clip").isin(clips)
    ]
    measured = {name: {clip: run.measured[name][clip] for clip in clips} for name in names if name in run.measured}
    return replace(run, rows=rows, clips=run.clips.loc[list(clips)], metrics=metrics, measured=measured)


def _measured(run: Run, system: str, clips: Sequence[str], draw: Draw, label: str) -> dict[str, Measured]:
    """What is measured of each clip as the system draws it."""
    data, stage = (run.folder / "data").absolute(), f"papers/trials/{label}/{system}"
    folder, paper = data / "systems" / system, PAPER_OF[system]
    faces, rate = run.value(f"{paper}.faces"), run.value("audio_features.sample_rate")
    settings = {"seed": run.value("seed"), "detection_size": run.value("evaluation.detection_size")}
    function, chosen = getattr(draw, "func", draw), getattr(draw, "keywords", {})
    inputs = (_system(folder).checksum, repr([function.__qualname__, chosen, settings]))
    jobs = {clip: Job((*inputs, _clips(data, faces, rate).crops.digest(clip)), clip) for clip in clips}
    work = partial(_try, folder=folder, data=data, faces=faces, rate=rate, draw=draw, **settings)
    modules = (__name__, function.__module__, f"pipeline.papers.{paper}.use")
    made_by = code.fingerprint(*(f"{module.replace('.', '/')}.py" for module in modules))
    done = process(
        stage, work, jobs, max_rejected=0.0, workers=run.value("compute.workers"), data=data, made_by=made_by
    )
    tracks, units = Tables(data / stage / "tracks"), Shards(data / stage / "units")
    return {
        row["clip"]: Measured(
            {metric: np.nan if row[metric] is None else row[metric] for metric in METRICS},
            Counts(*units[row["clip"]]),
            *(tracks[row["clip"]][name] for name in ("opening", "eyes", "true_eyes")),
        )
        for row in done
    }


def _try(
    clip: str, folder: Path, data: Path, faces: str, rate: int, draw: Draw, seed: int, detection_size: int
) -> Made:
    """Draw a clip and measure it against the real one, as the stages synthesis, detection and evaluation do."""
    system = _system(folder)
    frames = draw(system, _clips(data, faces, rate), clip, seed_of(clip, seed))
    rows, about = compared(data), about_faces(faces, data)
    real = truth_of(next(row for row in rows if row.of == system.name), rows)
    truth, made = (
        Clip(real.frames(data)[clip], real.found(data)[clip]),
        Clip(frames, detect_landmarks(frames, detection_size)),
    )
    found = compare(truth, made, np.array(about["template"]), about["fps"])
    check(found, truth, made, clip, system.name)
    tracks = {"opening": found.opening, "eyes": found.eyes, "true_eyes": found.true_eyes}
    return Made({"units": np.stack(found.action_units)}, {"tracks": tracks}, found.metrics)
