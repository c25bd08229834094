"""Draw one grayscale Gaussian heatmap per frame of Kesim & Erzin's faces, from landmarks smoothed as they do (§4.1)."""

from functools import cache, partial
from pathlib import Path

import numpy as np

from pipeline import parameters
from pipeline.corpus.about import read_about, write_about
from pipeline.corpus.incremental import Job, Made, process
from pipeline.corpus.tables import Tables
from pipeline.errors import one_line_errors
from pipeline.features.heatmap import landmark_heatmaps
from pipeline.features.landmarks import inter_ocular_distance
from pipeline.features.smoothing import averaged

tables = cache(Tables)


def draw(clip: str, folder: Path, image_size: int, sigma: float) -> Made:
    heatmaps = landmark_heatmaps(averaged(tables(folder).landmarks(clip)), image_size, sigma)
    return Made({"images": heatmaps}, figures={"frames": len(heatmaps)})


@one_line_errors
def main() -> None:
    p = parameters.load()
    folder = Path("data/alignment") / p.kesim_erzin.faces / "landmarks"
    landmarks, faces = Tables(folder), read_about(folder.parent)
    sigma = p.heatmaps.sigma * float(inter_ocular_distance(np.array(faces["template"])))
    jobs = {clip: Job((landmarks.digest(clip),), clip) for clip in landmarks}
    work = partial(draw, folder=folder, image_size=faces["image_size"], sigma=sigma)
    process("heatmaps", work, jobs, p.corpus.max_rejected, **dict(p.compute))
    write_about(Path("data/heatmaps"), sigma=sigma)


if __name__ == "__main__":
    main()
