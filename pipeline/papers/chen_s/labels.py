"""Which action units occur in a clip's frames, as Chen S.'s networks are told it."""

import numpy as np
import torch

from pipeline.errors import UserError
from pipeline.papers.chen_s.action_units import AUS
from pipeline.training.data import ClipStore, Excerpts


def au_labels(store: ClipStore, clip: str) -> np.ndarray:
    """A clip's action units in the order of AUS, float32 (T, 5): 1 where one occurs, 0 where not, NaN in missing frames."""
    units = store.action_units[clip]
    labels = np.stack([units[f"AU{au:02d}_c"] for au in AUS], axis=1).astype(np.float32)
    labels[np.isnan([units[f"AU{au:02d}_r"] for au in AUS]).any(axis=0)] = np.nan
    return labels


class LabelledExcerpts(Excerpts):
    """Excerpts that know their clips' action units.

    occurrence: (5,), the share of the training split's labelled frames in which each occurs. Raises UserError where no frame is
    labelled.
    """

    def __init__(self, store: ClipStore, length: int, batch: int):
        super().__init__(store, length, batch)
        self.labels = {clip: au_labels(store, clip) for clip in [*self.train, *store.validation]}
        frames = np.concatenate([self.labels[clip] for clip in self.train])
        labelled = frames[~np.isnan(frames).any(axis=1)]
        if not len(labelled):
            raise UserError("data/action_units: no training clip has a frame with action units, so none can be learned")
        self.occurrence = torch.from_numpy(labelled.mean(axis=0))
        found = ", ".join(f"AU{au} {share:.1%}" for au, share in zip(AUS, self.occurrence.tolist(), strict=True))
        print(f"share of the training frames in which each action unit occurs: {found}")
