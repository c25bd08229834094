"""Characters as DeepSpeech has them: the alphabet, transcripts in it, and the scores of a network trained with CTC."""

import re
import unicodedata
from collections.abc import Callable, Iterable

import numpy as np

from pipeline.errors import ClipRejected
from pipeline.features.audio import log_mel_steps
from pipeline.features.characters.steps import STEP_HZ, Scores

# DeepSpeech's order: space, a … z, apostrophe; CTC's blank is last.
ALPHABET = " abcdefghijklmnopqrstuvwxyz'"
BLANK = len(ALPHABET)
SYMBOLS = (*ALPHABET, "")
DIGITS = dict(
    zip("0123456789", ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"], strict=True)
)
NOT_WORDS = {"sil", "sp"}  # alignments' marks of silence
# DeepSpeech's window and step; it takes 26 MFCC of each, a network of any width can do with the bands themselves.
MEL_BANDS, WINDOW_MS, HOP_MS = 40, 32, 20


def normalise_transcript(text: str | None) -> str:
    """A transcript in ALPHABET: lower case without accents, digits read out one by one, other signs as spaces.

    Raises ClipRejected (no_transcript) where no letter is left.
    """
    plain = unicodedata.normalize("NFKD", (text or "").replace("’", "'")).lower()
    plain = "".join(c for c in plain if not unicodedata.combining(c))
    plain = re.sub(r"[0-9]", lambda digit: f" {DIGITS[digit[0]]} ", plain)
    words = [word for word in re.sub(r"[^a-z']", " ", plain).split() if word not in NOT_WORDS]
    if not re.search("[a-z]", " ".join(words)):
        raise ClipRejected("no_transcript", f"{text!r} has no letter a–z")
    return " ".join(words)


def encode(text: str) -> list[int]:
    """A normalised transcript as indices into ALPHABET."""
    return [ALPHABET.index(character) for character in text]


def greedy_text(values: np.ndarray) -> str:
    """The text of the best symbol of each step, repetitions and blanks removed: (N, 29) → str."""
    best = values.argmax(axis=1)
    changes = best[np.flatnonzero(np.diff(best, prepend=-1))]
    return "".join(ALPHABET[k] for k in changes if k != BLANK)


def character_error_rate(pairs: Iterable[tuple[str, str]]) -> float:
    """Edits (insertions, deletions, substitutions) that turn the read texts into the true ones, per true character.

    pairs: (true, read). 0 is perfect; reading nothing has 1; more than 1 is possible.
    """
    edits = total = 0
    for true, read in pairs:
        row = np.arange(len(read) + 1)
        for i, character in enumerate(true, start=1):
            above, row = row, np.empty_like(row)
            row[0] = i
            for j, other in enumerate(read, start=1):
                row[j] = min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (character != other))
        edits, total = edits + int(row[-1]), total + len(true)
    return edits / max(total, 1)


def ctc_features(waveform: np.ndarray, sample_rate: int) -> np.ndarray:
    """What the network reads: log-mel spectra, float32 (N, 40), row k in the middle of the k-th 20 ms."""
    return log_mel_steps(waveform, sample_rate, MEL_BANDS, WINDOW_MS, HOP_MS)


def ctc_scores(waveform: np.ndarray, sample_rate: int, network: Callable[[np.ndarray], np.ndarray]) -> Scores:
    """The network's last layer before softmax (Sinha §III-A) for each 20 ms.

    network: features (N, 40) → logits (N, 29), as `pipeline.training.ctc.load_ctc` gives it.
    """
    features = ctc_features(waveform, sample_rate)
    values = network(features) if len(features) else np.zeros((0, len(SYMBOLS)), np.float32)
    silence = network(np.full((50, MEL_BANDS), -1, np.float32))[25]
    return Scores("ctc", SYMBOLS, values, 0.5 / STEP_HZ, silence)
