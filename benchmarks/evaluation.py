"""Evaluating videos against the real ones, against a script that calls the usual libraries once per frame.

    python -m benchmarks.evaluation [CORPUS_FOLDER] [--clips 24] [--workers 2]

Real clips, and of each a blurred copy and one three frames late. The script is what one writes without this project: dlib's
detector and predictor in every whole frame, then in every crop, scikit-image's PSNR and SSIM of every frame, dlib's embedding;
one clip after the other. Its definitions are ours; faces are detected anew in every whole frame, where ours are followed, so
that crops differ a little: the deviation is the largest between the means, as a share.
"""

import argparse
import os
import tempfile
import time
import warnings
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from benchmarks.project import ROOT, add_corpus, videos
from pipeline import evaluate
from pipeline.corpus.workers import each
from pipeline.errors import ClipRejected, UserError, one_line_errors
from pipeline.evaluation.identity import FRAMES, LEAST_SIZE
from pipeline.evaluation.landmark import BORDERS, LEAST_SCORE
from pipeline.features.alignment import align_faces, crop_face
from pipeline.features.detection import face_detector, predict_landmarks
from pipeline.features.landmarks import MOUTH, mouth_opening
from pipeline.features.person import embedding
from pipeline.systems.preprocessing import Preprocessing
from pipeline.training.trained import read_card
from pipeline.video import read_frames, write_video

WANG = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255, "channel_axis": -1}


def damaged(clips: list[Path], folder: Path) -> list[evaluate.Pair]:
    """The pairs: each clip with its two copies."""
    pairs = []
    for k, clip in enumerate(clips):
        frames = read_frames(clip, 25)
        copies = {
            "blurred": [cv2.GaussianBlur(frame, (0, 0), 2) for frame in frames],
            "late": frames[np.maximum(np.arange(len(frames)) - 3, 0)],
        }
        paths = {name: folder / name / f"clip{k:03d}.mp4" for name in copies}
        for name, path in paths.items():
            write_video(path, copies[name], 25, preset="ultrafast")
        pairs.append(evaluate.Pair(f"clip{k:03d}", clip, paths, shown=False))
    return pairs


def by_us(pairs: list[evaluate.Pair], how: Preprocessing, workers: int) -> dict[tuple[str, str], dict[str, float]]:
    """METRICS by clip and copy."""
    results = {
        pair.clip: found
        for pair, found in each(partial(evaluate.evaluate, how=how, align="real"), pairs, "ours", workers)
    }
    return {
        (clip, name): found.metrics
        for clip, result in results.items()
        if not isinstance(result, ClipRejected)
        for name, found in result.measured.items()
    }


def by_libraries(pair: evaluate.Pair, how: Preprocessing) -> dict[tuple[str, str], dict[str, float]]:
    """The figures of a pair's copies, frame by frame."""
    frames = {"real": read_frames(pair.real, how.fps)}
    frames["static"] = np.repeat(frames["real"][:1], len(frames["real"]), axis=0)
    frames |= {name: read_frames(path, how.fps) for name, path in pair.generated.items()}
    found, box = [], None
    for frame in frames["real"]:
        grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        box = max(face_detector()(grey), key=lambda face: face.width(), default=box)
        found.append(predict_landmarks(grey, np.array([box.left(), box.top(), box.right(), box.bottom()])))
    transforms, _ = align_faces(np.stack(found), np.zeros((len(found), 4)), how.template, how.transform, how.image_size)
    crops = {
        name: [crop_face(frame, matrix, how.image_size) for frame, matrix in zip(of, transforms, strict=False)]
        for name, of in frames.items()
    }
    crops["static"] = [crops["real"][0]] * len(found)
    landmarks = {name: np.stack([in_crop(crop) for crop in of]) for name, of in crops.items()}
    return {(pair.clip, name): figures(crops, landmarks, name) for name in crops if name != "real"}


def in_crop(crop: np.ndarray) -> np.ndarray:
    """dlib's landmarks of a crop enlarged to 256 px, in the crop's pixels."""
    scale = evaluate.DETECTION_SIZE / len(crop)
    enlarged = cv2.resize(crop, (evaluate.DETECTION_SIZE,) * 2, interpolation=cv2.INTER_CUBIC)
    for border in (round(share * len(enlarged)) for share in BORDERS):
        grey = cv2.cvtColor(enlarged, cv2.COLOR_RGB2GRAY)
        grey = cv2.copyMakeBorder(grey, border, border, border, border, cv2.BORDER_REPLICATE)
        boxes, scores, _ = face_detector().run(grey, 0, LEAST_SCORE)
        if boxes:
            box = boxes[int(np.argmax(scores))]
            box = np.array([box.left(), box.top(), box.right(), box.bottom()]) - border
            return (predict_landmarks(enlarged, box) + 0.5) / scale - 0.5
    return np.full((68, 2), np.nan)


