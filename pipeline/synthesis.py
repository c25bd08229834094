"""Generate talking faces: one interface for every trained system and for the references.

`generate` takes a photo's crop and what drives it, and gives frames; synthesis of the test clips and the command line know
nothing else of a system.
"""

import subprocess
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import cv2
import numpy as np
import torch
from tqdm import tqdm

from pipeline.corpus.shards import Shards, in_shards, write_shards
from pipeline.features.windows import columns_per_frame, from_int16, mel_windows
from pipeline.models.kesim_erzin import Clip
from pipeline.training.data import ClipStore, heatmaps_to_tensor, images_to_tensor, noise_vector, tensor_to_images
from pipeline.training.end_to_end import Trained
from pipeline.video import write_video

TEST_SPLITS = ("test_sentences", "test")
# Frames that are generated at a time; the recurrent state goes on from one piece to the next, so that there is no seam.
PIECE = 50


@dataclass(frozen=True)
class Driving:
    """What drives a clip of `n_frames`: log-mel speech (columns, bands), heatmaps uint8 (T, S, S), or both."""

    n_frames: int
    mel: np.ndarray | None = None
    heatmaps: np.ndarray | None = None
    photo_heatmap: np.ndarray | None = None  # (S, S), of the photo's own landmarks


@torch.inference_mode()
def generate(trained: Trained, photo: np.ndarray, driving: Driving, seed: int) -> Iterator[np.ndarray]:
    """Frames of the person in `photo` speaking, one by one: uint8 (S, S, 3) each, in constant memory.

    photo: aligned crop, uint8 (S, S, 3). seed: of the noise vector; equal seeds give equal frames.
    """
    settings, how = trained.generator.settings, trained.preprocessing
    windows = None
    if settings.speech:
        columns = columns_per_frame(
            how["audio_features"]["sample_rate"], how["audio_features"]["window_ms"], how["fps"]
        )
        windows = mel_windows(driving.mel, driving.n_frames, columns, how["context_frames"])
    reference = images_to_tensor(photo[None])[0]
    reference_heatmap = heatmaps_to_tensor(driving.photo_heatmap[None])[0] if settings.landmarks else None
    noise, state = noise_vector(seed), None
    for start in range(0, driving.n_frames, PIECE):
        span = slice(start, min(start + PIECE, driving.n_frames))
        clip = Clip(
            reference,
            noise,
            mel=torch.from_numpy(windows[span].copy()) if settings.speech else None,
            heatmaps=heatmaps_to_tensor(driving.heatmaps[span]) if settings.landmarks else None,
            reference_heatmap=reference_heatmap,
        )
        frames, state = trained.generator(clip, span.stop - span.start, state)
        yield from tensor_to_images(frames)


def _reencoded(crops: np.ndarray) -> np.ndarray:
    """Through JPEG at quality 75: how far the truth is from itself when nothing that matters has changed."""
    quality = [cv2.IMWRITE_JPEG_QUALITY, 75]
    return np.stack([cv2.imdecode(cv2.imencode(".jpg", crop, quality)[1], cv2.IMREAD_COLOR) for crop in crops])


def _delayed(crops: np.ndarray, frames: int = 5) -> np.ndarray:
    """The truth, late by 0.2 s at 25 frames a second: does a metric notice?"""
    return crops[np.maximum(np.arange(len(crops)) - frames, 0)]


# What a table needs beside the systems: crops uint8 (T, S, S, 3) → frames of the same shape.
REFERENCES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "static": lambda crops: np.repeat(crops[:1], len(crops), axis=0),
    "ground_truth": lambda crops: crops,
    "ground_truth_reencoded": _reencoded,
    "ground_truth_delayed": _delayed,
}


def synthesise(system: str, trained: Trained | None, store: ClipStore, out: Path, seed: int, **video: object) -> None:
    """Generate every test clip from its first frame, its speech and its true landmarks; or make a reference of its frames.

    Leaves frames in shards (what is evaluated), and the same as MP4 with the clip's own sound (what people look at).
    system: a trained system's name, or one of REFERENCES. video: further arguments of `write_clip`.
    """
    waveforms = Shards(Path("data/audio_features/waveform"))

    def clips() -> Iterator[tuple[str, np.ndarray]]:
        for clip in tqdm(in_shards(store.ids(*TEST_SPLITS)), f"synthesis of {system}", unit="clip", disable=None):
            crops = store.crops[clip]
            if system in REFERENCES:
                frames = REFERENCES[system](crops)
            else:
                heatmaps = store.heatmaps[clip]
                driving = Driving(len(crops), store.mel[clip], heatmaps, heatmaps[0])
                clip_seed = crc32(f"{seed}/{clip}".encode())
                frames = np.stack(list(generate(trained, crops[0], driving, clip_seed)))
            write_clip(out / "videos" / f"{clip}.mp4", frames, from_int16(waveforms[clip]), system, **video)
            yield clip, frames

    write_shards(out / "frames", clips())


def write_clip(
    path: Path,
    frames: Iterable[np.ndarray],
    waveform: np.ndarray | None,
    system: str,
    fps: float,
    sample_rate: int,
    visible_mark: bool,
) -> None:
    """Write frames, uint8 (S, S, 3), with sound, shown at 256 px or more.

    Where they are generated, the container says so and by what, as does a mark in the picture unless switched off.
    """
    generated = not system.startswith("ground_truth")
    images = map(_enlarge, frames)
    if generated and visible_mark:
        images = map(mark, images)
    write_video(path, images, fps, waveform, sample_rate, provenance(system) if generated else {})


def _enlarge(frame: np.ndarray, size: int = 256) -> np.ndarray:
    if len(frame) >= size:
        return frame
    return cv2.resize(frame, (size, size), interpolation=cv2.INTER_CUBIC)


def mark(image: np.ndarray) -> np.ndarray:
    """Write "synthetic" into the lower left corner: uint8 (H, W, 3) → a marked copy."""
    image = np.ascontiguousarray(image).copy()
    scale = image.shape[0] / 640
    place = (round(12 * scale), image.shape[0] - round(14 * scale))
    for colour, thickness in (((0, 0, 0), 3), ((255, 255, 255), 1)):
        cv2.putText(image, "synthetic", place, cv2.FONT_HERSHEY_SIMPLEX, scale, colour, thickness, cv2.LINE_AA)
    return image


def provenance(system: str) -> dict[str, str]:
    """Container tags that say that a video is synthetic, by which system, and by which state of the code."""
    here = Path(__file__).parent
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=here, capture_output=True, text=True, check=False
    )
    commit = described.stdout.strip() or "unknown"
    return {"comment": f"synthetic talking head; system: {system}; code: {commit}", "synthetic": "true"}
