"""Pictures of the frames that a run's systems made of its test clips."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from pipeline.errors import UserError
from pipeline.evaluation.generated import Compared, compared, truth_of
from pipeline.report.pictures import contact_sheet, stacked
from pipeline.report.run import Run
from pipeline.results import sheet_clips
from pipeline.synthesis import HeldOutClips


def shown_clips(run: Run) -> list[str]:
    """Two clips to look at, of different people where there are. Raises UserError where no frames are at hand."""
    clips = sheet_clips(run)
    if not clips:
        raise UserError("data/synthesis holds no frames of the clips that were measured; `make repro` makes them")
    return clips


def held_out(run: Run, paper: str) -> HeldOutClips:
    """The run's test clips as a paper's systems see them."""
    return HeldOutClips(run.folder / "data", run.value(f"{paper}.faces"), run.value("audio_features.sample_rate"))


def one_of_each(clips: HeldOutClips, column: str) -> list[str]:
    """The first clip of each subject, or of each split."""
    return list(clips.table.sort_index().drop_duplicates(column).index)


def rows_of_frames(run: Run, systems: Iterable[str], clips: Iterable[str], step: int, n_frames: int) -> np.ndarray:
    """The truth and each of the systems, a row each, every `step`-th frame; one clip below the other: uint8 (H, W, 3).

    Raises UserError where none of the systems was synthesised.
    """
    data = run.folder / "data"
    everything = compared(data)
    rows = [row for row in everything if row.of in systems]
    if not rows:
        raise UserError(f"data/synthesis: {', '.join(systems)}: no frames; `make repro` makes them")
    shown = [truth_of(rows[0], everything), *rows]
    return stacked([contact_sheet(_frames(shown, data, clip), step, n_frames) for clip in clips])


def _frames(rows: list[Compared], data: Path, clip: str) -> dict[str, np.ndarray]:
    return {row.of.replace("_", " "): row.frames(data)[clip] for row in rows}


def who(run: Run, clips: Iterable[str]) -> str:
    """Whom clips show and what they say, for a caption: s1, "bbaf2n"; s4, "lwaz3s"."""
    return "; ".join(f"{run.clips.loc[clip, 'subject']}, sentence {run.clips.loc[clip, 'sentence']}" for clip in clips)
