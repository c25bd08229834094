from pathlib import Path

import pytest
import yaml
from dvc.utils.hydra import apply_overrides
from dvc.utils.serialize import load_yaml

from pipeline import parameters
from pipeline.errors import UserError
from pipeline.papers.registry import PAPERS
from pipeline.profiles import apply_profile

ROOT = Path(__file__).parents[1]


@pytest.fixture
def params(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text((ROOT / "params.yaml").read_text())
    return path


def test_the_committed_file_is_valid():
    assert parameters.load(ROOT / "params.yaml").corpus.layout == "crema_d"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "layout: crema_d",
            "layout: vox",
            r"corpus\.layout.*'crema_d', 'grid', 'tcd_timit', 'mead' or 'folder' \(got 'vox'\)",
        ),
        ("image_size: 64", "image_size: 100", r"atvgnet\.faces: small are 100 px.* multiples of 32"),
        ("image_size: 64", "image_size: 32", r"faces\.small\.image_size.*greater than or equal to 64 \(got 32\)"),
        (
            "transform: per_frame}",
            "transform: none}",
            r"faces\.small\.transform.*'first_frame' or 'box' \(got 'none'\)",
        ),
        ("  small: {", "  a/b: {", r"faces\.a/b: a plain word is needed.*\(got 'a/b'\)"),
        ("  faces: small ", "  faces: large ", r"kesim_erzin\.faces: large is none of faces: small$"),
        ("  epochs: ", "  epochs: many # ", r"kesim_erzin\.epochs.*integer \(got 'many'\)"),
        ("seed: 0", "sede: 0", r"seed is missing.*sede is not a known key"),
        ("width: 0.5", "width: -1", r"kesim_erzin\.width.*greater than 0"),
        ("workers: auto", "workers: most", r"compute\.workers.*\(got 'most'\)"),
        ("excerpt_frames: 15", "excerpt_frames: 3", r"excerpt_frames \(3\) must be at least decision_every \(5\)"),
        ("test_subjects: vougioukas", "test_subjects: me", r"corpus\.test_subjects.*'chen_s' \(got 'me'\)"),
        (
            "test_subjects: vougioukas",
            "test_subjects: chen_s",
            r"yaml: corpus\.test_subjects: chen_s has lists of grid and tcd_timit, none of crema_d; set vougioukas$",
        ),
        ("seed: 0", "seed: [", "not valid YAML"),
    ],
)
def test_a_wrong_value_is_one_line_with_key_and_mend(params, old, new, message):
    assert old in params.read_text()
    params.write_text(params.read_text().replace(old, new, 1))
    with pytest.raises(UserError, match=message) as error:
        parameters.load(params)
    assert "\n" not in str(error.value)


def test_strict_refuses_what_stands_in_for_a_papers_own_part(params, tmp_path):
    """All of it by name; and nothing is refused once each is the paper's own."""
    params.write_text(params.read_text().replace("strict: false", "strict: true"))
    stand_ins = ("perceptual.vgg19", "action_units.backend", "character_features.backend", "alignment.face_parsing")
    with pytest.raises(UserError, match=".*".join(f"{key}: " for key in stand_ins)):
        parameters.load(params)
    own = {
        "perceptual": {"vgg19": "vgg19.pth"},
        "action_units": {"backend": "openface"},
        "character_features": {"backend": "ctc"},
        "alignment": {"face_parsing": "parsing.pth"},
    }
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(own))
    apply_profile(tmp_path / "own.yaml", params)
    assert parameters.load(params).strict


def test_files_count_for_the_backends_that_read_them(params, tmp_path):
    """A model that is named for a backend which is not chosen may be anywhere."""

    def named(changes):
        (tmp_path / "own.yaml").write_text(yaml.safe_dump(changes))
        apply_profile(tmp_path / "own.yaml", params)
        return parameters.named_files(parameters.load(params))

    assert named({"action_units": {"model": "a.task"}, "character_features": {"model": "wav2vec"}}) == {}
    chosen = {"action_units": {"backend": "mediapipe"}, "character_features": {"backend": "wav2vec2"}}
    models = {"action_units.model": "a.task", "character_features.model": "wav2vec"}
    assert named(chosen) == models
    assert named({"perceptual": {"vgg19": "v.pth"}}) == models | {"perceptual.vgg19": "v.pth"}


