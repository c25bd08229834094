"""What networks see of frames whose weights the user gives: LPIPS of a clip, and the features that FID and FVD compare."""

from collections.abc import Callable
from functools import cache, lru_cache, partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pipeline.blocks.images import images_to_tensor
from pipeline.errors import UserError
from pipeline.evaluation.inception import inception_features, load_inception
from pipeline.evaluation.lpips import load_lpips

# For FID frames so far apart are looked at: those between show hardly anything else, and each takes 0.3 s of a core.
FID_STEP = 5
# For FVD windows of so many frames, one after the other (Skorokhodov et al. 2022 compare by FVD₁₆); features of each.
FVD_FRAMES, FVD_FEATURES = 16, 400


@torch.inference_mode()
def lpips(folder: Path, truth: np.ndarray, generated: np.ndarray) -> float:
    """LPIPS (Zhang 2018), mean over frames: uint8 (T, S, S, 3) each → ≥ 0. folder: as of `load_lpips`."""
    return float(load("lpips", folder)(images_to_tensor(truth), images_to_tensor(generated)).mean())


def features(kind: str, path: Path, frames: np.ndarray) -> np.ndarray:
    """What "fid" or "fvd" compares of a clip, uint8 (T, S, S, 3): float32 (n, d), of every FID_STEP-th frame, or of windows.

    A clip that is shorter than a window has n = 0. Raises UserError where the file is of another network.
    """
    return _features(kind, path, frames.tobytes(), frames.shape)


# The real clip is compared with every system.
@lru_cache(maxsize=4)
@torch.inference_mode()
def _features(kind: str, path: Path, pixels: bytes, shape: tuple[int, ...]) -> np.ndarray:
    frames, network = np.frombuffer(pixels, np.uint8).reshape(shape), load(kind, path)
    if kind == "fid":
        return network(images_to_tensor(frames[FID_STEP // 2 :: FID_STEP])).numpy()
    windows = [frames[t : t + FVD_FRAMES] for t in range(0, len(frames) - FVD_FRAMES + 1, FVD_FRAMES)]
    found = [network(torch.tensor(window.transpose(3, 0, 1, 2)[None]).float()) for window in windows]
    return torch.cat([torch.zeros(0, FVD_FEATURES), *found]).numpy()


@cache  # once per process
def load(kind: str, path: Path) -> Callable[..., Tensor]:
    """The network of a file, or for "lpips" of a folder. Raises UserError where it is missing, damaged or another's."""
    if kind == "lpips":
        return load_lpips(path)
    return partial(inception_features, load_inception(path)) if kind == "fid" else load_i3d(path)


@torch.inference_mode()
def load_i3d(path: Path) -> Callable[[Tensor], Tensor]:
    """I3D in TorchScript, called as by StyleGAN-V: videos (N, 3, T, S, S) in 0 … 255 → features (N, 400) before the softmax.

    Raises UserError where the file is missing, or what it holds is not that.
    """
    try:
        network = partial(torch.jit.load(path, "cpu").eval(), rescale=True, resize=True, return_features=True)
        if (made := network(torch.zeros(1, 3, FVD_FRAMES, 32, 32)).shape) != (1, FVD_FEATURES):
            raise ValueError(f"features {tuple(made)}")
    except Exception as error:
        raise UserError(
            f"{path} does not hold I3D in TorchScript ({type(error).__name__}); i3d_torchscript.pt does, which the README of "
            "StyleGAN-V links to"
        ) from error
    return network