def figures(crops: dict[str, list[np.ndarray]], landmarks: dict[str, np.ndarray], name: str) -> dict[str, float]:
    pairs = list(zip(crops["real"], crops[name], strict=True))
    real, found = landmarks["real"], landmarks[name]
    mouths = [of[:, MOUTH] - of[:, MOUTH].mean(axis=1, keepdims=True) for of in (real, found)]
    seen = np.flatnonzero(~np.isnan(found[:, 0, 0]))
    shown = seen[((np.arange(FRAMES) + 0.5) * len(seen) / FRAMES).astype(int)]
    photo, *faces = (
        of_face(crop, points)
        for crop, points in [(crops["real"][0], real[0])] + [(crops[name][t], found[t]) for t in shown]
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of equal frames, and of a mouth that keeps still
        psnr = [min(peak_signal_noise_ratio(a, b), 58.92) for a, b in pairs]
        moves = np.corrcoef(mouth_opening(real), mouth_opening(found))[0, 1]
    return {
        "psnr": float(np.mean(psnr)),
        "ssim": float(np.mean([structural_similarity(a, b, **WANG) for a, b in pairs])),
        "lmd": float(np.nanmean(np.linalg.norm(mouths[0] - mouths[1], axis=-1))),
        "mouth_correlation": float(moves),
        "identity": float(np.mean([photo @ face for face in faces])),
    }


def of_face(crop: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    scale = max(1, LEAST_SIZE / len(crop))
    vector = embedding(
        cv2.resize(crop, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC), (landmarks + 0.5) * scale - 0.5
    )
    return vector / np.linalg.norm(vector)


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks.evaluation", description=__doc__.splitlines()[0])
    add_corpus(parser)
    parser.add_argument("--clips", type=int, default=24, help="so many of its clips (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="processes of ours (default: %(default)s)")
    args = parser.parse_args()
    clips = videos(args.corpus, args.clips)
    cv2.setNumThreads(1)
    how = Preprocessing.of(read_card(ROOT / evaluate.PRETRAINED)["preprocessing"])
    with tempfile.TemporaryDirectory() as folder:
        pairs = damaged(clips, Path(folder))
        start, core = time.perf_counter(), sum(os.times()[:4])
        found = by_us(pairs, how, args.workers)
        seconds, of_cores = {"ours": time.perf_counter() - start}, {"ours": sum(os.times()[:4]) - core}
        used = {clip for clip, _ in found}
        predict_landmarks(np.zeros((100, 100), np.uint8), np.array([10, 10, 90, 90]))  # loads the model
        start, core = time.perf_counter(), sum(os.times()[:4])
        expected = [by_libraries(pair, how) for pair in pairs if pair.clip in used]
        seconds["alternative"], of_cores["alternative"] = time.perf_counter() - start, sum(os.times()[:4]) - core
    if not used:
        raise UserError(f"{args.corpus}: no clip in which a face is found")
    table = pd.DataFrame({key: figures for of_clip in expected for key, figures in of_clip.items()}).T
    ours = pd.DataFrame(found).T[list(table)]
    means = [of.groupby(level=1).mean() for of in (ours, table)]
    print(means[0].to_string(float_format="%.4f"), means[1].to_string(float_format="%.4f"), sep="\n")
    apart = (means[0] / means[1] - 1).abs().max(axis=None)
    speed = {name: len(used) / used_s for name, used_s in seconds.items()}
    print(f"{len(used)} clips and two copies of each; ours by {args.workers} processes, their start included")
    # On a machine that does much else, these say more than the clock.
    print("core-seconds a clip: " + ", ".join(f"{name} {used_s / len(used):.2f}" for name, used_s in of_cores.items()))
    rates = f"ours {speed['ours']:.3f}, alternative {speed['alternative']:.3f} clips/s"
    print(f"evaluation: ratio {speed['ours'] / speed['alternative']:.2f} ({rates}; deviation {apart:.4f} of a mean)")


if __name__ == "__main__":
    main()
