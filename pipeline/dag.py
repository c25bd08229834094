"""The DAG as one table, and `dvc.yaml` rendered from it: `make dag`.

A stage states what it runs, reads and makes. Which modules it depends on, nobody writes down: they are what its code imports.
What papers add (trainings, systems) is declared in their folders.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap

import yaml

from pipeline.code import closure
from pipeline.papers.registry import PAPER_OF, PAPERS, SYSTEMS, TRAININGS, module, paper
from pipeline.references import REFERENCES

FILE = Path("dvc.yaml")
WIDTH = 120
HEADER = """\
# Rendered by `make dag` from pipeline/dag.py and the papers' declarations; a test holds it against them. For every stage:
# what it runs, the data that it reads, the modules that it imports, exactly the parameters that it reads, what it makes.
"""


@dataclass(frozen=True)
class Stage:
    """reads: data. makes: outputs that DVC keeps. keeps: outputs that the stage itself brings up to date, clip by clip.

    metrics, losses: files below metrics/ that git keeps. code: modules that it loads by name, beside its own in stages/.
    """

    name: str
    does: str
    runs: str
    reads: tuple[str, ...]
    params: tuple[str, ...] = ()
    makes: tuple[str, ...] = ()
    keeps: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    losses: tuple[str, ...] = ()
    code: tuple[str, ...] = ()


def clip_by_clip(name: str, does: str, reads: tuple[str, ...], params: tuple[str, ...]) -> Stage:
    """A stage that works on what is new or changed only."""
    outs = (f"data/{name}", f"data/done/{name}")
    return Stage(name, does, name, reads, ("corpus.max_rejected", *params), keeps=outs)


PREPROCESSING = (
    Stage(
        "demo_corpus",
        "a small corpus in CREMA-D's layout, rendered by the project itself",
        "demo_corpus",
        (),
        ("seed", "demo_corpus"),
        makes=("data/demo_corpus",),
    ),
    Stage(
        "clips",
        "one row per clip, with its split",
        "clips",
        ("${corpus.root}",),
        ("corpus.layout", "corpus.root", "corpus.held_out_sentences", "corpus.max_rejected"),
        makes=("data/clips",),
    ),
    clip_by_clip("landmarks", "face box and 68 landmarks of every frame", ("data/clips",), ("corpus.fps", "landmarks")),
    clip_by_clip(
        "alignment",
        "landmarks and face crops, aligned to the training split's mean face",
        ("data/clips", "data/landmarks"),
        ("corpus.fps", "alignment"),
    ),
    clip_by_clip(
        "heatmaps",
        "one grayscale image per frame with a Gaussian on every landmark",
        ("data/alignment",),
        ("heatmaps",),
    ),
    clip_by_clip(
        "action_units",
        "intensity and presence of six facial action units in every frame",
        ("data/clips", "data/landmarks"),
        ("corpus.fps", "action_units"),
    ),
    clip_by_clip(
        "audio_features",
        "waveforms, log-mel spectra, MFCC and prosody, on the video's clock",
        ("data/clips", "data/landmarks"),
        ("corpus.fps", "audio_features"),
    ),
    clip_by_clip(
        "character_features",
        "scores of characters or phones about every video frame",
        ("data/clips", "data/audio_features"),
        ("seed", "corpus.fps", "audio_features.sample_rate", "character_features"),
    ),
)
FEATURES = tuple(stage.name for stage in PREPROCESSING if stage.keeps)
SUMMARY = Stage(
    "preprocessing",
    "what became of the clips, in numbers and on a page, and which of them go on",
    "preprocessing",
    ("data/clips", *(f"data/{name}" for name in FEATURES), *(f"data/done/{name}" for name in FEATURES)),
    ("corpus.fps", "action_units.backend"),
    makes=("data/preprocessing", "data/usable_clips.parquet"),
    metrics=("preprocessing.json",),
)


def training(of_paper: str, name: str) -> Stage:
    """The stage that trains what a paper declares."""
    declared = TRAININGS[of_paper, name]
    before = (f"data/trained/{of_paper}/{earlier}" for earlier in declared.after)
    return Stage(
        f"{of_paper}_{name}",
        f"{of_paper}: {name.replace('_', ' ')}",
        f"training {of_paper} {name}",
        ("data/clips", *(f"data/{stage}" for stage in declared.reads), *before),
        ("seed", "training", *declared.params),
        makes=(f"data/trained/{of_paper}/{name}",),
        losses=(f"losses/{of_paper}_{name}.csv",),
        code=(_file(module(of_paper, name)),),
    )


EMOTION_CLASSIFIER = Stage(
    "emotion_classifier",
    "emotions seen in real faces, the judge of generated ones",
    "emotion_classifier",
    ("data/clips", "data/alignment"),
    ("seed", "training", "emotion_classifier"),
    makes=("data/trained/emotion_classifier",),
    losses=("losses/emotion_classifier.csv",),
)


def system(name: str) -> Stage:
    """The stage that makes a portable folder of a system's trained networks."""
    networks = (f"data/trained/{PAPER_OF[name]}/{network}" for network in SYSTEMS[name].networks)
    return Stage(
        f"system_{name}",
        f"{name}, trained, with all that is needed to use it",
        f"system {name}",
        ("data/clips", *networks),
        makes=(f"data/systems/{name}",),
        code=(_file(f"pipeline.papers.{PAPER_OF[name]}.paper"),),
    )