def test_a_missing_file_says_where_to_run(tmp_path):
    with pytest.raises(UserError, match="run from the project's root"):
        parameters.load(tmp_path / "params.yaml")


@pytest.mark.parametrize("profile", sorted((ROOT / "profiles").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_profile_fits_and_keeps_the_comments(params, profile):
    comments = [line.split("#")[1] for line in params.read_text().splitlines() if "#" in line]
    apply_profile(profile, params)
    after = params.read_text()
    assert all(comment in after for comment in comments)
    # As DVC reads it, and not as YAML 1.1, in which 1e-05 is a text.
    assert holds(load_yaml(str(params)), yaml.safe_load(profile.read_text()))


PROFILES = [None, *sorted((ROOT / "profiles").glob("*.yaml"))]


def as_profiled(params, profile):
    """The lines of params.yaml, as committed or after a profile."""
    if profile:
        apply_profile(profile, params)
    return params.read_text().splitlines()


@pytest.mark.parametrize("profile", PROFILES, ids=lambda path: path.stem if path else "committed")
def test_dvc_rewrites_no_line_that_it_does_not_change(params, profile):
    """`dvc exp run --set-param` writes the file anew: git then shows what was set, and nothing else."""
    before = as_profiled(params, profile)
    apply_overrides(params, ["seed=0"])
    assert params.read_text().splitlines() == before


@pytest.mark.parametrize("profile", PROFILES, ids=lambda path: path.stem if path else "committed")
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seed", 7),
        ("corpus.fps", 50),
        ("compute.workers", 3),
        ("alignment.face_parsing", "parsing.pth"),
        ("sinha.landmark_to_texture.weights.adversarial", 0.125),
        ("maity.adversarial.learning_rate.generator", 0.00002),
    ],
)
def test_an_experiment_changes_the_line_of_what_it_sets(params, profile, key, value):
    """Whether its key has a line of its own or stands in braces, and has a comment or not; and the file can be read."""
    before = as_profiled(params, profile)
    apply_overrides(params, [f"{key}={value}"])
    after = params.read_text().splitlines()
    assert len(before) == len(after)
    (changed,) = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert all(f"{key.split('.')[-1]}:" in line for line in changed)
    # What follows the value (more keys, a comment) stays.
    assert changed[0].partition("#")[2] == changed[1].partition("#")[2]
    read = parameters.load(params)
    for name in key.split("."):
        read = getattr(read, name)
    assert read == value


def holds(values, changes):
    """Whether all the keys of `changes`, however deep, have their values in `values`."""
    if isinstance(changes, dict):
        return all(holds(values[key], change) for key, change in changes.items())
    return values == changes


def test_a_profile_with_an_unknown_key_is_refused(params, tmp_path):
    before = params.read_text()
    (tmp_path / "odd.yaml").write_text("corpus: {colour: red}\n")
    with pytest.raises(UserError, match=r"corpus\.colour is not a key"):
        apply_profile(tmp_path / "odd.yaml", params)
    assert params.read_text() == before


def test_a_profiles_faces_stand_in_the_place_of_those_before(params, tmp_path):
    """Their names are nobody's but the profile's; what is within them is checked as ever."""
    profile = tmp_path / "odd.yaml"
    papers = "".join(f"{name}: {{faces: large}}\n" for name in PAPERS)
    profile.write_text("faces:\n  large: {image_size: 96, transform: box}\n" + papers)
    apply_profile(profile, params)
    chosen = parameters.load(params)
    assert list(chosen.faces) == ["large"] and chosen.faces["large"].image_size == 96 and chosen.maity.faces == "large"
    profile.write_text("faces:\n  large: {image_size: 96, transform: box, colour: red}\n" + papers)
    with pytest.raises(UserError, match=r"faces\.large\.colour is not a known key"):
        apply_profile(profile, params)
    profile.write_text("faces:\n  other: {image_size: 96, transform: box}\n")
    with pytest.raises(UserError, match=r"atvgnet\.faces: large is none of faces: other"):
        apply_profile(profile, params)
