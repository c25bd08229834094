"""`params.yaml`: what may stand in it, checked as a whole before any stage does its work.

`python -m pipeline.parameters` checks it, and the corpus that it names, without running anything.
"""

import os
import re
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import AfterValidator, Field, ValidationError, create_model, model_validator

from pipeline.corpus.splits import TEST_SUBJECTS
from pipeline.errors import UserError, one_line_errors
from pipeline.papers.registry import PAPERS
from pipeline.papers.registry import parameters as of_paper
from pipeline.parameter_types import Group, Positive, Rate, Share, Training

Split = Literal["test_sentences", "test"]


class Compute(Group):
    workers: Positive | Literal["auto"]
    scheduler: str | None


class DemoCorpus(Group):
    training_subjects: Annotated[int, Field(ge=1, le=14)]
    clips_per_emotion: Positive


class Corpus(Group):
    layout: Literal["crema_d", "grid", "tcd_timit", "mead", "folder"]
    root: str
    fps: Annotated[float, Field(gt=0)]
    held_out_sentences: Annotated[int, Field(ge=0)]
    test_subjects: Literal["vougioukas", "chen_s"]
    max_rejected: Share


class Landmarks(Group):
    backend: Literal["dlib", "mediapipe"]
    redetect_every: Positive
    max_missing: Share


