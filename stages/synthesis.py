"""Generate the test clips by one system, or by a reference: `python -m stages.synthesis speech`."""

import argparse
from pathlib import Path

from pipeline import parameters
from pipeline.errors import one_line_errors
from pipeline.synthesis import REFERENCES, synthesise
from pipeline.systems.registry import SYSTEMS, load
from pipeline.training.data import ClipStore
from pipeline.training.skipped import reason_skipped

DATA = Path("data")


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("system", choices=[*REFERENCES, *SYSTEMS])
    name = parser.parse_args().system
    p = parameters.load()
    out = DATA / "synthesis" / name
    if reason := reason_skipped(DATA / "end_to_end" / name):
        out.mkdir(parents=True, exist_ok=True)
        print(f"{name}: skipped: {reason}")
        return
    # The same for every system, so that all are measured on the same clips.
    store = ClipStore(DATA, "crops", "landmarks", "heatmaps", "waveform", "waveform_8000", "mel", "mfcc", "characters")
    synthesise(
        name,
        load(name, DATA) if name in SYSTEMS else None,
        store,
        out,
        p.seed,
        fps=p.corpus.fps,
        sample_rate=p.audio_features.sample_rate,
        visible_mark=p.synthesis.visible_mark,
    )


if __name__ == "__main__":
    main()
