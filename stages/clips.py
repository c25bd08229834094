"""List the corpus's clips, with what their containers say and the split that each belongs to."""

from pathlib import Path

import pandas as pd

from pipeline import parameters
from pipeline.corpus.about import write_about
from pipeline.corpus.inventory import list_clips
from pipeline.corpus.layouts import EMOTIONS
from pipeline.corpus.tables import write_rejected, write_table
from pipeline.errors import one_line_errors


@one_line_errors
def main() -> None:
    p = parameters.load()
    corpus = p.corpus
    clips, rejected = list_clips(
        corpus.layout, Path(corpus.root), corpus.held_out_sentences, corpus.test_subjects, **dict(p.compute)
    )
    write_rejected(Path("data/clips"), "clips", rejected, len(clips) + len(rejected), corpus.max_rejected)
    write_table(clips, Path("data/clips/clips.parquet"))
    write_about(Path("data/clips"), layout=corpus.layout, test_subjects=corpus.test_subjects)
    print(_counted(clips["split"]))
    unknown = clips["emotion"][~clips["emotion"].isin(EMOTIONS)]
    if unknown.notna().any():
        print(f"emotions that no system learns: {_counted(unknown)}")


def _counted(values: pd.Series) -> str:
    return ", ".join(f"{value} {count}" for value, count in values.value_counts().items())


if __name__ == "__main__":
    main()
