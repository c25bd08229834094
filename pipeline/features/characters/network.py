"""A network of DeepSpeech's form (Hannun et al. 2014, §2): spectra with their context → characters.

Three dense layers with clipped rectifiers, a bidirectional recurrent layer, a dense layer, 29 outputs. Different from there:
2048 units are `width`, and the recurrent layer is an LSTM (as in Mozilla's DeepSpeech), whose two directions are added.
"""

from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

CONTEXT = 9  # spectra either side (Hannun: 5, 7 or 9)
DROPOUT = 0.1  # of the dense layers (Hannun §2.1: 5 to 10 %)
SILENCE = -1.0  # of a log-mel band


class ClippedReLU(nn.Module):
    """min(max(x, 0), 20) (Hannun Eq. 1)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.clamp(0, 20)


class CharacterNet(nn.Module):
    """Log-mel spectra to characters. mean, std: (bands,), of the training set's spectra; kept with the weights."""

    def __init__(self, mean: Tensor, std: Tensor, width: int, n_symbols: int = 29):
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)
        self.dense = nn.Sequential(
            nn.Conv1d(len(mean), width, 2 * CONTEXT + 1),  # h¹: a dense layer over each spectrum's context
            *(ClippedReLU(), nn.Dropout(DROPOUT), nn.Conv1d(width, width, 1)),  # h²
            *(ClippedReLU(), nn.Dropout(DROPOUT), nn.Conv1d(width, width, 1)),  # h³
            *(ClippedReLU(), nn.Dropout(DROPOUT)),
        )
        self.recurrent = nn.LSTM(width, width, batch_first=True, bidirectional=True)
        self.out = nn.Sequential(nn.Linear(width, width), ClippedReLU(), nn.Linear(width, n_symbols))  # h⁵, h⁶
        # PyTorch's own start shrinks the signal from layer to layer, and CTC then stays for long with blanks only.
        for layer in self.modules():
            if isinstance(layer, nn.Conv1d | nn.Linear):
                nn.init.kaiming_normal_(layer.weight)
                nn.init.zeros_(layer.bias)

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """features (B, N, bands), filled up with silence (−1) beyond `lengths` (B,) on the CPU → logits (B, N, symbols).

        A clip's logits do not depend on what else is in the batch.
        """
        around = nn.functional.pad(features, (0, 0, CONTEXT, CONTEXT), value=SILENCE)
        standard = (around - self.mean) / self.std
        x = self.dense(standard.transpose(1, 2)).transpose(1, 2)  # (B, N, width)
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        both, _ = pad_packed_sequence(self.recurrent(packed)[0], batch_first=True, total_length=x.shape[1])
        forward, backward = both.chunk(2, dim=-1)
        return self.out(forward + backward)
