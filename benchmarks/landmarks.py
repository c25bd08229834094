"""Landmarks by tracked detection, against detection in every frame, over a corpus's clips, on one core.

    python -m benchmarks.landmarks [CORPUS_FOLDER] [--clips 24] [--redetect-every 25]

Frames per second are those of CPU time, so that other work on the machine counts little. The deviation is the mean distance
of the landmarks to those of every frame's own detection, over points and frames where both find a face.
"""

import argparse
import time

import cv2
import numpy as np

from benchmarks.project import add_corpus, videos
from pipeline.errors import ClipRejected, UserError, one_line_errors
from pipeline.features.detection import find_faces, predict_landmarks
from pipeline.features.tracking import detect_clip
from pipeline.video import stream_frames

FPS = 25


def every_frame(frames: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The alternative: HOG and the predictor in each frame by itself. Landmarks (T, 68, 2), has_face (T,)."""
    landmarks, has_face = np.zeros((len(frames), 68, 2)), np.zeros(len(frames), bool)
    for t, grey in enumerate(frames):
        if faces := find_faces(grey):
            landmarks[t], has_face[t] = predict_landmarks(grey, faces[0].box), True
    return landmarks, has_face


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser("python -m benchmarks.landmarks", description=__doc__.splitlines()[0])
    add_corpus(parser)
    parser.add_argument("--clips", type=int, default=24, help="so many of its clips (default: %(default)s)")
    parser.add_argument("--redetect-every", type=int, default=25, help="frames (default: %(default)s)")
    args = parser.parse_args()
    clips = videos(args.corpus, args.clips)
    cv2.setNumThreads(1)
    predict_landmarks(np.zeros((100, 100), np.uint8), np.array([10, 10, 90, 90]))  # loads the model
    seconds = {"decoding": 0.0, "ours": 0.0, "alternative": 0.0}
    distances, n_frames, missed, beyond = [], 0, 0, 0
    for clip in clips:
        start = time.process_time()
        frames = list(stream_frames(clip, FPS, grey=True))
        seconds["decoding"] += time.process_time() - start
        start = time.process_time()
        try:
            ours = detect_clip(frames, "dlib", args.redetect_every, 1.0, str(clip))
        except ClipRejected as problem:
            print(f"left out: {problem}")
            continue
        seconds["ours"] += time.process_time() - start
        start = time.process_time()
        landmarks, has_face = every_frame(frames)
        seconds["alternative"] += time.process_time() - start
        both = ours.has_face & has_face
        distances.append(np.linalg.norm(ours.landmarks - landmarks, axis=-1)[both].ravel())
        missed += int((has_face & ~ours.has_face).sum())
        beyond += int((ours.has_face & ~has_face).sum())
        n_frames += len(frames)
    if not distances:
        raise UserError(f"{args.corpus}: no clip in which a face is found")
    distance = np.concatenate(distances)
    speed = {name: n_frames / used for name, used in seconds.items()}
    with_decoding = {name: n_frames / (seconds[name] + seconds["decoding"]) for name in ("ours", "alternative")}
    print(f"{len(distances)} clips, {n_frames} frames of {frames[0].shape[1]}×{frames[0].shape[0]}")
    print(
        f"faces missed {missed}, found beyond {beyond}; 95 % of the points within {np.percentile(distance, 95):.2f} px"
    )
    print("with decoding: " + ", ".join(f"{name} {rate:.0f} frames/s" for name, rate in with_decoding.items()))
    rates = f"ours {speed['ours']:.0f}, alternative {speed['alternative']:.0f} frames/s"
    ratio = speed["ours"] / speed["alternative"]
    print(f"landmarks: ratio {ratio:.2f} ({rates}; deviation {distance.mean():.3f} px)")


if __name__ == "__main__":
    main()
