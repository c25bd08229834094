"""How well the demo corpus can be read: the landmarks that drove it against those that the detector finds in it.

python -m pipeline.demo.accuracy [ROOT] [--every N]
"""

import argparse
from functools import partial
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.corpus.tables import read_landmarks
from pipeline.corpus.workers import each
from pipeline.demo.motion import FPS
from pipeline.errors import UserError, one_line_errors
from pipeline.features.detection import detect_face, predict_landmarks
from pipeline.features.landmarks import MOUTH, inter_ocular_distance, mouth_opening
from pipeline.features.person import embedding
from pipeline.video import read_frames

SAME_PERSON = 0.6  # dlib's own threshold on the distance of two face embeddings


def compare_clip(item: tuple[str, np.ndarray], root: Path, every: int) -> pd.DataFrame:
    """Every `every`-th frame of a clip: whether a face is found, mouth error in pixels and in eye distances, openings."""
    clip, driven = item
    rows = []
    for t, frame in enumerate(read_frames(root / "VideoFlash" / f"{clip}.flv", FPS)):
        if t % every:
            continue
        box = detect_face(frame)
        found = predict_landmarks(frame, box) if box is not None else np.full((68, 2), np.nan)
        error = np.linalg.norm(found[MOUTH] - driven[t, MOUTH], axis=1).mean()
        eyes = inter_ocular_distance(driven[t])
        rows.append((clip, box is not None, error, error / eyes, mouth_opening(driven[t]), mouth_opening(found)))
    return pd.DataFrame(rows, columns=["clip", "has_face", "error_px", "error_iod", "driven", "detected"])


def embeddings(root: Path, clips: list[str]) -> dict[str, np.ndarray]:
    """dlib's face embedding (128,) of each subject, from the first frame of their first clip that shows a face to it."""
    result = {}
    for clip in clips:
        subject = clip[:4]
        if subject not in result:
            frame = read_frames(root / "VideoFlash" / f"{clip}.flv", FPS)[0]
            box = detect_face(frame)
            if box is not None:
                result[subject] = embedding(frame, predict_landmarks(frame, box))
    return result


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser("python -m pipeline.demo.accuracy", description=__doc__.splitlines()[0])
    parser.add_argument("root", nargs="?", type=Path, default=Path("data/demo_corpus"), help="default: %(default)s")
    parser.add_argument("--every", type=int, default=5, help="look at every so many frames (default: %(default)s)")
    args = parser.parse_args()
    if not (args.root / "truth").is_dir():
        raise UserError(f"{args.root} has no folder `truth`; render it with `dvc repro demo_corpus`")
    truth = read_landmarks(args.root / "truth" / "landmarks.parquet")
    compare = partial(compare_clip, root=args.root, every=args.every)
    table = pd.concat([rows for _, rows in each(compare, list(truth.items()), "accuracy")])
    found = table[table["has_face"]]
    distances = {
        (a, b): float(np.linalg.norm(x - y))
        for (a, x), (b, y) in combinations(embeddings(args.root, list(truth)).items(), 2)
    }
    nearest = min(distances, key=distances.get)
    apart = sum(distance > SAME_PERSON for distance in distances.values())
    blinks = pd.read_parquet(args.root / "truth" / "blinks.parquet")
    seconds = sum(len(points) for points in truth.values()) / FPS
    error_px, error_iod = found["error_px"].mean(), found["error_iod"].mean()
    duration = (blinks["end_s"] - blinks["start_s"]).mean()
    print(f"clips                 {len(truth)}, {seconds:.0f} s; {len(table)} frames looked at")
    print(f"frames with a face    {100 * table['has_face'].mean():.2f} %")
    print(f"mean mouth error      {error_px:.2f} px, {100 * error_iod:.2f} % of the eyes' distance")
    print(f"mouth opening         detected ~ driven r = {found['driven'].corr(found['detected']):.3f}")
    print(
        f"subjects              {apart} of {len(distances)} pairs apart by more than {SAME_PERSON} (dlib's threshold)"
    )
    print(f"nearest subjects      {' and '.join(nearest)}: {distances[nearest]:.2f}")
    print(f"blinks                {len(blinks) / seconds:.3f} per second, {duration:.3f} s each")


if __name__ == "__main__":
    main()
