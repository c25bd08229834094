"""Character scores by a wav2vec 2.0 CTC checkpoint (Baevski et al. 2020) from a local Hugging Face folder; no download.

`transformers` is an extra: it is imported only here, and only when this backend is asked for.
"""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from pipeline.errors import UserError
from pipeline.features.audio import SPEECH_RATE, resample
from pipeline.features.characters.ctc import ALPHABET, SYMBOLS
from pipeline.features.characters.steps import Scores

# Of one step, in samples at 16 kHz; a step every 320 samples.
RECEPTIVE_FIELD, STEP = 400, 320
FILES = ("config.json", "vocab.json")
WEIGHTS = ("model.safetensors", "pytorch_model.bin")


def load_wav2vec2(folder: Path) -> Callable[[np.ndarray], np.ndarray]:
    """The checkpoint in `folder` as a function: samples at 16 kHz (at least 400) → logits float32 (N, 29) in ALPHABET's order.

    Raises UserError, one line: folder or files missing, a vocabulary that lacks a character, no `transformers`.
    """
    missing = [name for name in FILES if not (folder / name).is_file()]
    if not any((folder / name).is_file() for name in WEIGHTS):
        missing.append(WEIGHTS[0])
    if missing:
        raise UserError(
            f"character_features.model: {folder} lacks {', '.join(missing)}; name the folder of a wav2vec 2.0 CTC checkpoint"
        )
    columns = vocabulary_columns(folder / "vocab.json")
    try:
        import torch
        from transformers import Wav2Vec2ForCTC
    except ImportError as error:
        raise UserError(
            f"character_features.backend wav2vec2 needs transformers ({error}); run `pip install transformers`"
        ) from error
    try:
        model = Wav2Vec2ForCTC.from_pretrained(str(folder), local_files_only=True).eval()
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"character_features.model: {folder} cannot be loaded as Wav2Vec2ForCTC: {reason}") from error
    if model.config.vocab_size <= max(columns):
        raise UserError(
            f"character_features.model: {folder} scores {model.config.vocab_size} symbols, its vocab.json has more"
        )
    preprocessor = folder / "preprocessor_config.json"
    normalise = json.loads(preprocessor.read_text()).get("do_normalize", True) if preprocessor.is_file() else True

    @torch.inference_mode()
    def network(samples: np.ndarray) -> np.ndarray:
        if normalise:  # as transformers' feature extractor does
            samples = (samples - samples.mean()) / np.sqrt(samples.var() + 1e-7)
        logits = model(torch.from_numpy(np.asarray(samples, np.float32))[None]).logits[0]
        return logits[:, columns].float().numpy()

    return network


def vocabulary_columns(vocabulary: Path) -> list[int]:
    """Where the checkpoint has our 29 symbols: the usual vocabulary of 32 has letters in capitals, "|" for the space, and
    "<pad>" for the blank; its "<s>", "</s>" and "<unk>" are left out.

    Raises UserError where one is missing, or two share a column.
    """
    try:
        table = {str(key): int(value) for key, value in json.loads(vocabulary.read_text()).items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise UserError(f"{vocabulary} is not a table of symbols: {error}; take the checkpoint's own") from error
    wanted = [{" ": ("|", " ")}.get(c, (c.upper(), c)) for c in ALPHABET] + [("<pad>", "[PAD]")]
    found = [next((table[name] for name in names if name in table), None) for names in wanted]
    missing = [names[0] for names, column in zip(wanted, found, strict=True) if column is None]
    if missing or len(set(found)) < len(found):
        problem = f"lacks {' '.join(missing)}" if missing else "gives two symbols one column"
        raise UserError(f"{vocabulary} {problem}; an English character vocabulary is needed")
    return found


def wav2vec2_scores(waveform: np.ndarray, sample_rate: int, network: Callable[[np.ndarray], np.ndarray]) -> Scores:
    """The checkpoint's last layer before softmax, 29 characters in DeepSpeech's order, a step every 20 ms."""
    samples = resample(waveform, sample_rate, SPEECH_RATE)
    short = max(0, RECEPTIVE_FIELD - len(samples))
    values = network(np.pad(samples, (0, short))) if len(samples) else np.zeros((0, len(SYMBOLS)), np.float32)
    silence = network(np.zeros(SPEECH_RATE, np.float32))[25]
    return Scores("wav2vec2", SYMBOLS, values, RECEPTIVE_FIELD / 2 / SPEECH_RATE, silence)