def _plain_word(name: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ValueError("a plain word is needed, of small letters, digits and _: folders are named so")
    return name


class Faces(Group):
    image_size: Annotated[int, Field(ge=64)]
    transform: Literal["per_frame", "first_frame", "box"]
    template: str | None = None


class Alignment(Group):
    eye_distance: Share
    eye_height: Share
    face_parsing: str | None


class Heatmaps(Group):
    sigma: Annotated[float, Field(gt=0)]


class ActionUnits(Group):
    backend: Literal["landmarks", "openface", "mediapipe"]
    command: str
    time_limit_s: Annotated[float, Field(gt=0)]
    min_confidence: Share
    model: str | None


class AudioFeatures(Group):
    sample_rate: Annotated[int, Field(ge=8000)]
    mel_bands: Positive
    window_ms: Annotated[float, Field(gt=0)]


class Ctc(Group):
    width: Positive
    epochs: Positive
    learning_rate: Annotated[float, Field(gt=0)]


class CharacterFeatures(Group):
    backend: Literal["ctc", "phones", "wav2vec2"]
    model: str | None
    ctc: Ctc


class PerceptualLoss(Group):
    vgg19: str | None
    width: Rate


class EmotionClassifier(Group):
    width: Rate
    dropout: Annotated[float, Field(ge=0, lt=1)]
    epochs: Positive
    learning_rate: Rate
    weight_decay: Annotated[float, Field(ge=0)]
    excerpt_frames: Positive
    batch: Positive


class Sync(Group):
    width: Rate
    dropout: Annotated[float, Field(ge=0, lt=1)]
    epochs: Positive
    learning_rate: Rate
    weight_decay: Annotated[float, Field(ge=0)]
    excerpt_frames: Annotated[int, Field(ge=6)]
    batch: Positive


class Synthesis(Group):
    visible_mark: bool


class Evaluation(Group):
    split: Split
    common_size: Annotated[int, Field(ge=64)]
    detection_size: Annotated[int, Field(ge=64)]
    bootstrap_samples: Positive
    syncnet: str | None
    lpips: str | None
    fid: str | None
    fvd: str | None


class Report(Group):
    contact_sheet_step: Positive
    clips_per_system: Positive


class Shared(Group):
    """What no paper calls its own; a stage reads from the file exactly what `dvc.yaml` lists under its `params`."""

    seed: Annotated[int, Field(ge=0)]
    strict: bool
    compute: Compute
    demo_corpus: DemoCorpus
    corpus: Corpus
    landmarks: Landmarks
    faces: Annotated[dict[Annotated[str, AfterValidator(_plain_word)], Faces], Field(min_length=1)]
    alignment: Alignment
    heatmaps: Heatmaps
    action_units: ActionUnits
    audio_features: AudioFeatures
    character_features: CharacterFeatures
    training: Training
    perceptual: PerceptualLoss
    emotion_classifier: EmotionClassifier
    sync: Sync
    synthesis: Synthesis
    evaluation: Evaluation
    report: Report

    @model_validator(mode="after")
    def _test_subjects_are_the_corpuss(self) -> "Shared":
        whose, layout = self.corpus.test_subjects, self.corpus.layout
        if layout not in TEST_SUBJECTS[whose]:
            known = " and ".join(TEST_SUBJECTS[whose])
            raise ValueError(f"corpus.test_subjects: {whose} has lists of {known}, none of {layout}; set vougioukas")
        return self

    @model_validator(mode="after")
    def _models_are_named(self) -> "Shared":
        for group, backend in (("action_units", "mediapipe"), ("character_features", "wav2vec2")):
            chosen = getattr(self, group)
            if chosen.backend == backend and chosen.model is None:
                raise ValueError(f"{group}.model: backend {backend} needs the path of its model; see params.yaml")
        return self

    @model_validator(mode="after")
    def _papers_see_faces_that_fit(self) -> "Shared":
        for name in PAPERS:
            paper = getattr(self, name)
            if paper.faces not in self.faces:
                raise ValueError(f"{name}.faces: {paper.faces} is none of faces: {', '.join(self.faces)}")
            size = self.faces[paper.faces].image_size
            if size % paper.size_step:
                raise ValueError(
                    f"{name}.faces: {paper.faces} are {size} px, and this paper's networks take multiples of {paper.size_step}"
                )
        return self

    @model_validator(mode="after")
    def _nothing_stands_in(self) -> "Shared":
        if self.strict and (found := substitutes(self)):
            raise ValueError(f"strict is true, but {'; '.join(found)}")
        return self


def substitutes(p: Shared) -> list[str]:
    """What stands in for parts of the papers that cannot be had from pip: the key, what it is, and what the paper has."""
    found = {
        "perceptual.vgg19": p.perceptual.vgg19 is None
        and "random features stand in for ImageNet's VGG-19 (Chen S. 2021, Maity 2024)",
        "action_units.backend": p.action_units.backend != "openface"
        and "labels by an estimator of this project stand in for OpenFace's (Chen S. 2021)",
        "character_features.backend": p.character_features.backend == "phones"
        and "42 phones stand in for DeepSpeech's 29 letters (Sinha 2020)",
        "alignment.face_parsing": p.alignment.face_parsing is None
        and "the detector's lips stand in for those of a face-parsing network (Sinha 2020)",
    }
    return [f"{key}: {what}" for key, what in found.items() if what]


def named_files(p: Shared) -> dict[str, str]:
    """The files and folders that the chosen parts are read from: the key, and the path that it holds."""
    characters = p.character_features
    named = {
        "perceptual.vgg19": p.perceptual.vgg19,
        "alignment.face_parsing": p.alignment.face_parsing,
        "action_units.model": p.action_units.model if p.action_units.backend == "mediapipe" else None,
        "character_features.model": characters.model if characters.backend != "phones" else None,
        **{f"evaluation.{kind}": getattr(p.evaluation, kind) for kind in ("syncnet", "lpips", "fid", "fvd")},
    }
    return {key: path for key, path in named.items() if path is not None}


# The whole file: a group for every paper beside the shared ones, as the paper's folder declares it.
Parameters = create_model("Parameters", __base__=Shared, **{name: (of_paper(name), ...) for name in PAPERS})


class Loader(yaml.SafeLoader):
    """Reads numbers as DVC writes them: 1e-05 as well, which is a text in YAML 1.1."""


Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def load(path: Path = Path("params.yaml")) -> Parameters:
    """Read and check the parameters. Raises UserError naming the file, the key, what it holds and what it may hold."""
    try:
        values = yaml.load(path.read_text(), Loader)
    except FileNotFoundError:
        raise UserError(f"{path} is missing here ({Path.cwd()}); run from the project's root") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    try:
        return Parameters.model_validate(values)
    except ValidationError as error:
        explanations: dict[str, list[str]] = {}
        for problem in error.errors():
            # The members of a union are tried one by one (`workers.int`, `workers.literal[…]`): one key, one line.
            key = ".".join(
                part for part in map(str, problem["loc"]) if not part.startswith(("int", "literal", "constr", "[key]"))
            )
            explanations.setdefault(key, []).append(_explain(path, key, problem))
        raise UserError("; ".join(texts[-1] for texts in explanations.values())) from None


def _explain(path: Path, key: str, problem: dict) -> str:
    if problem["type"] == "extra_forbidden":
        return f"{path}: {key} is not a known key; remove it or correct its spelling"
    if problem["type"] == "missing":
        return f"{path}: {key} is missing; `git diff {path}` shows what was removed"
    message = problem["msg"].removeprefix("Value error, ")
    return f"{path}: {key}: {message} (got {problem['input']!r})" if key else f"{path}: {message}"


@one_line_errors
def main() -> None:
    """Check the parameters, and that the files they name are there (the demo corpus is rendered by its own stage)."""
    p = load()
    for key, path in named_files(p).items():
        if not Path(path).exists():
            raise UserError(f"params.yaml: {key}: {path} does not exist")
    for what in substitutes(p):
        print(f"note: {what}")
    if p.corpus.root == "data/demo_corpus":
        return
    if not Path(p.corpus.root).is_dir():
        raise UserError(f"params.yaml: corpus.root: the folder {p.corpus.root} does not exist")
    for folder, _, names in os.walk(p.corpus.root):
        for path in (Path(folder) / name for name in names):
            # DVC checksums the whole folder before any stage can set such a file aside, and does not say which it was.
            if not os.access(path, os.R_OK):
                raise UserError(f"corpus.root: {path!r} cannot be read; change its permissions or move it elsewhere")
            if str(path).encode("utf-8", "replace").decode() != str(path):
                raise UserError(f"corpus.root: {path!r} is not named in UTF-8; rename it or move it elsewhere")


if __name__ == "__main__":
    main()
