"""Prosody by Praat (through parselmouth): pitch, intensity, harmonicity and formants on the video's clock."""

from typing import TYPE_CHECKING

import numpy as np
import parselmouth

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ["voiced", "f0_hz", "intensity_db", "harmonicity_db", "f1_hz", "f2_hz", "f3_hz"]
STEP_S = 0.01
# Praat's usual range of speaking voices, men's and women's.
PITCH_FLOOR_HZ, PITCH_CEILING_HZ = 75.0, 600.0
# Five formants below this (Praat's standard, an average woman's vocal tract; 5000 Hz would be a man's).
FORMANT_CEILING_HZ = 5500.0
# Intensity's window is the longest: 6.4 periods of the lowest pitch, 85 ms.
MARGIN_S = 0.1
# Praat's decibels are relative to 2·10⁻⁵, the least that is heard; rounding to 16 bits leaves −7 dB of silence.
SILENCE_DB = 0.0
# How far below a clip's loudest frame a pause lies: Praat's own setting for finding them.
PAUSE_DB = 25.0


def prosody(waveform: np.ndarray, sample_rate: int, n_frames: int, fps: float) -> "pd.DataFrame":
    """Prosody at the middle of each video frame.

    waveform: float mono in −1…1, shape (samples,), as long or short as it is: 0.1 s of silence is added before it, and after
    it at least as much and up to the last video frame, so that Praat's windows fit whatever the length.

    Returns n_frames rows with COLUMNS: voiced (bool); f0_hz, 75…600, NaN where unvoiced; intensity_db relative to 2·10⁻⁵ (a
    sine of full scale has 91), NaN in silence; harmonicity_db, periodic part over noise, NaN where nothing is periodic;
    f1_hz … f3_hz, the formants (Burg), NaN in silence or where fewer are found.
    """
    after = max(MARGIN_S, n_frames / fps - len(waveform) / sample_rate + MARGIN_S)
    padding = (round(MARGIN_S * sample_rate), round(after * sample_rate))
    sound = parselmouth.Sound(np.pad(np.asarray(waveform, np.float64), padding), sample_rate)
    times = padding[0] / sample_rate + (np.arange(n_frames) + 0.5) / fps
    nearest = parselmouth.ValueInterpolation.NEAREST

    pitch = sound.to_pitch_ac(STEP_S, PITCH_FLOOR_HZ, pitch_ceiling=PITCH_CEILING_HZ)
    intensity = sound.to_intensity(PITCH_FLOOR_HZ, STEP_S)
    # These two take most of the time, so that every other step is measured. (Autocorrelation would be faster than
    # cross-correlation, and is 15 dB off on a steady vowel.)
    harmonicity = sound.to_harmonicity_cc(2 * STEP_S, PITCH_FLOOR_HZ)
    formants = sound.to_formant_burg(2 * STEP_S, maximum_formant=FORMANT_CEILING_HZ)

    f0 = np.array([pitch.get_value_at_time(t) for t in times], float)
    loudness = np.array([intensity.get_value(t, nearest) for t in times], float)
    periodic = np.array([harmonicity.get_value(t, nearest) for t in times], float)
    is_silent = ~(loudness > SILENCE_DB)
    # Praat writes −200 dB where it finds no period.
    table = {"voiced": ~np.isnan(f0), "f0_hz": f0, "intensity_db": np.where(is_silent, np.nan, loudness)}
    table["harmonicity_db"] = np.where(is_silent | (periodic <= -200), np.nan, periodic)
    for number in (1, 2, 3):
        values = np.array([formants.get_value_at_time(number, t) for t in times], float)
        table[f"f{number}_hz"] = np.where(is_silent, np.nan, values)
    import pandas as pd  # who only asks how voices are heard does without

    return pd.DataFrame(table, columns=COLUMNS)


def silent_share(intensity_db: np.ndarray) -> float:
    """The share of frames in which nobody speaks: PAUSE_DB below the clip's loudest one, or without any sound.

    intensity_db: (T,), NaN in silence, as by `prosody`.
    """
    loudness = np.nan_to_num(intensity_db, nan=-np.inf)
    return float(np.mean(~(loudness > loudness.max() - PAUSE_DB)))
