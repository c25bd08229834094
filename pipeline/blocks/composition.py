"""Frames that are composed of a photo and of what is drawn anew, pixel by pixel, by a map of change."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.linalg import vector_norm

# What the map of change is at first: the photo is seen through what is drawn at random, and what it has right need not be
# learned. From ½ a generator redraws the whole face before it knows where it need not.
FIRST_CHANGE = 0.1


class Frames(NamedTuple):
    """Frames that a generator draws; and, where they are composed, of what: image = change · colour + (1 − change) · photo."""

    image: Tensor  # (…, 3, S, S), −1 … 1
    colour: Tensor | None = None  # (…, 3, S, S), −1 … 1
    change: Tensor | None = None  # (…, 1, S, S), 0 … 1: 1 where the colour stands, 0 where the photo does


def composed(colour: Tensor, change: Tensor, photo: Tensor) -> Frames:
    """What is drawn anew, where the map of change says so, in the photo."""
    return Frames(change * colour + (1 - change) * photo, colour, change)


def frames_of(last: Tensor, photo: Tensor) -> Frames:
    """What a generator's last layer means, before its nonlinearity: of three channels the frames themselves, of four their
    colour and the map of change. last: (…, 3 or 4, S, S); photo: (…, 3, S, S) in −1 … 1, whose other axes may be 1."""
    if last.shape[-3] == 3:
        return Frames(last.tanh())
    last = last.float()
    return composed(last[..., :3, :, :].contiguous().tanh(), last[..., 3:, :, :].contiguous().sigmoid(), photo)


def channels(compose: bool) -> int:
    """Of a last layer that `frames_of` is given."""
    return 4 if compose else 3


def begin_near_photo(bias: nn.Parameter) -> None:
    """Let the map of change begin with FIRST_CHANGE, by the last layer's bias (4,). One of (3,) has none, and stays."""
    with torch.no_grad():
        bias[3:] = math.log(FIRST_CHANGE / (1 - FIRST_CHANGE))


def attention_loss(change: Tensor) -> Tensor:
    """Sinha 2020, Eq. 11, ‖1 − att‖₂ = ‖change‖₂: toward the photo. Root mean square over pixels, mean over frames."""
    return root_mean_squares(change).mean()


def root_mean_squares(maps: Tensor) -> Tensor:
    """The L2 norm of each map, over that of a map of ones, so that it does not grow with the image: (…, C, S, S) → (…)."""
    return vector_norm(maps.float(), dim=(-3, -2, -1)) / math.prod(maps.shape[-3:]) ** 0.5


def terms_of_change(frames: Frames) -> dict[str, Callable[[], Tensor]]:
    """An objective's term "change", which keeps composed frames near the photo; none of frames that are redrawn."""
    return {} if frames.change is None else {"change": lambda: attention_loss(frames.change)}


def terms_with(compose: bool, weights: dict[str, float]) -> dict[str, float]:
    """An objective's weights; that of "change" only where frames are composed."""
    return {name: weight for name, weight in weights.items() if compose or name != "change"}
