"""Real faces as other people's and other cameras would have them: what judges of generated clips learn from."""

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

# How far training clips are moved, for faces differ in shape and place, and a few subjects are all that is seen of them: shares
# of the crop's width, of scale (width and height on their own), and degrees.
SHIFT, SCALE, TURN = 0.04, 0.06, 4.0
GAMMA = 0.4  # exponents from e^−0.4 to e^0.4


def changed(frames: Tensor, rng: np.random.Generator) -> Tensor:
    """The frames of a clip (T, 3, S, S), all mirrored or not, moved, stretched, turned and brightened alike."""
    turn = math.radians(rng.uniform(-TURN, TURN))
    rotation = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    linear = rotation * (1 + rng.uniform(-SCALE, SCALE, 2))
    linear[0] *= rng.choice([-1, 1])
    place = np.column_stack([linear, rng.uniform(-2 * SHIFT, 2 * SHIFT, 2)])  # coordinates are −1 … 1 across the crop
    grid = F.affine_grid(torch.from_numpy(place).float()[None], frames[:1].shape, align_corners=False)
    moved = F.grid_sample(frames, grid.expand(len(frames), -1, -1, -1), padding_mode="border", align_corners=False)
    return ((moved + 1) / 2).clamp(0, 1) ** math.exp(rng.uniform(-GAMMA, GAMMA)) * 2 - 1
