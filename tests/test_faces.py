"""The stage `alignment` of faces that papers see differently: crops of a video, made by the stage as `dvc repro` starts it."""

import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import yaml

from pipeline.corpus.about import read_about
from pipeline.corpus.shards import Shards
from pipeline.corpus.tables import Tables
from pipeline.features.alignment import align_faces, crop_faces
from pipeline.video import stream_frames

ROOT = Path(__file__).parents[1]
FACES = {
    "turned": {"image_size": 64, "transform": "per_frame"},
    "wandering": {"image_size": 96, "transform": "first_frame"},
    "boxed": {"image_size": 112, "transform": "box"},
}


@pytest.fixture
def project(tmp_path, make_clip, monkeypatch):
    """A checkout whose corpus is one clip, in which stages are run: project("alignment", "boxed")."""
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    values["corpus"] |= {"layout": "folder", "root": "corpus"}
    values["compute"]["workers"] = 1
    values["faces"] = FACES
    chosen = {"kesim_erzin": "turned", "atvgnet": "turned", "sinha": "turned", "chen_s": "boxed", "maity": "wandering"}
    for paper, faces in chosen.items():
        values[paper]["faces"] = faces
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
    for name in ("dvc.yaml", "pipeline", "stages"):
        (tmp_path / name).symlink_to(ROOT / name)
    make_clip(tmp_path / "corpus/clip.mp4", n_frames=6)
    (tmp_path / "corpus/clips.csv").write_text("video\nclip.mp4\n")
    monkeypatch.chdir(tmp_path)

    def run(stage, *arguments):
        monkeypatch.setattr(sys, "argv", [stage, *arguments])
        import_module(f"stages.{stage}").main()

    run("clips")
    run("landmarks")
    return run


def test_each_has_its_own_size_and_transform_and_says_so(project):
    found = Tables(Path("data/landmarks/faces"))
    raw, boxes = found.landmarks("clip"), found["clip"]["box"]
    for name, how in FACES.items():
        project("alignment", name)
        folder = Path("data/alignment") / name
        about = read_about(folder)
        assert {key: about[key] for key in how} == how and about["fps"] == 25
        target = np.array(about["template"])
        transforms, aligned = align_faces(raw, boxes, target, how["transform"], how["image_size"])
        np.testing.assert_array_equal(Tables(folder / "landmarks").landmarks("clip"), aligned)
        frames = stream_frames(Path("corpus/clip.mp4"), 25)
        np.testing.assert_array_equal(
            Shards(folder / "crops")["clip"], crop_faces(frames, transforms, how["image_size"])
        )
        # The template is where faces lie. They are this one clip's, and turned by no box.
        if how["transform"] == "box":
            np.testing.assert_allclose(aligned.mean(axis=0), target, atol=1e-3)


def test_a_name_that_there_is_not_is_refused_with_those_that_there_are(project, capsys):
    with pytest.raises(SystemExit) as end:
        project("alignment", "large")
    said = capsys.readouterr().err
    assert end.value.code == 2 and "large" in said and all(name in said.splitlines()[-1] for name in FACES)
