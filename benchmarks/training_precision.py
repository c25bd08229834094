"""Training steps of Kesim & Erzin's joint system: the arithmetic that `training.precision: auto` chooses here, against float32.

    python -m benchmarks.training_precision [--steps 8]

Both are steps of the pipeline's own loop on the same excerpt of noise, from equal weights, in turn, and are timed by the
fastest. The deviation is that of the first generated frames, mean absolute difference of values in −1 … 1. On a processor
that does not multiply bfloat16 natively, and without a GPU, `auto` is float32 too.
"""

import argparse

import torch

from pipeline.papers.kesim_erzin.networks import NOISE_SIZE, Clip, KesimErzin, Settings
from pipeline.training.machine import machine_for
from pipeline.training.recipe import Phase, Recipe
from pipeline.training.runner import Networks, learn, to_device

PHASE = Phase(
    epochs=1,
    weights={"frame": 1.0, "sequence": 1.0, "feature_matching": 100.0},
    rates={"generator": 2e-4, "discriminators": 1e-4},
)


def example(s: Settings, n_frames: int) -> Clip:
    """An excerpt of noise: the time of a step does not depend on what it shows."""
    g = torch.Generator().manual_seed(0)
    frames = torch.rand(n_frames, 3, s.image_size, s.image_size, generator=g) * 2 - 1
    heatmaps = torch.rand(n_frames, 1, s.image_size, s.image_size, generator=g)
    mel = torch.randn(n_frames, s.mel_columns, s.mel_bands, generator=g)
    return Clip(frames[0], torch.randn(NOISE_SIZE, generator=g), frames, mel, heatmaps, heatmaps[0])


def joint_system(width: float, size: int) -> Settings:
    """Of Kesim & Erzin's system that has speech and landmarks."""
    return Settings(
        speech=True,
        landmarks=True,
        image_size=size,
        context_frames=5,
        mel_columns=27,
        mel_bands=60,
        width=width,
        decision_every=5,
    )


def add_sizes(parser: argparse.ArgumentParser) -> None:
    """The options that say how much is computed."""
    parser.add_argument("--steps", type=int, default=8, help="steps of each (default: %(default)s)")
    parser.add_argument("--width", type=float, default=0.5, help="of the networks (paper: 1; default: %(default)s)")
    parser.add_argument("--size", type=int, default=64, help="pixels, a multiple of 32 (default: %(default)s)")
    parser.add_argument("--frames", type=int, default=25, help="of the excerpt (default: %(default)s)")


class Training:
    """The joint system in the arithmetic of `training.precision`: its first frames (T, 3, S, S), and its steps."""

    def __init__(self, precision: str, settings: Settings, n_frames: int):
        torch.manual_seed(0)
        machine, self.objective = machine_for("auto", precision), KesimErzin(settings)
        recipe = Recipe(
            parameters="kesim_erzin.speech_landmark",
            seed=0,
            store=None,  # a step sees its batch only
            batches=None,
            objective=lambda weights: self.objective,
            settings=settings,
            phases=(PHASE,),
            knobs={},
        )
        self.networks = Networks(machine, self.objective, recipe, PHASE)
        self.clip = to_device(machine.fabric, example(settings, n_frames))
        with torch.no_grad():
            self.first = self.objective.generate(self.clip).image.float().cpu()

    def step(self) -> float:
        """A step of the discriminators and one of the generator; frames per second."""
        return learn(self.objective, self.networks, PHASE, [self.clip])[1]


def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks.training_precision", description=__doc__.splitlines()[0])
    add_sizes(parser)
    args = parser.parse_args()
    settings = joint_system(args.width, args.size)
    chosen, plain = (Training(precision, settings, args.frames) for precision in ("auto", "32-true"))
    rates = [(chosen.step(), plain.step()) for _ in range(args.steps)]
    ours, alternative = map(max, zip(*rates, strict=True))
    deviation = (chosen.first - plain.first).abs().mean().item()
    speeds = f"ours {ours:.0f}, alternative {alternative:.0f} frames/s"
    print(f"training_precision: ratio {ours / alternative:.2f} ({speeds}; deviation {deviation:.4f})")


if __name__ == "__main__":
    main()
