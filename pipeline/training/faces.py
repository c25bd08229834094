"""What the training split knows of faces in general, for systems that move the mean face (Sinha 2020, §III-A)."""

import numpy as np

from pipeline.features.canonical import canonical_displacements, opening_motion
from pipeline.features.landmarks import lip_gap
from pipeline.training.data import ClipStore


def face_statistics(store: ClipStore) -> dict[str, np.ndarray]:
    """The training split's neutral face, and how a face moves with its mouth; `store` has landmarks and neutral faces.

    mean_neutral: (68, 2), crop pixels, of the subjects' neutral faces, each the mean of its clips';
    opening_motion: (68, 2), crop pixels on the mean face at a gap of the lips of 1 beyond the neutral one;
    neutral_gap: (), mean gap of the neutral faces' lips.
    """
    subjects = store.clips.loc[store.train].groupby("subject").groups.values()
    neutrals = np.stack([np.mean([store.neutral[clip] for clip in clips], axis=0) for clips in subjects])
    mean_neutral = neutrals.mean(axis=0)

    def motion(clip: str) -> tuple[np.ndarray, np.ndarray]:
        landmarks, neutral = store.steadied(clip), store.neutral[clip]
        displacements = canonical_displacements(landmarks, neutral, mean_neutral)
        return displacements, lip_gap(landmarks) - lip_gap(neutral)

    return {
        "mean_neutral": mean_neutral,
        "opening_motion": opening_motion(map(motion, store.train)),
        "neutral_gap": lip_gap(neutrals).mean(),
    }
