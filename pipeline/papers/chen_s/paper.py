"""Chen S. 2021 declares itself."""

from pipeline.papers.declaration import Paper, SystemDeclaration, Training

# What all trainings read.
SHARED = ("chen_s.faces", "chen_s.init_from", "chen_s.width", "chen_s.betas")

PAPER = Paper(
    title='Chen S. et al. 2021, "Talking Head Generation with Audio and Speech Related Facial Action Units"',
    year=2021,
    trainings={
        "audio_to_au": Training(
            reads=("alignment", "audio_features", "action_units"),
            params=(*SHARED, "chen_s.audio_to_au"),
            error="1 − Dice coefficient of action units",
        ),
        "au_classifier": Training(
            reads=("alignment", "action_units"),
            params=(*SHARED, "chen_s.au_classifier"),
            error="1 − Dice coefficient of action units",
        ),
        "end_to_end": Training(
            reads=("alignment", "audio_features", "action_units"),
            params=(*SHARED, "chen_s.end_to_end", "perceptual"),
            after=("audio_to_au", "au_classifier"),
        ),
    },
    systems={"chen_s": SystemDeclaration(needs=frozenset({"mfcc"}), networks=("end_to_end",), colour="#64b5cd")},
)
