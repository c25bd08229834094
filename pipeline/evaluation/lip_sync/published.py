"""SyncNet as published (Chung & Zisserman 2016), by the weights of its authors, `syncnet_v2.model`.

Layers and names are the checkpoint's. What it takes is its authors' (github.com/joonson/syncnet_python): frames of 224 px at 25
a second, blue before red, 0 … 255; MFCC as by `speech_windows`. Embeddings have 1024 numbers, and no length of 1.
"""

from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from pipeline.errors import UserError
from pipeline.evaluation.lip_sync.network import FRAMES, Embedded

SIZE, FPS = 224, 25
NAME = "syncnet_v2.model"
WHERE = f"https://www.robots.ox.ac.uk/~vgg/software/lipsync/data/{NAME}"
AT_ONCE = 8  # windows; each takes 10 MB in the second layer


class SyncNet(nn.Module):
    """Two streams of seven layers each."""

    def __init__(self):
        super().__init__()
        self.netcnnaud = nn.Sequential(
            *_layer(nn.Conv2d(1, 64, 3, padding=1)),
            nn.MaxPool2d(1),
            *_layer(nn.Conv2d(64, 192, 3, padding=1)),
            nn.MaxPool2d(3, (1, 2)),
            *_layer(nn.Conv2d(192, 384, 3, padding=1)),
            *_layer(nn.Conv2d(384, 256, 3, padding=1)),
            *_layer(nn.Conv2d(256, 256, 3, padding=1)),
            nn.MaxPool2d(3, 2),
            *_layer(nn.Conv2d(256, 512, (5, 4))),
        )
        self.netcnnlip = nn.Sequential(
            *_layer(nn.Conv3d(3, 96, (FRAMES, 7, 7), (1, 2, 2))),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *_layer(nn.Conv3d(96, 256, (1, 5, 5), (1, 2, 2), (0, 1, 1))),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
            *_layer(nn.Conv3d(256, 256, (1, 3, 3), padding=(0, 1, 1))),
            *_layer(nn.Conv3d(256, 256, (1, 3, 3), padding=(0, 1, 1))),
            *_layer(nn.Conv3d(256, 256, (1, 3, 3), padding=(0, 1, 1))),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *_layer(nn.Conv3d(256, 512, (1, 6, 6))),
        )
        self.netfcaud, self.netfclip = _head(), _head()

    def heard(self, speech: Tensor) -> Tensor:
        """(W, 13, 20) → (W, 1024)."""
        return self.netfcaud(self.netcnnaud(speech[:, None]).flatten(1))

    def seen(self, frames: Tensor) -> Tensor:
        """(T, 3, 224, 224), blue, green, red in 0 … 255 → (T − 4, 1024): windows of five frames."""
        maps = self.netcnnlip(frames.transpose(0, 1)[None])
        return self.netfclip(maps[0, :, :, 0, 0].T)


def _layer(convolution: nn.Conv2d | nn.Conv3d) -> tuple[nn.Module, ...]:
    normalise = nn.BatchNorm2d if isinstance(convolution, nn.Conv2d) else nn.BatchNorm3d
    return convolution, normalise(convolution.out_channels), nn.ReLU()


def _head() -> nn.Sequential:
    return nn.Sequential(nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, 1024))


def load(path: Path) -> SyncNet:
    """The network with the weights of a file. Raises UserError where they are not SyncNet's."""
    network = SyncNet()
    try:
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # of many kinds
        raise UserError(f"{path} holds no weights of SyncNet ({type(error).__name__}); they are at {WHERE}") from error
    return network.eval()


def embed(network: SyncNet, frames: np.ndarray, speech: np.ndarray) -> Embedded:
    """Frames uint8 (T, S, S, 3), red before blue, and their speech (T, 13, 20) → embeddings of T − 4 windows."""
    way = cv2.INTER_AREA if frames.shape[1] > SIZE else cv2.INTER_CUBIC
    n_windows, seen = len(frames) - FRAMES + 1, []
    for start in range(0, n_windows, AT_ONCE):
        shown = frames[start : start + AT_ONCE + FRAMES - 1, :, :, ::-1]
        enlarged = np.stack([cv2.resize(np.ascontiguousarray(f), (SIZE, SIZE), interpolation=way) for f in shown])
        seen.append(network.seen(torch.from_numpy(enlarged).permute(0, 3, 1, 2).float()))
    return Embedded(torch.cat(seen), network.heard(torch.from_numpy(speech[:n_windows])))
