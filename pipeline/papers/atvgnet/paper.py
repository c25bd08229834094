"""ATVGnet (Chen L. 2019) declares itself."""

from pipeline.papers.declaration import Paper, SystemDeclaration, Training

# What all trainings read.
SHARED = ("atvgnet.faces", "atvgnet.init_from", "atvgnet.width", "atvgnet.betas")

PAPER = Paper(
    title='Chen L. et al. 2019, "Hierarchical Cross-Modal Talking Face Generation with Dynamic Pixel-Wise Loss"',
    year=2019,
    trainings={
        "audio_to_landmark": Training(
            reads=("alignment", "audio_features"),
            params=(*SHARED, "atvgnet.audio_to_landmark"),
            error="mouth's points, % of the eyes' distance",
        ),
        "landmark_to_texture": Training(
            reads=("alignment", "audio_features"),
            params=(*SHARED, "atvgnet.landmark_to_texture"),
            after=("audio_to_landmark",),
        ),
    },
    systems={
        "atvgnet": SystemDeclaration(
            needs=frozenset({"mfcc"}), networks=("audio_to_landmark", "landmark_to_texture"), colour="#8172b3"
        ),
        "atvgnet_true_landmarks": SystemDeclaration(
            needs=frozenset({"landmarks"}), networks=("landmark_to_texture",), colour="#c5b9e0"
        ),
    },
)
