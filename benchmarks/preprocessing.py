"""The whole of preprocessing, against a straightforward pipeline that writes one image per frame.

    python -m benchmarks.preprocessing [FOLDER_OF_CLIPS] [--clips 60]

Ours: the stages landmarks, alignment, heatmaps and audio_features, as `dvc repro` starts them. The alternative: every frame
to a PNG; a face detected and its landmarks predicted in each of these; every crop and every heatmap to a PNG, the heatmap by
68 Gaussians over the whole image; the same sound features into one file per clip. Both on one core, start-up counted; then ours
on more. The deviation is the mean distance of the aligned landmarks.
"""

import argparse
import sys
import tempfile
import time
from itertools import count
from pathlib import Path

import cv2
import numpy as np

from benchmarks.project import ROOT, add_corpus, checkout, cpus, run, size_of, videos
from pipeline.corpus.tables import Tables
from pipeline.errors import one_line_errors
from pipeline.features.alignment import apply_similarity, fit_similarity
from pipeline.features.audio import log_mel, mfcc
from pipeline.features.detection import face_detector, predict_landmarks
from pipeline.features.landmarks import RIGID
from pipeline.features.prosody import prosody
from pipeline.features.smoothing import averaged, for_transforms
from pipeline.video import read_audio

STAGES = ("landmarks", "alignment small", "heatmaps", "audio_features")
SIZE, SIGMA, FPS, RATE = 64, 1.0, 25, 22_050


def image_per_frame(corpus: Path, template: np.ndarray, out: Path) -> None:
    """The alternative, a clip after the other."""
    for video in sorted(corpus.glob("clip0*")):
        folder = out / video.stem
        for name in ("frames", "crops", "heatmaps"):
            (folder / name).mkdir(parents=True)
        capture = cv2.VideoCapture(str(video))
        for t in count():
            is_frame, image = capture.read()
            if not is_frame:
                break
            cv2.imwrite(str(folder / "frames" / f"{t:05d}.png"), image)
        paths = sorted((folder / "frames").iterdir())
        landmarks = np.zeros((len(paths), 68, 2), np.float32)
        for t, path in enumerate(paths):
            image = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
            boxes = face_detector()(image, 0)
            if boxes:
                box = max(boxes, key=lambda b: b.area())
                box = np.array([box.left(), box.top(), box.right(), box.bottom()])
                landmarks[t] = predict_landmarks(image, box)
            elif t:
                landmarks[t] = landmarks[t - 1]
        aligned = np.zeros_like(landmarks)
        y, x = np.mgrid[:SIZE, :SIZE]
        for t, (path, points, steady) in enumerate(
            zip(paths, averaged(landmarks), for_transforms(landmarks), strict=True)
        ):
            matrix = fit_similarity(steady[RIGID], template[RIGID])
            crop = cv2.warpAffine(cv2.imread(str(path)), matrix, (SIZE, SIZE), flags=cv2.INTER_AREA)
            cv2.imwrite(str(folder / "crops" / path.name), crop)
            aligned[t] = apply_similarity(matrix, points)
            gaussians = [np.exp(-((x - u) ** 2 + (y - v) ** 2) / (2 * SIGMA**2)) for u, v in aligned[t]]
            heatmap = np.rint(255 * np.max(gaussians, axis=0)).astype(np.uint8)
            cv2.imwrite(str(folder / "heatmaps" / path.name), heatmap)
        np.save(folder / "landmarks.npy", aligned)
        waveform = read_audio(video, RATE)
        np.save(folder / "waveform.npy", waveform)
        np.save(folder / "mel.npy", log_mel(waveform, RATE, 60, 33))
        np.save(folder / "mfcc.npy", mfcc(waveform, RATE))
        prosody(waveform, RATE, len(paths), FPS).to_csv(folder / "prosody.csv")


def ours(folder: Path, clips: list[Path], cores: int) -> float:
    """Seconds that our stages take in a new checkout, a worker on each of so many cores."""
    checkout(folder, clips, cores)
    run(folder, sys.executable, "-m", "stages.clips")
    started = time.perf_counter()
    for stage in STAGES:
        run(folder, sys.executable, "-m", *f"stages.{stage}".split(), cpus=cpus(cores))
    return time.perf_counter() - started


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks.preprocessing", description=__doc__.splitlines()[0])
    add_corpus(parser)
    parser.add_argument("--clips", type=int, default=60, help="so many of its clips (default: %(default)s)")
    parser.add_argument("--cores", type=int, default=2, help="1 = only on one (default: %(default)s)")
    parser.add_argument("--alternative", nargs=2, type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.alternative:
        checked_out, out = args.alternative
        image_per_frame(checked_out / "corpus", np.load(checked_out / "data/alignment/small/template.npy"), out)
        return
    clips = videos(args.corpus, args.clips)
    with tempfile.TemporaryDirectory() as temporary:
        one, several, other = (Path(temporary) / name for name in ("one", "several", "other"))
        seconds = {"ours": ours(one, clips, 1)}
        started = time.perf_counter()
        command = [sys.executable, "-m", "benchmarks.preprocessing", "--alternative", str(one), str(other)]
        run(ROOT, *command, cpus=cpus(1))
        seconds["alternative"] = time.perf_counter() - started
        if args.cores > 1:
            seconds["cores"] = ours(several, clips, args.cores)
        found = Tables(one / "data/alignment/small/landmarks")
        n_frames = sum(found.frames(clip) for clip in found)
        distances = []
        for clip in found:
            theirs, points = np.load(other / clip / "landmarks.npy"), found.landmarks(clip)
            if len(theirs) == len(points):
                distances.append(np.linalg.norm(points - theirs, axis=-1).mean())
        bytes_ours = size_of(*(one / "data" / stage.split()[0] for stage in STAGES))
        bytes_theirs = size_of(other)
    rate = {name: n_frames / value for name, value in seconds.items()}
    print(f"{len(clips)} clips, {n_frames} frames")
    print(
        f"bytes: ours {bytes_ours / 1e6:.1f} MB, alternative {bytes_theirs / 1e6:.1f} MB: {bytes_ours / bytes_theirs:.2f}"
    )
    if "cores" in rate:
        print(f"{args.cores} cores: {rate['cores']:.0f} frames/s, {rate['cores'] / rate['ours']:.2f} times one core's")
    rates = f"ours {rate['ours']:.1f}, alternative {rate['alternative']:.1f} frames/s"
    ratio = rate["ours"] / rate["alternative"]
    print(f"preprocessing: ratio {ratio:.2f} ({rates}; deviation {np.mean(distances):.3f} px)")


if __name__ == "__main__":
    main()
