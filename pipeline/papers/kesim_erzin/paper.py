"""Kesim & Erzin 2021 declare themselves: the four rows of their Table 1."""

from pipeline.papers.declaration import Paper, SystemDeclaration, Training

# What drives each row beside the photo, and its colour.
ROWS = {
    "speech_without_fm": ({"mel"}, "#c44e52"),
    "speech": ({"mel"}, "#dd8452"),
    "landmark": ({"landmarks"}, "#4c72b0"),
    "speech_landmark": ({"mel", "landmarks"}, "#55a868"),
}
SHARED = (
    "faces",
    "init_from",
    "width",
    "context_frames",
    "decision_every",
    "compose",
    "augmentation",
    "averaging",
    "excerpt_frames",
    "epochs",
    "learning_rate",
    "betas",
)

PAPER = Paper(
    title='Kesim & Erzin 2021, "Investigating Contributions of Speech and Facial Landmarks for Talking Head Generation"',
    year=2021,
    trainings={
        row: Training(
            reads=("alignment", "heatmaps", "audio_features"),
            params=(*(f"kesim_erzin.{name}" for name in SHARED), f"kesim_erzin.{row}"),
            module="end_to_end",
        )
        for row in ROWS
    },
    systems={
        f"kesim_erzin_{row}": SystemDeclaration(needs=frozenset(needs), networks=(row,), colour=colour)
        for row, (needs, colour) in ROWS.items()
    },
    plots={
        "Feature matching": (
            "squared distance of features (Eq. 1)",
            {row: ["generator_feature_matching"] for row in ROWS if row != "speech_without_fm"},
        ),
        "Frame discriminator": (
            "binary cross entropy (undecided 0.69)",
            {row: ["discriminator_frame"] for row in ROWS},
        ),
    },
)
