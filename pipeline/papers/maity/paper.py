"""Maity 2024 declares itself."""

from pipeline.papers.declaration import Paper, SystemDeclaration, Training

PAPER = Paper(
    title='Maity 2024, "Synthesis of Talking Face with Emotion given an image and speech"',
    year=2024,
    trainings={
        "end_to_end": Training(reads=("alignment", "audio_features"), params=("maity", "perceptual")),
    },
    systems={
        "maity": SystemDeclaration(
            needs=frozenset({"waveform_8000", "emotion"}), networks=("end_to_end",), colour="#da8bc3"
        )
    },
)
