"""Draw one grayscale Gaussian heatmap per frame from the aligned landmarks."""

from pathlib import Path

from tqdm import tqdm

from pipeline import parameters
from pipeline.corpus.shards import ShardWriter
from pipeline.corpus.tables import read_landmarks
from pipeline.errors import one_line_errors
from pipeline.features.heatmap import landmark_heatmaps


@one_line_errors
def main() -> None:
    p = parameters.load()
    landmarks = read_landmarks(Path("data/alignment/landmarks.parquet"))
    with ShardWriter(Path("data/heatmaps")) as shards:
        for clip, points in tqdm(landmarks.items(), "heatmaps", unit="clip", disable=None):
            shards.add(clip, landmark_heatmaps(points, p.alignment.image_size, p.heatmaps.sigma))


if __name__ == "__main__":
    main()
