"""Speech in noise, which three of the papers claim to withstand and none measures.

Two kinds of noise: babble of other people's clips, whose words are speech to any network that listens; and pink noise, which
falls with frequency as speech does and says nothing. White noise would mostly hide what is hardly heard anyway.
"""

from functools import partial
from pathlib import Path

import numpy as np

from pipeline.evidence.declaration import Evidence, Made, Rows
from pipeline.evidence.trials import only, some, tried
from pipeline.report.comparison import COLUMNS, Figure, cell, row_figures, signs_of
from pipeline.report.pictures import COLOURS, curves
from pipeline.report.run import Row, Run
from pipeline.synthesis import HeldOutClips, drawn_frames
from pipeline.systems.system import System

SNRS = (20, 10, 0)  # dB
TALKERS = 6
N_CLIPS = 12
FIGURES = ("mouth_correlation", "lmd_share", "mouth_lag")
CHARTED = ("mouth_correlation", "lmd_share")
CLEAN = "clean"
HEARD = [CLEAN, *(f"{snr} dB" for snr in SNRS)]


def babble(clips: HeldOutClips, clip: str, n_samples: int, rng: np.random.Generator) -> np.ndarray:
    """TALKERS at once, equally loud: test clips of other people, drawn by lot, each from a place drawn by lot, over and over.

    Returns (n_samples,). Where nobody else is tested, other clips of the same person.
    """
    people = clips.table["subject"].sort_index()
    others = people.index[people != people[clip]]
    others = people.index.drop(clip) if others.empty else others
    voices = [clips.speech(other) for other in rng.choice(others, TALKERS)]
    looped = [np.resize(np.roll(voice, -rng.integers(len(voice))), n_samples) for voice in voices]
    return sum(voice / max(power(voice), 1e-12) ** 0.5 for voice in looped)


def pink(clips: HeldOutClips, clip: str, n_samples: int, rng: np.random.Generator) -> np.ndarray:
    """Gaussian noise of equal power in every octave above 20 Hz: (n_samples,)."""
    spectrum = np.fft.rfft(rng.standard_normal(n_samples))
    frequencies = np.fft.rfftfreq(n_samples, 1 / clips.sample_rate)
    return np.fft.irfft(spectrum * np.where(frequencies < 20, 0, 1 / np.sqrt(np.maximum(frequencies, 20))), n_samples)


KINDS = {"babble": babble, "pink": pink}


def power(waveform: np.ndarray) -> float:
    """Mean square, pauses included."""
    return float(np.mean(np.square(waveform, dtype=np.float64)))


def mixed(speech: np.ndarray, noise: np.ndarray, snr_db: float) -> np.ndarray:
    """Speech (samples,) with noise so loud that their powers are `snr_db` apart: float32. What would exceed full scale is made
    quieter as a whole."""
    heard = speech + noise * np.sqrt(power(speech) / power(noise) / 10 ** (snr_db / 10))
    return (heard / max(1, np.abs(heard).max())).astype(np.float32)


def draw(system: System, clips: HeldOutClips, clip: str, seed: int, kind: str, snr_db: float) -> np.ndarray:
    """A clip as a system draws it from its speech in noise; the noise is the clip's own, the same at every loudness."""
    speech, landmarks = clips.speech(clip), clips.landmarks(clip)
    sound = mixed(speech, KINDS[kind](clips, clip, len(speech), np.random.default_rng(seed)), snr_db)
    driving = system.driving(len(landmarks), landmarks[0], sound, clips.sample_rate, emotion=clips.emotion(clip))
    return drawn_frames(system, clips.crops[clip][0], driving, seed)


def withstood(run: Run, out: Path) -> Made:
    """What becomes of every speech-driven system in noise: a table for each of FIGURES, and curves of CHARTED."""
    rows, clips = [row for row in run.rows if row.is_speech_driven], some(run, N_CLIPS)
    figures = {kind: in_noise(run, rows, clips, kind) for kind in KINDS}
    titles = {(key, kind): f"{COLUMNS[key].metric.heading}, {kind}" for key in FIGURES for kind in KINDS}
    tables = {title: _table(figures[kind], rows, key) for (key, kind), title in titles.items()}
    panels = {
        titles[key, kind]: {row.of: [of_rows[row][key].value for of_rows in figures[kind].values()] for row in rows}
        for key in CHARTED
        for kind in KINDS
    }
    curves(out / "noise.png", panels, HEARD, "signal-to-noise ratio", COLOURS)
    caption = (
        "Mouth correlation and LMD of each speech-driven system as its speech drowns in six other people's (left) and in pink "
        "noise (right). A correlation of 0, and an LMD of 100 %, is a still photo's."
    )
    note = (
        f"{len(clips)} clips of {run.clips.loc[clips, 'subject'].nunique()} people. The ratio is that of mean powers, pauses "
        "included. Marks compare with clean speech: ▼ is worse, ▲ better, at 5 % for all of a table together (Holm)."
    )
    return Made(tables, {"noise.png": caption}, (note,))


def in_noise(run: Run, rows: list[Row], clips: list[str], kind: str) -> dict[str, dict[Row, dict[str, Figure]]]:
    """The figures of some rows and clips, by key of COLUMNS, for each of HEARD."""
    systems = [row.of for row in rows]
    runs = [only(run, ("static", *systems), clips)]
    for snr in SNRS:
        runs.append(tried(run, systems, clips, partial(draw, kind=kind, snr_db=snr), f"noise/{kind}_{snr}"))
    return {
        heard: {row: row_figures(of_heard, row, clips) for row in rows}
        for heard, of_heard in zip(HEARD, runs, strict=True)
    }


def claimed(where: str, claim: str) -> Evidence:
    """The evidence for a paper's claim. where: its section; claim: in a sentence."""
    return Evidence(
        where=f"{where}: noisy speech",
        shows=f"{claim} Here test clips speak in babble and in pink noise, at {', '.join(map(str, SNRS))} dB.",
        differs="the paper claims it and prints no figure, nor says what noise it means.",
        make=withstood,
    )


def _table(figures: dict[str, dict[Row, dict[str, Figure]]], rows: list[Row], key: str) -> Rows:
    """A row per system, a column for each of HEARD; marks compare with clean speech. figures: as of `in_noise`."""
    pairs = {(row, heard): (figures[heard][row][key], figures[CLEAN][row][key]) for heard in HEARD[1:] for row in rows}
    known = {place: pair for place, pair in pairs.items() if not any(np.isnan(figure.value) for figure in pair)}
    signs = dict(zip(known, signs_of(key, known.values()), strict=True))
    return [
        {"system": f"`{row.of}`"}
        | {heard: cell(key, figures[heard][row][key], signs.get((row, heard), 0), False) for heard in HEARD}
        for row in rows
    ]
