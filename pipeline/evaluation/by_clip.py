"""What was measured of each clip, in tables: its METRICS, its tracks frame by frame, and its counts of action units.

Means over any choice of clips are taken from these, with what has to be pooled over their frames.
"""

from pathlib import Path

import pandas as pd

from pipeline.corpus.tables import write_table
from pipeline.evaluation.action_units import Counts
from pipeline.evaluation.evaluate import Measured
from pipeline.features.action_units.units import AUS

CLIPS, TRACKS, UNITS = "clips.parquet", "tracks.parquet", "action_units.parquet"


def write_tracks(folder: Path, measured: dict[str, dict[str, Measured]]) -> None:
    """Write the tracks and the counts of action units. measured: by clip, by system."""
    each = [(clip, name, found) for clip, of_clip in measured.items() for name, found in of_clip.items()]
    tracks = [
        pd.DataFrame(
            {"clip": clip, "system": name, "opening": found.opening, "eyes": found.eyes, "true_eyes": found.true_eyes}
        )
        for clip, name, found in each
    ]
    units = [
        pd.DataFrame({"clip": clip, "system": name, "au": AUS} | found.action_units._asdict())
        for clip, name, found in each
    ]
    write_table(pd.concat(tracks), folder / TRACKS)
    write_table(pd.concat(units), folder / UNITS)


def read_measured(folder: Path) -> dict[str, dict[str, Measured]]:
    """What was measured of tracks and action units, without METRICS: by system, by clip.

    Raises FileNotFoundError where a table is missing.
    """
    tracks, units = (pd.read_parquet(folder / name) for name in (TRACKS, UNITS))
    counts = {
        key: Counts(*(of_clip[field].to_numpy() for field in Counts._fields))
        for key, of_clip in units.groupby(["system", "clip"])
    }
    measured: dict[str, dict[str, Measured]] = {}
    for (system, clip), track in tracks.groupby(["system", "clip"], sort=False):
        columns = (track[name].to_numpy() for name in ("opening", "eyes", "true_eyes"))
        found = Measured({}, counts[system, clip], *columns)
        measured.setdefault(system, {})[clip] = found
    return measured
