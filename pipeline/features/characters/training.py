"""Train the character network with CTC (Graves et al. 2006) on the corpus's own transcripts, and load a trained one."""

import os
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from tqdm import trange

from pipeline.errors import ClipRejected, UserError
from pipeline.features.characters.ctc import BLANK, character_error_rate, encode, greedy_text, normalise_transcript
from pipeline.features.characters.network import SILENCE, CharacterNet

BATCH = 8
# Silence of up to so many steps (0.3 s) is put before and after a sentence, and a second of it without a sentence in every
# batch, so that the network knows it for blank.
MOST_SILENCE, SILENT_STEPS = 15, 50

Example = tuple[np.ndarray, str]


def train_ctc(
    examples: Iterable[tuple[np.ndarray, str | None]], width: int, epochs: int, learning_rate: float, seed: int
) -> CharacterNet:
    """Train on (features float32 (N, bands), transcript); what is to be tested on must not be among them.

    Returns the network, in evaluation mode. The same seed gives the same network on one machine. Raises UserError where no
    example can be used: transcripts without letters, or with more characters than there are steps to say them in.
    """
    usable = usable_examples(examples)
    if not usable:
        raise UserError(
            "character_features.backend ctc: no training clip has a transcript that fits its length; set the backend to phones"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        spectra = np.concatenate([features for features, _ in usable])
        network = CharacterNet(
            torch.from_numpy(spectra.mean(axis=0)), torch.from_numpy(spectra.std(axis=0) + 0.01), width
        )
        optimizer = torch.optim.Adam(network.parameters(), learning_rate)
        n_batches = -(-len(usable) // BATCH)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, epochs * n_batches, pct_start=0.2)
        criterion = nn.CTCLoss(blank=BLANK)
        network.train()
        progress = trange(epochs, desc="ctc", unit="epoch", disable=None)
        for _ in progress:
            order, losses = torch.randperm(len(usable)).tolist(), []
            for start in range(0, len(order), BATCH):
                chosen = [usable[k] for k in order[start : start + BATCH]]
                silent = torch.full((SILENT_STEPS, spectra.shape[1]), SILENCE)
                features, lengths = batch([*(_with_silence(features) for features, _ in chosen), silent])
                texts = [torch.tensor(encode(text), dtype=torch.long) for text in (*(text for _, text in chosen), "")]
                scores = network(features, lengths).log_softmax(dim=-1).transpose(0, 1)  # (N, B, symbols)
                loss = criterion(scores, torch.cat(texts), lengths, torch.tensor([len(text) for text in texts]))
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(network.parameters(), 5.0)
                optimizer.step()
                schedule.step()
                losses.append(loss.item())
            progress.set_postfix(loss=f"{np.mean(losses):.3f}")
    return network.eval()


def usable_examples(examples: Iterable[tuple[np.ndarray, str | None]]) -> list[Example]:
    """Those whose transcripts have letters and fit: CTC needs a step for each character, and one between two equal ones."""
    usable = []
    for features, transcript in examples:
        try:
            text = normalise_transcript(transcript)
        except ClipRejected:
            continue
        if len(features) >= len(text) + sum(a == b for a, b in pairwise(text)):
            usable.append((features, text))
    return usable


def _with_silence(features: np.ndarray) -> Tensor:
    before, after = torch.randint(0, MOST_SILENCE + 1, (2,)).tolist()
    return nn.functional.pad(torch.from_numpy(features), (0, 0, before, after), value=SILENCE)


def batch(sequences: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Sequences (Nᵢ, bands) filled up with silence to (B, N, bands), and their lengths (B,)."""
    lengths = torch.tensor([len(sequence) for sequence in sequences])
    return pad_sequence(list(sequences), batch_first=True, padding_value=SILENCE), lengths


def as_function(network: CharacterNet) -> Callable[[np.ndarray], np.ndarray]:
    """The network as `ctc_scores` wants it: features float32 (N, bands), N ≥ 1 → logits float32 (N, 29)."""

    @torch.inference_mode()
    def logits(features: np.ndarray) -> np.ndarray:
        return network(*batch([torch.from_numpy(features)]))[0].numpy()

    return logits


def error_rate(logits: Callable[[np.ndarray], np.ndarray], examples: Iterable[tuple[np.ndarray, str | None]]) -> float:
    """Character error rate of greedy decoding, over the usable examples; NaN where there is none. logits: as of `load_ctc`."""
    usable = usable_examples(examples)
    if not usable:
        return float("nan")
    return character_error_rate((text, greedy_text(logits(features))) for features, text in usable)


def save_ctc(path: Path, network: CharacterNet) -> None:
    """Save weights and width; the file appears whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    torch.save({"width": network.recurrent.hidden_size, "network": network.state_dict()}, partial)
    os.replace(partial, path)


def load_ctc(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """A trained network as `ctc_scores` wants it. Raises UserError where the file is missing or is something else."""
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        mean, std = saved["network"]["mean"], saved["network"]["std"]
        network = CharacterNet(mean, std, saved["width"])
        network.load_state_dict(saved["network"])
    except FileNotFoundError as error:
        raise UserError(f"{path} is missing; train the character network first") from error
    except Exception as error:
        raise UserError(f"{path} is not a character network of this pipeline; train it again") from error
    return as_function(network.eval())
