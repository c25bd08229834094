"""The stage `alignment` with a face-parsing network: what it moves, when it is done again, and what it says of a wrong file."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from pipeline.corpus.shards import Shards
from pipeline.corpus.tables import Tables
from pipeline.features.alignment import align_landmarks, crop_faces
from pipeline.features.face_parsing import BiSeNet
from pipeline.features.landmarks import MOUTH
from pipeline.video import stream_frames

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]


def checkpoint(path, seed):
    """A network of random weights that knows skin and both lips alone, here and there in the image."""
    torch.manual_seed(seed)
    network = BiSeNet()
    others = [k for k in range(19) if k not in (1, 12, 13)]
    with torch.no_grad():
        network.conv_out.conv_out.weight[others] = 0
        network.conv_out.conv_out.weight[[1, 12, 13]] -= network.conv_out.conv_out.weight[[1, 12, 13]].mean(dim=0)
    torch.save(network.state_dict(), path)


def run(project, stage):
    command = [sys.executable, "-m", *f"stages.{stage}".split()]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)


def aligned(project):
    done = run(project, "alignment small")
    assert done.returncode == 0, done.stderr
    folder = project / "data/alignment/small"
    return Tables(folder / "landmarks").landmarks("clip"), Shards(folder / "crops")["clip"]


@pytest.fixture
def project(tmp_path, make_clip):
    """A checkout whose corpus is one clip, its faces found; the parameter names a checkpoint that is yet to come."""
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    values["corpus"] |= {"layout": "folder", "root": "corpus"}
    values["compute"]["workers"] = 1
    values["alignment"]["face_parsing"] = "parsing.pth"
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
    for name in ("dvc.yaml", "pipeline", "stages"):
        (tmp_path / name).symlink_to(ROOT / name)
    make_clip(tmp_path / "corpus/clip.mp4", n_frames=5)
    (tmp_path / "corpus/clips.csv").write_text("video\nclip.mp4\n")
    for stage in ("clips", "landmarks"):
        done = run(tmp_path, stage)
        assert done.returncode == 0, done.stderr
    return tmp_path


def test_parsing_moves_the_lips_alone(project):
    failed = run(project, "alignment small")
    assert failed.returncode == 1 and failed.stderr.splitlines() == [
        "error: parsing.pth does not exist; alignment.face_parsing takes the 79999_iter.pth of face-parsing.PyTorch, or null"
    ]

    checkpoint(project / "parsing.pth", seed=0)
    moved, crops = aligned(project)
    detected = Tables(project / "data/landmarks/faces").landmarks("clip")
    transforms, unmoved = align_landmarks(detected, np.load(project / "data/alignment/small/template.npy"))
    np.testing.assert_array_equal(moved[:, :48], unmoved[:, :48])
    assert np.isfinite(moved).all() and not np.array_equal(moved[:, MOUTH], unmoved[:, MOUTH])
    frames = stream_frames(project / "corpus/clip.mp4", 25)
    np.testing.assert_array_equal(crops, crop_faces(frames, transforms, crops.shape[1]))

    checkpoint(project / "parsing.pth", seed=1)
    assert not np.array_equal(aligned(project)[0][:, MOUTH], moved[:, MOUTH])
