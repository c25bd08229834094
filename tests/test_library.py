"""docs/library.md: its code does what the page says."""

import re
import shutil
from pathlib import Path

import yaml
from PIL import Image

from pipeline.video import read_frames

ROOT = Path(__file__).parents[1]


def follower(shipped: Path, out: Path) -> None:
    """The second half of a cascade that ships, as a system of its own."""
    out.mkdir(parents=True)
    shutil.copy(shipped / "landmark_to_texture.safetensors", out)
    card = yaml.safe_load((shipped / "card.yaml").read_text())
    card |= {"system": "sinha_true_landmarks", "needs": ["landmarks"]}
    card["networks"] = {"landmark_to_texture": card["networks"]["landmark_to_texture"]}
    (out / "card.yaml").write_text(yaml.safe_dump(card))


def test_the_pages_code_runs_from_the_first_line_to_the_last(
    portrait, speech, make_clip, tmp_path, monkeypatch, capsys
):
    Image.fromarray(portrait).save(tmp_path / "face.jpg", quality=95)
    make_clip(tmp_path / "them.mp4", n_frames=15)
    (tmp_path / "pretrained").symlink_to(ROOT / "pretrained")
    follower(ROOT / "pretrained" / "sinha", tmp_path / "data" / "systems" / "sinha_true_landmarks")
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs/library.md").read_text(), re.DOTALL | re.MULTILINE)
    for block in blocks:
        exec(block, names)
    said = capsys.readouterr().out
    for words in (
        "1.52 s: 38 frames of 300×300 px, 25 per second",
        "float32 (33075,)",
        "(128, 128, 3) (128, 128, 3) (128, 128)",
        "(38, 68, 2)",
        "the driving video lasts 0.6 s, the speech 1.5 s: the driving video goes back and forth",
        "nothing.wav",
        "synthetic talking head; system: sinha; key: ",
    ):
        assert words in said, words
    assert read_frames(tmp_path / "talk.mp4", 25).shape == (38, 300, 300, 3)
    assert read_frames(tmp_path / "small.mp4", 30).shape[1:] == (128, 128, 3)
    assert read_frames(tmp_path / "both.mp4", 25).shape == (38, 324, 600, 3)
