"""Which speech feature drives the mouth best? Characters (ctc), phones, and MFCC for comparison.

    python -m benchmarks.character_features [CORPUS_FOLDER] [--clips 60] [--epochs 40]

From each feature's windows the same two small regressors are trained on the training sentences of the speaker with the most
clips, to the mouth's 20 landmarks of an aligned face: ridge regression, and a network as in Sinha §III-A (four convolutions
over time, two linear layers; three seeds). The character network is trained on the same sentences only. Measured on that
speaker's held-out sentences (the layout's choice; of GRID's a fifth) and on the other speakers, of whom only the mean face is
known: r, the correlation of predicted and real mouth opening (mean over clips), and the landmarks' error in % of the eyes'
distance. Landmarks and phone scores are kept in data/benchmarks. The last line compares the better of ctc and phones (ours,
by r of the network on held-out sentences) with MFCC; its deviation is that of the seeds.
"""

import argparse
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import nn

from benchmarks.project import ROOT, add_corpus, layout_of, videos
from pipeline.corpus.inventory import list_clips
from pipeline.corpus.workers import each
from pipeline.errors import ClipRejected, UserError, one_line_errors
from pipeline.evaluation.intervals import bootstrap_interval
from pipeline.evaluation.sync import mouth_correlation
from pipeline.features.alignment import align_landmarks, mean_face
from pipeline.features.audio import mfcc
from pipeline.features.characters.ctc import ctc_features, ctc_scores
from pipeline.features.characters.phones import phone_scores
from pipeline.features.characters.steps import Scores, step_windows
from pipeline.features.characters.training import as_function, error_rate, train_ctc
from pipeline.features.landmarks import MOUTH, mouth_opening
from pipeline.features.tracking import detect_video
from pipeline.features.windows import mfcc_windows
from pipeline.video import read_audio

FPS, RATE = 25, 22_050
CACHE = ROOT / "data" / "benchmarks" / "character_features"
SEEDS = (0, 1, 2)


class Data(NamedTuple):
    """Clips of one set: windows (T, steps, n) and mouths (T, 20, 2) relative to the speaker's mean, one array per clip."""

    windows: list[np.ndarray]
    mouths: list[np.ndarray]


def prepare(clip: tuple[str, str, str], cache: Path) -> dict[str, np.ndarray]:
    """Waveform, landmarks and phone scores of a clip (id, file, checksum), from the cache where they are there."""
    name, video, checksum = clip
    path = cache / f"{name}-{checksum}.npz"
    if not path.exists():
        waveform = read_audio(Path(video), RATE)
        scores = phone_scores(waveform, RATE)
        landmarks = detect_video(Path(video), FPS, "dlib", redetect_every=25, max_missing=0.1).landmarks
        cache.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial.npz")
        speech = {"phones": scores.values, "silence": scores.silence, "first_s": scores.first_s}
        np.savez(partial, waveform=waveform, landmarks=landmarks, **speech)
        partial.rename(path)
    with np.load(path) as stored:
        return dict(stored)


def aligned(landmarks: np.ndarray, face: np.ndarray) -> np.ndarray:
    """Smoothed landmarks on the mean face, in eye distances: (T, 68, 2) → (T, 68, 2)."""
    return align_landmarks(landmarks, face)[1]


def ridge(train: Data, penalty: float = 0.1) -> Callable[[np.ndarray], np.ndarray]:
    """Ridge regression on standardised windows; penalty as a share of the number of frames."""
    x, y = np.concatenate(train.windows), np.concatenate(train.mouths)
    x, y = x.reshape(len(x), -1).astype(float), y.reshape(len(y), -1)
    mean, std = x.mean(axis=0), x.std(axis=0) + 1e-6
    z = (x - mean) / std
    weights = np.linalg.solve(z.T @ z + penalty * len(z) * np.eye(z.shape[1]), z.T @ (y - y.mean(axis=0)))
    offset = y.mean(axis=0)
    return lambda w: (((w.reshape(len(w), -1) - mean) / std) @ weights + offset).reshape(-1, 20, 2)


