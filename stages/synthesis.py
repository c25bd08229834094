"""Generate the test clips by one system, or by a reference: `python -m stages.synthesis speech`."""

import argparse
from pathlib import Path

from pipeline import parameters
from pipeline.errors import one_line_errors
from pipeline.features.windows import columns_per_frame
from pipeline.synthesis import REFERENCES, synthesise
from pipeline.training.data import ClipStore
from pipeline.training.end_to_end import INPUTS, load


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("system", choices=[*REFERENCES, *INPUTS])
    system = parser.parse_args().system
    p = parameters.load()
    columns = columns_per_frame(p.audio_features.sample_rate, p.audio_features.window_ms, p.corpus.fps)
    store = ClipStore(Path("data"), columns, p.kesim_erzin.context_frames)
    trained = load(Path("data/end_to_end") / system) if system in INPUTS else None
    synthesise(
        system,
        trained,
        store,
        Path("data/synthesis") / system,
        p.seed,
        fps=p.corpus.fps,
        sample_rate=p.audio_features.sample_rate,
        visible_mark=p.synthesis.visible_mark,
    )


if __name__ == "__main__":
    main()