def synthesis(name: str) -> Stage:
    """The stage that generates the test clips by a system, or makes a reference of them."""
    is_system = name in SYSTEMS
    clips = ("data/usable_clips.parquet", "data/alignment", "data/audio_features/waveform")
    return Stage(
        f"synthesis_{name}",
        f"the test clips as {name} generates them" if is_system else f"the test clips as a reference: {name}",
        f"synthesis {name}",
        (*([f"data/systems/{name}"] if is_system else []), *clips),
        ("seed", "synthesis", "audio_features.sample_rate"),
        makes=(f"data/synthesis/{name}", f"data/videos/{name}"),
        code=(_file(f"pipeline.papers.{PAPER_OF[name]}.use"),) if is_system else (),
    )


def detection(name: str) -> Stage:
    """The stage that finds landmarks in what was generated."""
    return Stage(
        f"detection_{name}",
        f"landmarks that a detector finds in the frames of {name}",
        f"detection {name}",
        (f"data/synthesis/{name}",),
        ("evaluation.detection_size",),
        makes=(f"data/detection/{name}",),
    )


COMPARED = (*REFERENCES, *SYSTEMS)
FRAMES = ("data/usable_clips.parquet", *(f"data/synthesis/{name}" for name in COMPARED))
DETECTIONS = tuple(f"data/detection/{name}" for name in COMPARED)
JUDGED = ("data/trained/chen_s/audio_to_au", "data/trained/chen_s/au_classifier")
MEASURED = (
    Stage(
        "evaluation",
        "metrics of every system and reference on the test splits",
        "evaluation",
        (*FRAMES, *DETECTIONS, "data/alignment/about.json"),
        ("seed", "evaluation"),
        makes=("data/evaluation",),
        metrics=("evaluation.json",),
    ),
    Stage(
        "motion",
        "landmarks that speech predicts, before any texture, against the real ones",
        "motion",
        (*FRAMES, "data/alignment"),
        ("evaluation.split",),
        metrics=("landmarks.json",),
    ),
    Stage(
        "silence",
        "whether mouths keep still while nobody speaks",
        "silence",
        (*FRAMES, *DETECTIONS),
        ("evaluation.split",),
        makes=("data/silence.parquet",),
        metrics=("silence.json",),
    ),
    Stage(
        "blinks",
        "generated blinks beside the corpus's own",
        "blinks",
        ("data/clips", "data/alignment", "data/trained/sinha/blink"),
        ("seed", "sinha.blink"),
        makes=("data/blinks.json",),
        metrics=("blinks.json",),
    ),
    Stage(
        "recognition",
        "action units as Chen S.'s pre-trained networks recognise them in real clips",
        "recognition",
        ("data/clips", "data/alignment", "data/audio_features", "data/action_units", *JUDGED),
        metrics=("recognition.json",),
    ),
    Stage(
        "emotions",
        "emotions as a classifier sees them in generated clips",
        "emotions",
        (*FRAMES, "data/trained/emotion_classifier"),
        ("seed", "evaluation"),
        makes=("data/emotions.json",),
        metrics=("emotions.json",),
    ),
)
REPORT = Stage(
    "report",
    "pictures, plots and one page to look at",
    "report",
    (
        *FRAMES,
        *(f"data/videos/{name}" for name in COMPARED),
        *(f"data/systems/{name}" for name in SYSTEMS),
        *("data/alignment", "data/evaluation", "data/blinks.json", "data/emotions.json"),
        *(f"metrics/{name}" for stage in (SUMMARY, *MEASURED) for name in stage.metrics),
        "metrics/losses",
    ),
    ("evaluation.split", "report"),
    makes=("data/report",),
    code=tuple(f"pipeline/papers/{name}/paper.py" for name in PAPERS),
)


