"""Phone scores by pocketsphinx's US-English acoustic model (`en-us`, in its wheel): independent of the speaker, offline.

The model has 5,126 senones (tied states of phones in context), Gaussian mixtures over 39 cepstral features. Of these only the
126 of phones out of context are used, three states of each of 42 phones: 39 of speech, silence and two kinds of noise.
"""

import struct
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pocketsphinx

from pipeline.features.audio import SPEECH_RATE, resampled
from pipeline.features.characters.steps import Scores

# pocketsphinx writes senone scores as distances from the best, in 2¹⁰ times the logarithm to the base 1.0001.
NATS = 1024 * np.log(1.0001)
# Of full scale: what is no louder rounds to digital silence.
LEAST = 0.5 / 32767
FRAME_S, WINDOW_S = 0.01, 0.025625
N_CEPSTRA = 13
# Frames that are scored at a time (an even number): their senones fill 10 MB. And how many more the model is shown on either
# side: velocities and accelerations of the cepstra reach three frames.
FRAMES, AROUND = 1000, 4
# How far the other phones lie below silence where there is no sound: as the median phone below the best one in real speech.
BELOW_SILENCE = -9.0


def phone_scores(waveform: np.ndarray, sample_rate: int) -> Scores:
    """Log-probabilities of 42 phones per 20 ms: best of a phone's three states, log-softmax over phones, mean of two frames.

    The prior of each phone is taken as equal, and no grammar or language model plays a part. Speech is gone through twice: for
    the mean of its cepstra, which is subtracted, and then piece by piece for the scores. The bytes are those that pocketsphinx
    gives for the whole at once.
    """
    phones = phone_names()
    silence = np.full(len(phones), BELOW_SILENCE, np.float32)
    silence[phones.index("SIL")] = 0
    if max(waveform.max(initial=0), -waveform.min(initial=0)) > LEAST:
        found = cepstra(map(_int16, resampled(waveform, sample_rate, SPEECH_RATE)))
        pairs = [_phones(senones) for senones in senone_scores(found - mean_cepstrum(found), 3 * len(phones))]
    else:
        # Cepstral means are subtracted, so that a clip of nothing but silence would look like average speech.
        pairs = [np.tile(silence, (len(waveform) * 50 // sample_rate, 1))]
    values = np.concatenate([np.zeros((0, len(phones)), np.float32), *pairs])
    return Scores("phones", phones, values, (WINDOW_S + FRAME_S) / 2, silence)


def _int16(samples: np.ndarray) -> np.ndarray:
    return np.rint(samples * 32767).clip(-32768, 32767).astype(np.int16)


def _phones(senones: np.ndarray) -> np.ndarray:
    """Senones' scores of frames (N, 3 n) → log-probabilities of n phones for every two of them, float32 (N // 2, n)."""
    from scipy.special import log_softmax  # a third of a second to load

    n_phones = senones.shape[1] // 3
    best = -NATS * senones.reshape(-1, n_phones, 3).min(axis=2).astype(float)
    by_two = log_softmax(best[: len(best) // 2 * 2], axis=1).reshape(-1, 2, n_phones)
    return by_two.mean(axis=1).astype(np.float32)


def cepstra(pieces: Iterator[np.ndarray]) -> np.ndarray:
    """Cepstra by the model's front end, of int16 samples at 16 kHz that may come in pieces: float32 (frames of 10 ms, 13).

    Frame k's window starts at sample 160 k and lasts 25.6 ms.
    """
    with tempfile.TemporaryDirectory() as folder:
        # The search that follows by itself at the end is cut short by its beams; its scores are not looked at.
        decoder = _decoder(mfclogdir=folder, beam=1.0, pbeam=1.0, ds=10**6, topn=1)
        decoder.start_utt()
        for piece in pieces:
            if len(piece):
                decoder.process_raw(piece.tobytes(), no_search=True)
        decoder.end_utt()
        del decoder  # closes the file
        # Its first number says how many follow.
        return np.fromfile(next(Path(folder).iterdir()), ">f4", offset=4).reshape(-1, N_CEPSTRA).astype(np.float32)


def mean_cepstrum(cepstra: np.ndarray) -> np.ndarray:
    """The mean that pocketsphinx subtracts, of frames whose first cepstrum is not negative: float32 (13,), as it rounds it."""
    counted = cepstra[cepstra[:, 0] >= 0]
    sums = np.cumsum(counted, axis=0, dtype=np.float32)  # one after the other, as it adds them
    return sums[-1] / np.float32(len(counted)) if len(counted) else np.zeros(N_CEPSTRA, np.float32)


def senone_scores(cepstra: np.ndarray, n_first: int) -> Iterator[np.ndarray]:
    """Scores of the model's first senones, FRAMES at a time: int16 (frames, n_first), 0 = the best of all.

    cepstra: (frames, 13), without their mean. The first 126 senones are those of the phones out of context.
    """
    for start in range(0, len(cepstra), FRAMES):
        before = min(start, AROUND)
        shown = np.ascontiguousarray(cepstra[start - before : start + FRAMES + AROUND])
        with tempfile.TemporaryDirectory() as folder:
            decoder = _decoder(senlogdir=folder, featparams=str(_without_mean(Path(folder))), compallsen=True)
            decoder.start_utt()
            decoder.process_cep(shown.tobytes(), full_utt=True)
            decoder.end_utt()
            del decoder  # closes the file
            yield _logged(next(Path(folder).glob("*.sen")), n_first)[before : before + FRAMES]


def _decoder(**options: object) -> pocketsphinx.Decoder:
    """With a search that can begin at any phone and needs no dictionary; its result is not looked at."""
    allphone = pocketsphinx.get_model_path("en-us/en-us-phone.lm.bin")
    return pocketsphinx.Decoder(hmm=str(_model()), allphone=allphone, dict=None, lm=None, loglevel="FATAL", **options)


def _without_mean(folder: Path) -> Path:
    """The model's settings but that it subtracts no mean: what it is given has lost it."""
    path = folder / "feat.params"
    path.write_text((_model() / "feat.params").read_text().replace("-cmn batch", "-cmn none"))
    return path


def _logged(path: Path, n_first: int) -> np.ndarray:
    """The first columns of a file of senone scores: int16 (frames, n_first)."""
    head, _, table = path.read_bytes().partition(b"endhdr\n")
    n_senones = int(head.split(b"n_sen ")[1].split()[0])
    # A word that tells the byte order, then for each frame the number of senones that follow: all of them.
    return np.frombuffer(table, "<i2", offset=4).reshape(-1, n_senones + 1)[:, 1 : n_first + 1].astype(np.int16)


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
