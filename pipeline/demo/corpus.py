"""Render the demo corpus: CREMA-D's layout and names, and beside it the truth that no real corpus has.

VideoFlash/1001_IEO_HAP_HI.flv   360×288, 25 fps, H.264 + AAC
AudioWAV/1001_IEO_HAP_HI.wav     the same sound, 22 050 Hz
truth/landmarks.parquet          clip, frame, points (of the picture, in pixels)
truth/phonemes.parquet           clip, phoneme, start_s, end_s
truth/blinks.parquet             clip, start_s, end_s
"""

from functools import cache, partial
from pathlib import Path
from zlib import crc32

import numpy as np
import pandas as pd
import soundfile
from scipy.ndimage import gaussian_filter1d

from pipeline.corpus.layouts import CREMA_D_SENTENCES, EMOTIONS
from pipeline.corpus.tables import write_landmarks, write_table
from pipeline.corpus.workers import each
from pipeline.demo.motion import FPS, Motion, move
from pipeline.demo.render import render_frame
from pipeline.demo.speech import SAMPLE_RATE, Speech, Utterance, speak_all
from pipeline.demo.subjects import TEST_SUBJECT, Subject, make_subject
from pipeline.video import write_video

_SILENCE = 0.2  # seconds before and after the sentence
_SENSOR_NOISE = 3.5  # standard deviation, grey levels
# Emotion in the voice (after Scherer 2003): pitch and range in eSpeak's units, factors on rate and loudness.
_VOICES = {
    "NEU": (0, 0, 1.0, 0.6),
    "HAP": (15, 30, 1.1, 0.8),
    "SAD": (-8, -25, 0.85, 0.4),
    "ANG": (8, 25, 1.1, 1.0),
    "FEA": (22, 10, 1.2, 0.7),
    "DIS": (-6, 10, 0.9, 0.65),
}
_LEVELS = ("LO", "MD", "HI")


