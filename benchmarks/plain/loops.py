"""Frame by frame, and cell by cell."""

import torch
from torch import Tensor, nn


def frame_by_frame(layer: nn.Module, frames: list[Tensor]) -> list[Tensor]:
    """Each frame (B, …) by itself through a layer, or through one after the other of several.

    A batch normalisation sees all frames at once: its statistics are of them all. So does a dropout, for the same draws.
    """
    if isinstance(layer, nn.Sequential):
        for inner in layer:
            frames = frame_by_frame(inner, frames)
        return frames
    if isinstance(layer, nn.BatchNorm2d | nn.Dropout):
        return list(layer(torch.stack(frames, dim=1).flatten(0, 1)).unflatten(0, (len(frames[0]), -1)).unbind(1))
    return [layer(x) for x in frames]


def one_by_one(network: nn.Sequential, images: Tensor) -> Tensor:
    """Images (N, …) through a network, each by itself."""
    return torch.cat(frame_by_frame(network, list(images.split(1))))


def cell_by_cell(network: nn.LSTM | nn.GRU, x: Tensor) -> Tensor:
    """(B, T, n) or (T, n) → (B, T, m) or (T, m), from a state of nought."""
    if x.dim() == 2:
        return cell_by_cell(network, x[None])[0]
    directions = 2 if network.bidirectional else 1
    for layer in range(network.num_layers):
        forward, *backward = network.all_weights[layer * directions : (layer + 1) * directions]
        ways = [_one_way(network, x, forward)]
        ways += [_one_way(network, x.flip(1), weights).flip(1) for weights in backward]
        x = torch.cat(ways, dim=2)
    return x


def _one_way(network: nn.LSTM | nn.GRU, x: Tensor, weights: list[Tensor]) -> Tensor:
    hidden, steps = x.new_zeros(len(x), network.hidden_size), []
    cell = hidden
    for step in x.unbind(1):
        if isinstance(network, nn.LSTM):
            hidden, cell = torch.lstm_cell(step, (hidden, cell), *weights)
        else:
            hidden = torch.gru_cell(step, hidden, *weights)
        steps.append(hidden)
    return torch.stack(steps, dim=1)
