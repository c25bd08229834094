"""What Kesim & Erzin 2021 print, as it is made here."""

from pathlib import Path

from pipeline.evidence.declaration import Evidence, Made
from pipeline.evidence.frames import rows_of_frames, shown_clips, who
from pipeline.evidence.tables import of_systems
from pipeline.papers.kesim_erzin.paper import PAPER
from pipeline.report.pictures import save_image
from pipeline.report.run import Run

STEP, N_FRAMES = 10, 10  # "every tenth frame is shown"


def table_1(run: Run, out: Path) -> Made:
    return Made(of_systems(run, PAPER.systems, ("psnr", "ssim", "lmd", "lmd_share", "mouth_correlation")))


def figure_2(run: Run, out: Path) -> Made:
    clips = shown_clips(run)
    # The paper leaves out the row without feature matching.
    systems = [system for system in PAPER.systems if system != "kesim_erzin_speech_without_fm"]
    save_image(out / "figure_2.png", rows_of_frames(run, systems, clips, STEP, N_FRAMES))
    caption = f"Every tenth frame, the truth and three systems, of {who(run, clips)}. All begin with the same photo."
    return Made(pictures={"figure_2.png": caption})


EVIDENCE = (
    Evidence(
        where="Table 1",
        shows="What speech, landmarks and both contribute, and what the feature matching loss does for speech alone.",
        differs="other people and sentences, of whom fewer train, and a detector whose landmarks and crops are this project's.",
        make=table_1,
        published=("Table 1",),
    ),
    Evidence(
        where="Fig. 2",
        shows="Two people, each as the truth, by speech, by landmarks and by both.",
        differs="the paper shows two people of CREMA-D.",
        make=figure_2,
    ),
)
