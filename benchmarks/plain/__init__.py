"""The papers' networks as a first implementation has them, which the pipeline's are timed against and have to agree with.

Frames pass one at a time, recurrent layers go cell by cell, and what depends on the photo alone is computed anew for every
frame. Weights are the network's own. Each file has the ways through one paper's networks, by their classes.
"""

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.blocks.perceptual import VGG19
from pipeline.papers.registry import PAPERS
from pipeline.training.recipe import Objective

# A class of networks → what stands for its `forward`, which is given the network first.
Ways = dict[type[nn.Module], Callable[..., Any]]


def made_plain(objective: Objective) -> Objective:
    """The same objective, with the plain way through each of its networks."""
    ways: Ways = {VGG19: features}
    for paper in PAPERS:
        ways |= import_module(f"{__name__}.{paper}").WAYS
    for network in objective.children():
        network.forward = partial(ways[type(network)], network)
    return objective


def features(network: VGG19, images: Tensor) -> list[Tensor]:
    """See `VGG19`; image by image."""
    maps = [VGG19.forward(network, image) for image in images.split(1)]
    return [torch.cat(of_layer) for of_layer in zip(*maps, strict=True)]
