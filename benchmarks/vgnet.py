"""Frames that VG-net generates: as the pipeline runs it, against the same network one frame at a time in plain float32.

    python -m benchmarks.vgnet [--frames 50]

Without options at the paper's size: 128 px, width 1. Step by step means what the published code does: the photo is encoded
again for every frame. The deviation is the largest difference of pixel values in 0 … 255, from equal weights. Both are timed
by the fastest of their rounds, in turn.
"""

import argparse
import time
from collections.abc import Callable

import torch
from torch import Tensor

from pipeline.papers.atvgnet.inference import for_inference
from pipeline.papers.atvgnet.vg_net import Settings, VGNet


def example(n_frames: int, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """A photo of noise and landmarks that move at random: the time does not depend on what they show."""
    g = torch.Generator().manual_seed(0)
    photo = torch.rand(1, 3, size, size, generator=g) * 2 - 1
    landmarks = torch.rand(1, 1, 68, 2, generator=g) * 2 - 1 + 0.1 * torch.randn(1, n_frames, 68, 2, generator=g)
    return photo, landmarks[:, 0], landmarks


def settled(network: VGNet) -> VGNet:
    """With running statistics that fit the activations, as training leaves them: at the initial ones they would fade."""
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        network.train()(*example(8, network.settings.image_size))
    return network.eval()


def step_by_step(network: VGNet, photo: Tensor, photo_landmarks: Tensor, landmarks: Tensor) -> Tensor:
    """Frame by frame, the photo anew for each: (1, T, 3, S, S)."""
    hidden, images = None, []
    for face in landmarks.split(1, dim=1):
        state = network.start(photo, photo_landmarks)
        frames, state = network(
            photo, photo_landmarks, face, state if hidden is None else state._replace(hidden=hidden)
        )
        hidden = state.hidden
        images.append(frames.image)
    return torch.cat(images, dim=1)


def timed(generate: Callable[[], Tensor]) -> tuple[float, Tensor]:
    """The seconds that it takes, and what it gives."""
    start = time.perf_counter()
    images = generate()
    return time.perf_counter() - start, images


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks.vgnet", description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=50, help="frames of each round (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each (default: %(default)s)")
    parser.add_argument("--size", type=int, default=128, help="pixels, a multiple of 32 (default: %(default)s)")
    parser.add_argument("--width", type=float, default=1.0, help="of the network (default: %(default)s)")
    args = parser.parse_args()
    torch.manual_seed(0)
    plain, inputs = settled(VGNet(Settings(args.size, args.width))), example(args.frames, args.size)
    fast = for_inference(plain)
    rounds = [
        (timed(lambda: fast(*inputs)[0].image), timed(lambda: step_by_step(plain, *inputs))) for _ in range(args.rounds)
    ]
    ours, alternative = (args.frames / min(r[k][0] for r in rounds) for k in (0, 1))
    deviation = 127.5 * (rounds[0][0][1] - rounds[0][1][1]).abs().max().item()
    rates = f"ours {ours:.1f}, alternative {alternative:.1f} frames/s"
    print(f"vgnet: ratio {ours / alternative:.2f} ({rates}; deviation {deviation:.2f} grey levels)")


if __name__ == "__main__":
    main()
