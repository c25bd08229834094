"""Draw one grayscale Gaussian heatmap per frame from the aligned landmarks."""

from functools import cache, partial
from pathlib import Path

from pipeline import parameters
from pipeline.corpus.about import write_about
from pipeline.corpus.incremental import Job, Made, process
from pipeline.corpus.tables import Tables
from pipeline.errors import one_line_errors
from pipeline.features.heatmap import landmark_heatmaps

LANDMARKS = Path("data/alignment/landmarks")

tables = cache(Tables)


def draw(clip: str, image_size: int, sigma: float) -> Made:
    heatmaps = landmark_heatmaps(tables(LANDMARKS).landmarks(clip), image_size, sigma)
    return Made({"images": heatmaps}, figures={"frames": len(heatmaps)})


@one_line_errors
def main() -> None:
    p = parameters.load()
    landmarks = Tables(LANDMARKS)
    jobs = {clip: Job((landmarks.digest(clip),), clip) for clip in landmarks}
    work = partial(draw, image_size=p.alignment.image_size, sigma=p.heatmaps.sigma)
    process("heatmaps", work, jobs, p.corpus.max_rejected, **dict(p.compute))
    write_about(Path("data/heatmaps"), sigma=p.heatmaps.sigma)


if __name__ == "__main__":
    main()
