"""Phone scores by pocketsphinx's US-English acoustic model (`en-us`, in its wheel): independent of the speaker, offline.

The model has 5,126 senones (tied states of phones in context), Gaussian mixtures over 39 cepstral features. Of these only the
126 of phones out of context are used, three states of each of 42 phones: 39 of speech, silence and two kinds of noise.
"""

import struct
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import pocketsphinx
from scipy.special import log_softmax

from pipeline.features.audio import SPEECH_RATE, resample
from pipeline.features.characters.steps import Scores

# pocketsphinx writes senone scores as distances from the best, in 2¹⁰ times the logarithm to the base 1.0001.
NATS = 1024 * np.log(1.0001)
FRAME_S, WINDOW_S = 0.01, 0.025625
# Frames whose senones are read at a time: 5 MB.
ROWS = 500
# How far the other phones lie below silence where there is no sound: as the median phone below the best one in real speech.
BELOW_SILENCE = -9.0


def phone_scores(waveform: np.ndarray, sample_rate: int) -> Scores:
    """Log-probabilities of 42 phones per 20 ms: best of a phone's three states, log-softmax over phones, mean of two frames.

    The prior of each phone is taken as equal, and no grammar or language model plays a part. A decoder is made for every clip
    (30 ms), as it would carry its estimate of the channel from one to the next.
    """
    phones = phone_names()
    silence = np.full(len(phones), BELOW_SILENCE, np.float32)
    silence[phones.index("SIL")] = 0
    samples = np.rint(resample(waveform, sample_rate, SPEECH_RATE) * 32767).clip(-32768, 32767).astype(np.int16)
    # Cepstral means are subtracted, so that a clip of nothing but silence would look like average speech.
    frames = senone_scores(samples, 3 * len(phones)) if samples.any() else np.zeros((0, 3 * len(phones)))
    best = -NATS * frames.reshape(len(frames), len(phones), 3).min(axis=2).astype(float)
    values = log_softmax(best, axis=1) if len(best) else np.tile(silence, (len(samples) * 100 // SPEECH_RATE, 1))
    pairs = values[: len(values) // 2 * 2].reshape(-1, 2, len(phones)).mean(axis=1).astype(np.float32)
    return Scores("phones", phones, pairs, (WINDOW_S + FRAME_S) / 2, silence)


def senone_scores(samples: np.ndarray, n_first: int) -> np.ndarray:
    """Scores of the model's first senones for int16 samples at 16 kHz: int16 (frames of 10 ms, n_first), 0 = the best of all.

    Frame k's window starts at sample 160 k and lasts 25.6 ms. The first 126 senones are those of the phones out of context.
    """
    with tempfile.TemporaryDirectory() as folder:
        decoder = pocketsphinx.Decoder(
            hmm=str(_model()),
            # A search that can begin at any phone and needs no dictionary; its result is not looked at.
            allphone=pocketsphinx.get_model_path("en-us/en-us-phone.lm.bin"),
            dict=None,
            lm=None,
            compallsen=True,
            senlogdir=folder,
            loglevel="FATAL",
        )
        decoder.start_utt()
        decoder.process_raw(samples.tobytes(), full_utt=True)
        decoder.end_utt()
        del decoder  # closes the file
        path = next(Path(folder).iterdir())
        with path.open("rb") as file:
            head, end, _ = file.read(4096).partition(b"endhdr\n")
        n_senones = int(head.split(b"n_sen ")[1].split()[0])
        # A word that tells the byte order, then for each frame the number of senones that follow: all of them.
        return first_columns(path, len(head) + len(end) + 4, n_senones + 1, n_first + 1)[:, 1:]


def first_columns(path: Path, offset: int, n_columns: int, n_first: int) -> np.ndarray:
    """The first columns of a table of int16 that fills a file from `offset` on: (rows, n_first).

    Of ten minutes of speech the table fills 600 MB: it is read piece by piece, and of these only what is wanted is kept.
    """
    table = np.empty(((path.stat().st_size - offset) // (2 * n_columns), n_first), np.int16)
    with path.open("rb") as file:
        file.seek(offset)
        for start in range(0, len(table), ROWS):
            n_rows = min(ROWS, len(table) - start)
            rows = np.fromfile(file, "<i2", n_rows * n_columns).reshape(n_rows, n_columns)
            table[start : start + n_rows] = rows[:, :n_first]
    return table


@cache
def phone_names() -> tuple[str, ...]:
    """The model's phones in the order of their senones, three each, from its binary definition file (`mdef`, version 1)."""
    content = (_model() / "mdef").read_bytes()
    magic, _, length = struct.unpack("<4sii", content[:12])
    counts = struct.unpack("<10i", content[12 + length : 52 + length])
    n_phones, _, n_states, n_context_free = counts[:4]
    if magic != b"BMDF" or n_states != 3 or n_context_free != 3 * n_phones:
        raise ValueError(f"{_model()} is not a model of three-state phones")
    return tuple(name.decode() for name in content[52 + length :].split(b"\0", n_phones)[:n_phones])


def _model() -> Path:
    return Path(pocketsphinx.get_model_path("en-us/en-us"))
