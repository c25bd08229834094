"""A system on another corpus than it was trained on: as it is, and beside what was trained there (Chen S. 2021, Figs. 10, 11).

The other corpus is another project's folder, in which it was prepared and a system trained on it: anew, or going on from a
system of this run (`init_from`, docs/adapt.md). Both can be given, each in a folder of its own.
"""

from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path

import numpy as np

from pipeline.errors import UserError
from pipeline.evaluation.generated import compared, truth_of
from pipeline.evidence.declaration import Made
from pipeline.evidence.frames import held_out, shown_clips, who
from pipeline.evidence.tables import beside, row_of
from pipeline.evidence.trials import only, tried
from pipeline.papers.registry import PAPER_OF
from pipeline.report.pictures import contact_sheet, save_image, stacked
from pipeline.report.run import Run
from pipeline.results import LAYOUTS, title
from pipeline.synthesis import HeldOutClips, drawn_frames, seed_of
from pipeline.systems.system import System, checksum, load_system
from pipeline.training.trained import read_card

FIGURES = ("psnr", "ssim", "lmd", "lmd_share", "mouth_correlation", "au_f1", "identity")
STEP, N_FRAMES = 4, 12

_system = cache(load_system)  # once per process


def drawn_by(system: System, clips: HeldOutClips, clip: str, seed: int, folder: str, weights: str) -> np.ndarray:
    """A clip as the system in `folder` draws it, in the place of the clip's own. weights: their checksum, which tells one
    training of it from another."""
    stranger = _system(Path(folder))
    return drawn_frames(stranger, clips.crops[clip][0], clips.driving(clip, stranger), seed)


def across(run: Run, others: Sequence[Run], system: str, out: Path, picture: str) -> Made:
    """The run's system on the test clips of another corpus, beside those that were trained there.

    others: runs on that corpus. Raises UserError where they have no clip in common, lack the system, or see crops of another
    size.
    """
    folder = run.folder / "data" / "systems" / system
    first, size = others[0], read_card(folder)["preprocessing"]["image_size"]
    for other in others:
        if (theirs := other.value(f"faces.{row_of(other, system).faces}.image_size")) != size:
            raise UserError(f"{other.folder}: {system} sees crops of {theirs} px there, and of {size} px here")
    clips = sorted(set.intersection(*(set(other.clips.index) for other in others)))
    if not clips:
        raise UserError(f"{' and '.join(str(other.folder) for other in others)} have no test clip in common")
    draw = partial(drawn_by, folder=str(folder.absolute()), weights=checksum(folder))
    of = ("static", "ground_truth_reencoded", system)
    strange = tried(first, [system], clips, draw, f"across/{checksum(folder)}")
    runs = {f"`{system}` of {title(run)}, as it is": strange} | {
        f"`{system}`, {how_trained(other, system)}": only(other, of, clips) for other in others
    }
    shown = shown_clips(first)
    save_image(out / picture, stacked([_sheet(run, others, system, clip) for clip in shown]))
    caption = (
        f"{who(first, shown)}: the truth, the system of this run as it is, and {'; '.join(list(runs)[1:])}. All begin with the "
        "same photo."
    )
    return Made(beside(runs, system, list(runs)[-1], FIGURES), {picture: caption}, tuple(_notes(run, first, system)))


def how_trained(run: Run, system: str) -> str:
    """What its card says of what a run's system learned from: "trained there", or going on from what."""
    began = {
        LAYOUTS.get(network["initial"]["corpus"]["layout"], "another corpus")
        for network in run.cards[system]["networks"].values()
        if network.get("initial")
    }
    return f"trained there, going on from a system of {', '.join(sorted(began))}" if began else "trained there alone"


def _sheet(run: Run, others: Sequence[Run], system: str, clip: str) -> np.ndarray:
    """Frames of one clip: the truth, the run's system as it is, the others' own."""
    first = others[0]
    data, everything = first.folder / "data", compared(first.folder / "data")
    own = next(row for row in everything if row.of == system)
    stranger, clips = load_system(run.folder / "data" / "systems" / system), held_out(first, PAPER_OF[system])
    driving, seed = clips.driving(clip, stranger), seed_of(clip, first.value("seed"))
    rows = {
        "truth": truth_of(own, everything).frames(data)[clip],
        "as it is": drawn_frames(stranger, clips.crops[clip][0], driving, seed),
    }
    for other in others:
        made = next(row for row in compared(other.folder / "data") if row.of == system)
        rows[how_trained(other, system)] = made.frames(other.folder / "data")[clip]
    return contact_sheet(rows, STEP, N_FRAMES)


def _notes(run: Run, other: Run, system: str) -> list[str]:
    here, there = (np.array(of.cards[system]["preprocessing"]["template"]) for of in (run, other))
    if np.allclose(here, there, atol=1e-6):
        return []
    return [
        "The other corpus's faces are placed by its own mean face, and not by the one that the system learned on: up to "
        f"{np.abs(here - there).max():.1f} px lie between the two. `template` of its `faces` can name the system's folder."
    ]