def stages() -> Iterator[Stage]:
    """All stages, in the order in which they are read."""
    yield from (*PREPROCESSING, SUMMARY)
    yield from (training(*key) for key in TRAININGS)
    yield EMOTION_CLASSIFIER
    yield from map(system, SYSTEMS)
    yield from map(synthesis, COMPARED)
    yield from map(detection, COMPARED)
    yield from (*MEASURED, REPORT)


def plots() -> dict[str, dict]:
    """What `dvc plots` shows of the losses: validation errors of one kind in one picture, and what papers declare."""
    shown: dict[str, dict] = {}
    for (of_paper, name), declared in TRAININGS.items():
        title = f"Validation error: {declared.error}"
        picture = shown.setdefault(title, {"x": "epoch", "y": {}, "y_label": declared.error})
        picture["y"][f"metrics/losses/{of_paper}_{name}.csv"] = "validation_error"
    for of_paper in PAPERS:
        for title, (label, columns) in paper(of_paper).plots.items():
            y = {f"metrics/losses/{of_paper}_{name}.csv": values for name, values in columns.items()}
            shown[title] = {"x": "epoch", "y": y, "y_label": label}
    return shown


def render() -> str:
    """The text of dvc.yaml."""
    titled = [{title: picture} for title, picture in plots().items()]
    pictures = yaml.safe_dump({"plots": titled}, sort_keys=False, allow_unicode=True, width=WIDTH)
    return "\n".join([HEADER, "stages:", *map(_written, stages()), pictures])


def _written(stage: Stage) -> str:
    code = closure(f"stages/{stage.runs.split()[0]}.py", *stage.code)
    lines = [
        f"  {stage.name}:",
        f"    desc: {_scalar(stage.does)}",
        f"    cmd: python -m stages.{stage.runs}",
        *_listed("deps", list(map(_scalar, stage.reads)), code),
        *_listed("params", stage.params),
        *_listed("outs", [*stage.makes, *(f"{path}: {{persist: true}}" for path in stage.keeps)]),
        *_listed("metrics", [f"metrics/{name}: {{cache: false}}" for name in stage.metrics]),
        *_listed("plots", [f"metrics/{name}: {{cache: false}}" for name in stage.losses]),
    ]
    return "\n".join([*lines, ""])


def _listed(key: str, *groups: Sequence[str]) -> list[str]:
    """A key with its list: on one line where it fits, else wrapped, every group on lines of its own; nothing if empty."""
    written = [group for group in groups if group]
    if not written:
        return []
    line = f"    {key}: [{', '.join(item for group in written for item in group)}]"
    if len(line) <= WIDTH and len(written) == 1:
        return [line]
    lines = [line for group in written for line in wrap(", ".join(group) + ",", WIDTH - 6, break_on_hyphens=False)]
    return [f"    {key}: [", *(f"      {line}" for line in lines), "    ]"]


def _scalar(text: str) -> str:
    """As YAML has to have it within a list: quoted where it would be read as more than a string."""
    return f'"{text}"' if any(mark in text for mark in ("${", ": ", ",")) else text


def _file(name: str) -> str:
    return name.replace(".", "/") + ".py"


def main() -> None:
    FILE.write_text(render())
    print(f"{FILE}: {len(list(stages()))} stages")


if __name__ == "__main__":
    main()
