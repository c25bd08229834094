"""Sinha 2020 declares itself."""

from pipeline.papers.declaration import Paper, SystemDeclaration, Training

# What all trainings but that of blinks read.
SHARED = ("sinha.faces", "sinha.init_from", "sinha.width", "sinha.betas")

PAPER = Paper(
    title='Sinha et al. 2020, "Identity-Preserving Realistic Talking Face Generation"',
    year=2020,
    trainings={
        "audio_to_landmark": Training(
            reads=("alignment", "character_features"),
            params=(*SHARED, "sinha.audio_to_landmark"),
            error="mouth's points, % of the eyes' distance",
        ),
        # A minute holds a dozen blinks: too few for a distribution.
        "blink": Training(
            reads=("alignment",),
            params=("sinha.faces", "sinha.init_from", "sinha.blink"),
            adapts=False,
            error="MMD²",
        ),
        "landmark_to_texture": Training(
            reads=("alignment", "character_features"),
            params=(*SHARED, "sinha.landmark_to_texture", "heatmaps"),
            after=("audio_to_landmark",),
        ),
    },
    systems={
        "sinha": SystemDeclaration(
            needs=frozenset({"characters"}),
            networks=("audio_to_landmark", "blink", "landmark_to_texture"),
            colour="#937860",
        ),
        "sinha_true_landmarks": SystemDeclaration(
            needs=frozenset({"landmarks"}), networks=("landmark_to_texture",), colour="#d3c0b0"
        ),
    },
    plots={"Blinks": ("MMD² in training", {"blink": ["generator_mmd"]})},
)
