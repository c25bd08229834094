"""The speech that a talking head says: read from a file, and whether it can be speech."""

from pathlib import Path

import numpy as np
import parselmouth

from pipeline.errors import ClipRejected, UserError
from pipeline.features.prosody import PAUSE_DB, PITCH_CEILING_HZ, PITCH_FLOOR_HZ, STEP_S
from pipeline.video import LEAST_SAMPLE, read_audio

LOOKED_AT_S = 60  # seconds from the first sound on by which speech is judged
QUIET_DB = -40  # of full scale: the loudest sample
FULL, CLIPPED = 0.99, 0.005  # of full scale, and the share of samples beyond it from which on a recording was too loud
VOICED = 0.15  # share of what is not a pause in which Praat hears a pitch
EVEN_DB = 3.0  # standard deviation of loudness


def read_speech(path: Path, rate: int) -> tuple[np.ndarray, list[str]]:
    """Read the sound of any file of audio or video, mixed down to mono, at `rate` Hz.

    Returns it as float32 in −1…1, (samples,), and what makes one doubt that it is clean speech, a line for each doubt. Raises
    UserError, in one line, for a file without sound, or one of digital silence.
    """
    try:
        waveform = read_audio(path, rate)
    except ClipRejected as problem:
        raise UserError(problem.detail) from problem
    sounds = np.abs(waveform) >= LEAST_SAMPLE
    if not sounds.any():
        raise UserError(f"{path} is silent from beginning to end; was the microphone muted?")
    heard = waveform[np.argmax(sounds) :][: LOOKED_AT_S * rate]
    return waveform, [f"{path}: {doubt}" for doubt in doubts(heard, rate)]


def doubts(waveform: np.ndarray, rate: int) -> list[str]:
    """What speaks against clean speech, in words. waveform: float in −1…1, (samples,), some of it not 0."""
    level = np.abs(waveform)
    said = []
    if (loudest := 20 * np.log10(level.max())) < QUIET_DB:
        said.append(f"very quiet, its loudest sample at {loudest:.0f} dB of full scale; the mouth may hardly open")
    if (share := float(np.mean(level > FULL))) > CLIPPED:
        said.append(f"too loud when it was recorded: {share:.1%} of its samples are at full scale")
    voiced, spread = voice(waveform, rate)
    if voiced < VOICED:
        said.append(f"hardly any voice is heard ({voiced:.0%} of it has a voice's pitch): is it noise?")
    elif spread < EVEN_DB:
        said.append(f"as even as music or a hum (loudness varies by {spread:.1f} dB): is it speech?")
    return said


def voice(waveform: np.ndarray, rate: int) -> tuple[float, float]:
    """By Praat, outside of pauses: the share in which a pitch is heard, and by how many decibels loudness varies (one σ)."""
    sound = parselmouth.Sound(np.pad(waveform.astype(np.float64), round(0.1 * rate)), rate)
    loudness = sound.to_intensity(PITCH_FLOOR_HZ, STEP_S)
    decibels = loudness.values[0]
    speaking = decibels > decibels.max() - PAUSE_DB
    pitch = sound.to_pitch_ac(STEP_S, PITCH_FLOOR_HZ, pitch_ceiling=PITCH_CEILING_HZ)
    heard = [not np.isnan(pitch.get_value_at_time(time)) for time in loudness.xs()[speaking]]
    return float(np.mean(heard)), float(decibels[speaking].std())
