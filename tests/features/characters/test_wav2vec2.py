import json

import numpy as np
import pytest

from pipeline.errors import UserError
from pipeline.features.characters.ctc import ALPHABET, SYMBOLS
from pipeline.features.characters.steps import step_windows
from pipeline.features.characters.wav2vec2 import load_wav2vec2, vocabulary_columns, wav2vec2_scores

# The order of the published English checkpoints: by frequency.
LETTERS = "ETAONIHSRDLUMWCFGYPBVK'XJQZ"
VOCABULARY = {"<pad>": 0, "<s>": 1, "</s>": 2, "<unk>": 3, "|": 4} | {c: 5 + k for k, c in enumerate(LETTERS)}


def write(path, table):
    path.write_text(json.dumps(table))
    return path


def test_letters_come_in_deepspeech_s_order(tmp_path):
    columns = vocabulary_columns(write(tmp_path / "vocab.json", VOCABULARY))
    assert len(VOCABULARY) == 32 and len(columns) == 29
    names = {value: key for key, value in VOCABULARY.items()}
    assert [names[k] for k in columns] == ["|", *ALPHABET[1:].upper(), "<pad>"]
    shuffled = {key: (value * 7 + 3) % 32 for key, value in VOCABULARY.items()}
    assert vocabulary_columns(write(tmp_path / "other.json", shuffled)) == [(k * 7 + 3) % 32 for k in columns]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({k: v for k, v in VOCABULARY.items() if k not in "QZ"}, "lacks Q Z"),
        (VOCABULARY | {"Q": 5}, "two symbols one column"),
        (["A", "B"], "not a table of symbols"),
    ],
)
def test_another_vocabulary_is_refused_in_one_line(tmp_path, table, message):
    with pytest.raises(UserError, match=message) as error:
        vocabulary_columns(write(tmp_path / "vocab.json", table))
    assert "\n" not in str(error.value)


def test_a_folder_without_a_checkpoint_is_refused_in_one_line(tmp_path):
    with pytest.raises(UserError, match=r"lacks config.json, vocab.json, model.safetensors") as error:
        load_wav2vec2(tmp_path / "nowhere")
    assert "\n" not in str(error.value)


def test_without_transformers_the_mend_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_text("{}")
    write(tmp_path / "vocab.json", VOCABULARY)
    with pytest.raises(UserError, match="pip install transformers"):
        load_wav2vec2(tmp_path)


def test_a_small_checkpoint_is_read_and_permuted(tmp_path):
    transformers = pytest.importorskip("transformers")
    import torch

    torch.manual_seed(0)
    config = transformers.Wav2Vec2Config(
        vocab_size=32, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        conv_dim=[8] * 7, num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=2,
    )  # fmt: skip
    model = transformers.Wav2Vec2ForCTC(config).eval()
    model.save_pretrained(tmp_path)
    write(tmp_path / "vocab.json", VOCABULARY)
    waveform = np.random.default_rng(0).normal(0, 0.1, 16_000).astype(np.float32)
    network = load_wav2vec2(tmp_path)
    scores = wav2vec2_scores(waveform, 16_000, network)
    with torch.inference_mode():
        standard = (waveform - waveform.mean()) / np.sqrt(waveform.var() + 1e-7)
        logits = model(torch.from_numpy(standard)[None]).logits[0].numpy()
    assert scores.name == "wav2vec2" and scores.values.shape == (49, 29) and scores.symbols == SYMBOLS
    assert scores.values[:, SYMBOLS.index("a")] == pytest.approx(logits[:, VOCABULARY["A"]], abs=1e-5)
    assert scores.values[:, -1] == pytest.approx(logits[:, 0], abs=1e-5)
    for samples in (0, 1, 1600):
        windows = step_windows(wav2vec2_scores(waveform[:samples], 16_000, network), 10, 25)
        assert windows.shape == (10, 16, 29) and np.isfinite(windows).all()