def clip_names(subjects: list[int], clips_per_emotion: int) -> list[str]:
    """SUBJECT_SENTENCE_EMOTION_LEVEL of every clip; a subject goes round the twelve sentences, each from another start."""
    sentences = list(CREMA_D_SENTENCES)
    names = []
    for subject in subjects:
        for k in range(len(EMOTIONS) * clips_per_emotion):
            emotion = EMOTIONS[k % len(EMOTIONS)]
            # 5 and 12 have no common divisor: all sentences come before any comes twice, and not with the same emotion.
            sentence = sentences[(5 * k + 7 * (subject % 100) + k // len(sentences)) % len(sentences)]
            level = "XX" if emotion == "NEU" else _LEVELS[(k // len(EMOTIONS) + k) % len(_LEVELS)]
            names.append(f"{subject}_{sentence}_{emotion}_{level}")
    return sorted(set(names))


def make_corpus(root: Path, training_subjects: int, clips_per_emotion: int, seed: int, workers: int) -> None:
    """Render the corpus into `root`: subjects 1001, 1002, … to train on, and 1015, who is on CREMA-D's list of test subjects.

    Equal arguments give equal files, byte for byte, with any number of workers.
    """
    make_clips(
        root, clip_names([*range(1001, 1001 + training_subjects), TEST_SUBJECT], clips_per_emotion), seed, workers
    )


def make_clips(root: Path, names: list[str], seed: int, workers: int) -> None:
    """Render these clips of the corpus, named as by `clip_names`, and their truth into `root`."""
    people = {number: make_subject(number) for number in sorted({int(name[:4]) for name in names})}
    speeches = speak_all([_utterance(name, people[int(name[:4])]) for name in names], workers)
    jobs = list(zip(names, speeches, strict=True))
    landmarks, phonemes, blinks = {}, [], []
    made = {
        name: result
        for (name, _), result in each(partial(_make_clip, root=root, seed=seed), jobs, "demo corpus", workers)
    }
    for name in names:
        landmarks[name], spoken, blinked = made[name]
        phonemes += [(name, *phoneme) for phoneme in spoken]
        blinks += [(name, *blink) for blink in blinked]
    write_landmarks(root / "truth" / "landmarks.parquet", landmarks)
    write_table(
        pd.DataFrame(phonemes, columns=["clip", "phoneme", "start_s", "end_s"]), root / "truth" / "phonemes.parquet"
    )
    write_table(pd.DataFrame(blinks, columns=["clip", "start_s", "end_s"]), root / "truth" / "blinks.parquet")


def _utterance(name: str, subject: Subject) -> Utterance:
    _, sentence, emotion, level = name.split("_")
    pitch, pitch_range, rate, _ = _VOICES[emotion]
    strength = {"LO": 0.6, "MD": 0.85, "HI": 1.1, "XX": 1.0}[level]
    return Utterance(
        CREMA_D_SENTENCES[sentence],
        subject.voice,
        round(subject.rate * (1 + strength * (rate - 1))),
        int(np.clip(subject.pitch + strength * pitch, 5, 95)),
        int(np.clip(50 + strength * pitch_range, 5, 95)),
    )


_subject = cache(make_subject)  # once per process


def _make_clip(job: tuple[str, Speech], root: Path, seed: int) -> tuple[np.ndarray, list, list]:
    """Render one clip. Returns its true landmarks (T, 68, 2), phonemes and blinks."""
    name, speech = job
    subject = _subject(int(name[:4]))
    _, _, emotion, level = name.split("_")
    rng = np.random.default_rng([seed, crc32(name.encode())])
    waveform, phonemes = _pad(speech, gain=0.9 * _VOICES[emotion][3] ** 0.7 / (np.abs(speech.waveform).max() + 1e-9))
    # A whole number of video frames, so that sound and picture end together.
    n_frames = int(np.ceil(len(waveform) / SAMPLE_RATE * FPS))
    waveform = np.pad(waveform, (0, round(n_frames / FPS * SAMPLE_RATE) - len(waveform)))
    waveform = waveform + rng.normal(0, 2e-4, len(waveform)).astype(np.float32)  # a microphone is never quite silent
    lid_fall = subject.lid_fall / subject.eye_distance
    motion = move(phonemes, loudness(waveform, n_frames), lid_fall, emotion, level, n_frames, rng)
    frames, landmarks = _render(subject, motion, rng)
    (root / "AudioWAV").mkdir(parents=True, exist_ok=True)
    soundfile.write(root / "AudioWAV" / f"{name}.wav", waveform, SAMPLE_RATE, subtype="PCM_16")
    write_video(root / "VideoFlash" / f"{name}.flv", frames, FPS, waveform, SAMPLE_RATE, crf=15)
    return landmarks, phonemes, motion.blinks


def _pad(speech: Speech, gain: float) -> tuple[np.ndarray, list[tuple[str, float, float]]]:
    silence = np.zeros(round(_SILENCE * SAMPLE_RATE), np.float32)
    waveform = np.concatenate([silence, gain * speech.waveform, silence])
    return waveform, [(name, start + _SILENCE, end + _SILENCE) for name, start, end in speech.phonemes]


def loudness(waveform: np.ndarray, n_frames: int) -> np.ndarray:
    """Loudness about each video frame over the clip's loudest: (samples,) → (n_frames,) in 0 … 1."""
    samples = np.array_split(waveform.astype(np.float64), n_frames)
    rms = gaussian_filter1d(np.sqrt([np.mean(s**2) for s in samples]), 1.0)
    return rms / (rms.max() + 1e-9)


def _render(subject: Subject, motion: Motion, rng: np.random.Generator) -> tuple[list[np.ndarray], np.ndarray]:
    # One field of noise, shifted anew for every frame, looks as fresh as a new one and is far cheaper.
    field = rng.normal(0, _SENSOR_NOISE, (2 * subject.picture.shape[0], 2 * subject.picture.shape[1], 3)).astype(
        np.float32
    )
    frames, landmarks = [], []
    for displacement, closed, head in zip(motion.displacements, motion.closed, motion.head, strict=True):
        displaced = subject.landmarks + displacement * subject.eye_distance
        frame, points = render_frame(
            subject.picture,
            subject.background,
            subject.landmarks,
            displaced,
            float(closed),
            subject.lid_fall,
            head,
            subject.eye_distance,
        )
        y, x = (int(rng.integers(n)) for n in frame.shape[:2])
        noisy = frame + field[y : y + frame.shape[0], x : x + frame.shape[1]]
        frames.append(np.rint(noisy.clip(0, 255)).astype(np.uint8))
        landmarks.append(points)
    return frames, np.array(landmarks)
