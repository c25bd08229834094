"""Speech for the demo corpus: eSpeak NG through ctypes, with the time of every phoneme.

Only the demo corpus uses it. The library keeps state from one utterance to the next, so that equal requests would differ by
what was spoken before: `speak_all` gives every utterance an interpreter of its own, `python -m pipeline.demo.speech`. Voices
with "breath" draw noise by the clock and never repeat themselves; the others do.
"""

import ctypes
import io
import json
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

import espeakng_loader
import numpy as np

SAMPLE_RATE = 22_050  # Hz, what eSpeak NG gives

_SYNCHRONOUS, _PHONEME_EVENTS, _CHARS_UTF8 = 2, 1, 1
_END_OF_LIST, _PHONEME = 0, 7
_RATE, _VOLUME, _PITCH, _RANGE = 1, 2, 3, 4


@dataclass(frozen=True)
class Utterance:
    """What is to be said and how: rate in words per minute (175 is eSpeak's own), pitch and range in 0 … 99."""

    text: str
    voice: str
    rate: int
    pitch: int
    pitch_range: int


@dataclass(frozen=True)
class Speech:
    """waveform: float32 (samples,) in −1 … 1. phonemes: (name, start, end) in seconds; pauses are named "_"."""

    waveform: np.ndarray
    phonemes: list[tuple[str, float, float]]


class _Identifier(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),  # ms
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Identifier),
    ]


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


def speak_all(utterances: Sequence[Utterance], workers: int) -> list[Speech]:
    """Synthesise every utterance; equal utterances give equal samples, whatever else is spoken."""
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(_speak_apart, utterances))


def _speak_apart(utterance: Utterance) -> Speech:
    command = [sys.executable, "-m", "pipeline.demo.speech", json.dumps(asdict(utterance))]
    spoken = subprocess.run(command, capture_output=True, check=True).stdout
    with np.load(io.BytesIO(spoken)) as arrays:
        phonemes = zip(arrays["names"].tolist(), *arrays["times"].T.tolist(), strict=True)
        return Speech(arrays["waveform"], list(phonemes))


def _speak(utterance: Utterance) -> Speech:
    espeak = ctypes.CDLL(espeakng_loader.get_library_path())
    espeak.espeak_Initialize.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_int]
    espeak.espeak_SetVoiceByName.argtypes = [ctypes.c_char_p]
    espeak.espeak_SetParameter.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int]
    espeak.espeak_Synth.argtypes = [
        *(ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int, ctypes.c_uint, ctypes.c_uint),
        *(ctypes.c_void_p, ctypes.c_void_p),
    ]
    espeak.espeak_Initialize(_SYNCHRONOUS, 0, espeakng_loader.get_data_path().encode(), _PHONEME_EVENTS)
    chunks: list[np.ndarray] = []
    starts: list[tuple[float, str]] = []

    def receive(samples: "ctypes._Pointer", count: int, events: "ctypes._Pointer") -> int:
        if samples and count:
            chunks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        k = 0
        while events[k].type != _END_OF_LIST:
            if events[k].type == _PHONEME:
                # Stress marks (' and ,) are no part of the phoneme.
                starts.append((events[k].audio_position / 1000, events[k].id.string.decode().strip("',") or "_"))
            k += 1
        return 0

    callback = _Callback(receive)
    espeak.espeak_SetSynthCallback(callback)
    if espeak.espeak_SetVoiceByName(utterance.voice.encode()) != 0:
        raise ValueError(f"eSpeak NG has no voice {utterance.voice!r}")
    for parameter, value in (
        (_RATE, utterance.rate),
        (_VOLUME, 90),
        (_PITCH, utterance.pitch),
        (_RANGE, utterance.pitch_range),
    ):
        espeak.espeak_SetParameter(parameter, value, 0)
    text = utterance.text.encode()
    espeak.espeak_Synth(text, len(text) + 1, 0, 1, 0, _CHARS_UTF8, None, None)
    espeak.espeak_Synchronize()
    waveform = np.concatenate(chunks).astype(np.float32) / 32768
    ends = [start for start, _ in starts[1:]] + [len(waveform) / SAMPLE_RATE]
    phonemes = [
        ("_" if name.startswith("_") else name, start, end) for (start, name), end in zip(starts, ends, strict=True)
    ]
    return Speech(waveform, [phoneme for phoneme in phonemes if phoneme[2] > phoneme[1]])


if __name__ == "__main__":
    speech = _speak(Utterance(**json.loads(sys.argv[1])))
    np.savez(
        sys.stdout.buffer,
        waveform=speech.waveform,
        names=np.array([name for name, _, _ in speech.phonemes]),
        times=np.array([(start, end) for _, start, end in speech.phonemes]),
    )