def network(train: Data, epochs: int, seed: int) -> Callable[[np.ndarray], np.ndarray]:
    """Four convolutions over the window's time and two linear layers, by Adam on the mean squared error."""
    torch.manual_seed(seed)
    x, y = (torch.from_numpy(np.concatenate(part).astype(np.float32)) for part in train)
    mean, std, scale = x.mean(dim=(0, 1)), x.std(dim=(0, 1)) + 1e-6, y.std()
    widths = [x.shape[2], 32, 32, 64, 64]
    layers = [
        layer for a, b in pairwise(widths) for layer in (nn.Conv1d(a, b, 3, stride=2, padding=1), nn.LeakyReLU(0.2))
    ]
    net = nn.Sequential(
        *layers, nn.Flatten(), nn.Dropout(0.2), nn.LazyLinear(128), nn.LeakyReLU(0.2), nn.Linear(128, 40)
    )

    def apply(windows: torch.Tensor) -> torch.Tensor:
        return net(((windows - mean) / std).transpose(1, 2))

    apply(x[:1])
    optimizer = torch.optim.Adam(net.parameters(), 1e-3, weight_decay=1e-4)
    for _ in range(epochs):
        for chosen in torch.randperm(len(x)).split(128):
            loss = ((apply(x[chosen]) - y[chosen].flatten(1) / scale) ** 2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    net.eval()

    @torch.inference_mode()
    def predict(windows: np.ndarray) -> np.ndarray:
        return (apply(torch.from_numpy(windows)) * scale).reshape(-1, 20, 2).numpy()

    return predict


def judge(predict: Callable[[np.ndarray], np.ndarray], data: Data, face: np.ndarray) -> np.ndarray:
    """Correlation of mouth openings, and landmark error in % of the eyes' distance, of each clip: (2, clips)."""

    def opening(mouths: np.ndarray) -> np.ndarray:
        faces = np.repeat(face[None], len(mouths), axis=0)
        faces[:, MOUTH] += mouths
        return mouth_opening(faces)

    correlations, errors = [], []
    for windows, mouths in zip(*data, strict=True):
        guess = predict(windows)
        correlations.append(mouth_correlation(opening(mouths), opening(guess)))
        errors.append(np.linalg.norm(guess - mouths, axis=-1).mean() * 100)
    return np.array([correlations, errors])


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks.character_features", description=__doc__.splitlines()[0])
    add_corpus(parser)
    parser.add_argument("--clips", type=int, default=0, help="only so many of a speaker and split; 0 = all")
    parser.add_argument("--epochs", type=int, default=40, help="of the character network (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="processes (default: %(default)s)")
    parser.add_argument(
        "--cache", type=Path, default=CACHE, help="of landmarks and phones (default: data/benchmarks/…)"
    )
    arguments = parser.parse_args()

    videos(arguments.corpus, 1)  # or a word on how to get some
    clips, _ = list_clips(layout_of(arguments.corpus), arguments.corpus, 5, workers=arguments.workers)
    clips = clips.groupby(["subject", "split"]).head(arguments.clips or len(clips))
    material = {}
    listed = clips[["clip", "video", "checksum"]].itertuples(index=False, name=None)
    work = partial(prepare, cache=arguments.cache)
    for (name, *_), result in each(work, listed, "clips", arguments.workers):
        if not isinstance(result, ClipRejected):
            material[name] = result
    clips = clips[clips["clip"].isin(list(material))].set_index("clip")
    speaker = clips["subject"].mode()[0]
    own = clips["subject"] == speaker
    held_out = clips["split"] == "test_sentences"
    sets = {"train": clips[own & ~held_out], "held out": clips[own & held_out], "others": clips[~own]}
    print(", ".join(f"{name}: {len(rows)} clips" for name, rows in sets.items()))
    if sets["train"].empty or sets["held out"].empty:
        raise UserError(f"{arguments.corpus}: speaker {speaker} needs clips to train on and held-out ones; take more")

    examples = {
        name: [(ctc_features(material[clip]["waveform"], RATE), text) for clip, text in rows["transcript"].items()]
        for name, rows in sets.items()
    }
    characters = train_ctc(examples["train"], width=128, epochs=arguments.epochs, learning_rate=3e-3, seed=0)
    rates = (
        f"{name} {error_rate(as_function(characters), examples[name]):.3f}" for name, rows in sets.items() if len(rows)
    )
    print("ctc: character error rate " + ", ".join(rates))

    face = mean_face(np.concatenate([material[clip]["landmarks"][::10] for clip in sets["train"].index]))
    mouths = {clip: aligned(material[clip]["landmarks"], face)[:, MOUTH] for clip in clips.index}
    neutral = {
        subject: np.concatenate([mouths[clip] for clip in rows.index]).mean(axis=0)
        for subject, rows in clips[~(own & held_out)].groupby("subject")
    }
    windows = {
        "ctc": lambda c, n: step_windows(ctc_scores(c["waveform"], RATE, as_function(characters)), n, FPS),
        "phones": lambda c, n: step_windows(
            Scores("phones", (), c["phones"], float(c["first_s"]), c["silence"]), n, FPS
        ),
        "mfcc": lambda c, n: mfcc_windows(mfcc(c["waveform"], RATE), n, FPS),
    }
    rows, by_clip = [], {}
    for feature, compute in windows.items():
        data = {
            name: Data(
                [compute(material[clip], len(mouths[clip])) for clip in rows.index],
                [mouths[clip] - neutral[clips["subject"][clip]] for clip in rows.index],
            )
            for name, rows in sets.items()
        }
        regressors = {"ridge": [ridge(data["train"])]}
        regressors["network"] = [network(data["train"], 20, seed) for seed in SEEDS]
        for regressor, trained in regressors.items():
            row = {"feature": feature, "regressor": regressor}
            for name in ("held out", "others"):
                if data[name].windows:
                    results = np.array([judge(predict, data[name], face) for predict in trained])
                    row[f"r, {name}"], row[f"error %, {name}"] = np.nanmean(results, axis=(0, 2))
                    if regressor == "network":
                        by_clip[feature, name] = results
            rows.append(row)
    print(pd.DataFrame(rows).to_string(index=False, float_format="%.3f"))
    still = np.mean([np.linalg.norm(mouths, axis=-1).mean() * 100 for mouths in data["held out"].mouths])
    print(f"a mouth that keeps still: error {still:.3f} % on held-out sentences")

    for name in dict.fromkeys(name for (_, name), results in by_clip.items() if results.shape[2] > 1):
        for a, b in (("ctc", "mfcc"), ("phones", "mfcc"), ("ctc", "phones")):
            difference = (by_clip[a, name] - by_clip[b, name]).mean(axis=0)
            (r_low, r_high), (low, high) = (bootstrap_interval(values) for values in difference)
            intervals = f"r {r_low:+.3f} … {r_high:+.3f}, error {low:+.3f} … {high:+.3f} %"
            print(f"{name}: {a} − {b}, 95 % interval over clips: {intervals}")

    seeds = {feature: np.nanmean(by_clip[feature, "held out"][:, 0], axis=1) for feature in windows}
    best = max(("ctc", "phones"), key=lambda feature: seeds[feature].mean())
    ours, alternative = seeds[best].mean(), seeds["mfcc"].mean()
    print(f"ours: {best}; alternative: mfcc")
    figures = f"ours {ours:.3f}, alternative {alternative:.3f} mouth correlation"
    print(f"character_features: ratio {ours / alternative:.2f} ({figures}; deviation {seeds[best].std():.3f})")


if __name__ == "__main__":
    main()
