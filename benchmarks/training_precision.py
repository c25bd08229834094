"""Training steps of the joint system: the arithmetic that `training.precision: auto` chooses here, against plain float32.

    python -m benchmarks.training_precision [--steps 8]

The deviation is that of the first generated frames, mean absolute difference of values in −1 … 1, from equal weights.
"""

import argparse
import time

import torch
from lightning_fabric import Fabric

from pipeline.models.kesim_erzin import NOISE_SIZE, Clip, KesimErzin, Settings
from pipeline.training.machine import fabric_for

SETTINGS = Settings(
    speech=True, landmarks=True, image_size=64, mel_columns=27, mel_bands=60, width=0.5, decision_every=5
)
WEIGHTS = {"frame": 1.0, "sequence": 1.0, "feature_matching": 100.0}
N_FRAMES = 25


def example() -> Clip:
    """An excerpt of noise: the time of a step does not depend on what it shows."""
    g = torch.Generator().manual_seed(0)
    frames = torch.rand(N_FRAMES, 3, 64, 64, generator=g) * 2 - 1
    heatmaps = torch.rand(N_FRAMES, 1, 64, 64, generator=g)
    mel = torch.randn(N_FRAMES, SETTINGS.mel_columns, SETTINGS.mel_bands, generator=g)
    return Clip(frames[0], torch.randn(NOISE_SIZE, generator=g), frames, mel, heatmaps, heatmaps[0])


def measure(fabric: Fabric, memory_format: torch.memory_format, steps: int) -> tuple[float, torch.Tensor]:
    """Frames per second of the fastest step, and the first frames generated."""
    torch.manual_seed(0)
    system = KesimErzin(SETTINGS, WEIGHTS).to(memory_format=memory_format)
    for name, network in list(system.named_children()):
        setattr(system, name, fabric.setup_module(network))
    generator = torch.optim.Adam(system.generator.parameters(), 2e-4)
    judges = torch.optim.Adam(
        [*system.frame_discriminator.parameters(), *system.sequence_discriminator.parameters()], 1e-4
    )
    clip = Clip(*(fabric.to_device(x) for x in example()))
    times, first = [], None
    for _ in range(steps):
        start = time.perf_counter()
        fake, _ = system.generator(clip, N_FRAMES)
        first = fake.detach().float().cpu() if first is None else first
        for optimizer, terms in (
            (judges, system.discriminator_terms(clip, fake.detach())),
            (generator, system.generator_terms(clip, fake)),
        ):
            optimizer.zero_grad()
            fabric.backward(sum(WEIGHTS[name] * value for name, value in terms.items()))
            optimizer.step()
        times.append(time.perf_counter() - start)
    return N_FRAMES / min(times), first


def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks.training_precision", description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=8, help="steps of each (default: %(default)s)")
    steps = parser.parse_args().steps
    alternative, plain = measure(fabric_for("auto", "32-true")[0], torch.contiguous_format, steps)
    ours, chosen = measure(*fabric_for("auto", "auto"), steps)
    deviation = (chosen - plain).abs().mean().item()
    ratio = ours / alternative
    speeds = f"ours {ours:.0f}, alternative {alternative:.0f} frames/s"
    print(f"training_precision: ratio {ratio:.2f} ({speeds}; deviation {deviation:.4f})")


if __name__ == "__main__":
    main()
