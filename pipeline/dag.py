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
TEMPLATES = "pipeline/report/templates"  # of pages: what a stage reads that no module's import shows
HEADER = """\
# Rendered by `make dag` from pipeline/dag.py and the papers' declarations; a test holds it against them. For every stage:
# what it runs, the data that it reads, the modules that it imports, exactly the parameters that it reads, what it makes.
"""


@dataclass(frozen=True)
class Stage:
    """reads: data. makes: outputs that DVC keeps. keeps: outputs that the stage itself brings up to date, clip by clip.

    metrics, losses: files below metrics/ that git keeps. code: modules that it loads by name, beside its own in stages/.
    foreach: a mapping in params.yaml for each of whose keys there is such a stage, NAME@KEY; ${key} stands for it.
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
    foreach: str | None = None


def clip_by_clip(
    name: str, does: str, reads: tuple[str, ...], params: tuple[str, ...], foreach: str | None = None
) -> Stage:
    """A stage that works on what is new or changed only."""
    item = "/${key}" if foreach else ""
    outs = (f"data/{name}{item}", f"data/done/{name}{item}")
    runs = f"{name}{item.replace('/', ' ')}"
    return Stage(name, does, runs, reads, ("corpus.max_rejected", *params), keeps=outs, foreach=foreach)


def faces_of(of_paper: str) -> str:
    """The name of the faces that a paper's systems see: DVC puts it in the place of this."""
    return f"${{{of_paper}.faces}}"


ALL_FACES = tuple(map(faces_of, PAPERS))
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
        ("corpus.layout", "corpus.root", "corpus.held_out_sentences", "corpus.test_subjects", "corpus.max_rejected"),
        makes=("data/clips",),
    ),
    clip_by_clip("landmarks", "face box and 68 landmarks of every frame", ("data/clips",), ("corpus.fps", "landmarks")),
    clip_by_clip(
        "alignment",
        "face crops, and landmarks in them: by the training split's mean face, or by boxes",
        ("data/clips", "data/landmarks"),
        ("corpus.fps", "faces.${key}", "alignment"),
        foreach="faces",
    ),
    clip_by_clip(
        "heatmaps",
        "one grayscale image per frame with a Gaussian on every landmark, of Kesim & Erzin's faces",
        (f"data/alignment/{faces_of('kesim_erzin')}",),
        ("kesim_erzin.faces", "heatmaps"),
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
    ("data/clips", *(f"data/{name}" for name in FEATURES), *(f"data/done/{name}" for name in FEATURES), TEMPLATES),
    ("corpus.fps", "faces", "action_units.backend"),
    makes=("data/preprocessing", "data/usable_clips.parquet"),
    metrics=("preprocessing.json",),
)


def training(of_paper: str, name: str) -> Stage:
    """The stage that trains what a paper declares."""
    declared, aligned = TRAININGS[of_paper, name], f"alignment/{faces_of(of_paper)}"
    reads = (aligned if stage == "alignment" else stage for stage in declared.reads)
    before = (f"data/trained/{of_paper}/{earlier}" for earlier in declared.after)
    return Stage(
        f"{of_paper}_{name}",
        f"{of_paper}: {name.replace('_', ' ')}",
        f"training {of_paper} {name}",
        ("data/clips", *(f"data/{folder}" for folder in reads), *before),
        ("seed", "training", *declared.params),
        makes=(f"data/trained/{of_paper}/{name}",),
        losses=(f"losses/{of_paper}_{name}.csv",),
        code=(_file(module(of_paper, name)),),
    )


def judge(name: str, does: str, reads: tuple[str, ...], recipe: str) -> Stage:
    """The stage that trains a judge of generated clips on real ones. recipe: the file that holds it."""
    return Stage(
        name,
        does,
        f"judge {name} ${{key}}",
        ("data/clips", "data/alignment/${key}", *reads),
        ("seed", "training", name),
        makes=(f"data/trained/{name}@${{key}}",),
        losses=(f"losses/{name}@${{key}}.csv",),
        code=(recipe,),
        foreach="faces",
    )


EMOTION_CLASSIFIER = judge(
    "emotion_classifier",
    "emotions seen in real faces, the judge of generated ones",
    (),
    "pipeline/evaluation/emotion_classifier/training.py",
)
SYNC = judge(
    "sync",
    "sync of real faces and their speech, the judge of generated ones",
    ("data/audio_features",),
    "pipeline/evaluation/lip_sync/training.py",
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


def tested(faces: str) -> tuple[str, ...]:
    """What holds the test clips, as these faces show them."""
    return ("data/usable_clips.parquet", f"data/alignment/{faces}", "data/audio_features/waveform")


def synthesis(name: str) -> Stage:
    """The stage that generates the test clips by a system."""
    faces = faces_of(PAPER_OF[name])
    return Stage(
        f"synthesis_{name}",
        f"the test clips as {name} generates them",
        f"synthesis {name} {faces}",
        (f"data/systems/{name}", *tested(faces)),
        ("seed", "synthesis", "audio_features.sample_rate"),
        makes=(f"data/synthesis/{name}", f"data/videos/{name}"),
        code=(_file(f"pipeline.papers.{PAPER_OF[name]}.use"),),
    )


MADE_REFERENCES = Stage(
    "references",
    f"the test clips as what every table needs beside the systems: {', '.join(REFERENCES)}",
    "references ${key}",
    tested("${key}"),
    ("audio_features.sample_rate",),
    makes=("data/synthesis/references/${key}", "data/videos/references/${key}"),
    foreach="faces",
)


def detection(name: str, of: str, foreach: str | None = None) -> Stage:
    """The stage that finds landmarks in what was generated; of: its folder in data/synthesis."""
    return Stage(
        f"detection_{name}",
        f"landmarks that a detector finds in the frames of {of.partition('/')[0]}",
        f"detection {of}",
        (f"data/synthesis/{of}",),
        ("evaluation.detection_size",),
        makes=(f"data/detection/{of}",),
        foreach=foreach,
    )


COMPARED = (*(f"references/{faces}" for faces in ALL_FACES), *SYSTEMS)
FRAMES = ("data/usable_clips.parquet", *(f"data/synthesis/{folder}" for folder in COMPARED))
DETECTIONS = tuple(f"data/detection/{folder}" for folder in COMPARED)
JUDGED = ("data/trained/chen_s/audio_to_au", "data/trained/chen_s/au_classifier")
MEASURED = (
    Stage(
        "evaluation",
        "metrics of every system and reference on the test splits",
        "evaluation",
        (*FRAMES, *DETECTIONS, "data/audio_features", *(f"data/trained/sync@{faces}" for faces in ALL_FACES)),
        ("seed", "evaluation"),
        makes=("data/evaluation",),
        metrics=("evaluation.json", "evaluation_common_size.json"),
    ),
    Stage(
        "motion",
        "landmarks that speech predicts, before any texture, against the real ones",
        "motion",
        FRAMES,
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
        ("data/clips", f"data/alignment/{faces_of('sinha')}", "data/trained/sinha/blink"),
        ("seed", "sinha.faces", "sinha.init_from", "sinha.blink"),
        makes=("data/blinks.json",),
        metrics=("blinks.json",),
    ),
    Stage(
        "recognition",
        "action units as Chen S.'s pre-trained networks recognise them in real clips",
        "recognition",
        ("data/clips", f"data/alignment/{faces_of('chen_s')}", "data/audio_features", "data/action_units", *JUDGED),
        ("chen_s.faces",),
        metrics=("recognition.json",),
    ),
    Stage(
        "emotions",
        "emotions as a classifier sees them in generated clips",
        "emotions",
        (*FRAMES, *(f"data/trained/emotion_classifier@{faces}" for faces in ALL_FACES)),
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
        *(f"data/videos/{folder}" for folder in COMPARED),
        *(f"data/systems/{name}" for name in SYSTEMS),
        *DETECTIONS,
        *("data/evaluation", "data/blinks.json", "data/emotions.json"),
        *(f"metrics/{name}" for stage in (SUMMARY, *MEASURED) for name in stage.metrics),
        "metrics/losses",
        TEMPLATES,
    ),
    ("evaluation.split", "evaluation.common_size", "report"),
    makes=("data/report",),
    code=tuple(f"pipeline/papers/{name}/paper.py" for name in PAPERS),
)


def stages() -> Iterator[Stage]:
    """All stages, in the order in which they are read."""
    yield from (*PREPROCESSING, SUMMARY)
    yield from (training(*key) for key in TRAININGS)
    yield from (EMOTION_CLASSIFIER, SYNC)
    yield from map(system, SYSTEMS)
    yield MADE_REFERENCES
    yield from map(synthesis, SYSTEMS)
    yield detection("references", "references/${key}", "faces")
    yield from (detection(name, name) for name in SYSTEMS)
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
    kept = [f"{_scalar(path)}: {{persist: true}}" for path in stage.keeps]
    in_git = {
        kind: [f"{_scalar(f'metrics/{name}')}: {{cache: false}}" for name in names]
        for kind, names in (("metrics", stage.metrics), ("plots", stage.losses))
    }
    lines = [
        f"desc: {_scalar(stage.does)}",
        f"cmd: python -m stages.{stage.runs}",
        *_listed("deps", list(map(_scalar, stage.reads)), code),
        *_listed("params", list(map(_scalar, stage.params))),
        *_listed("outs", [*map(_scalar, stage.makes), *kept]),
        *(line for kind, written in in_git.items() for line in _listed(kind, written)),
    ]
    if stage.foreach:
        lines = [f"foreach: ${{{stage.foreach}}}", "do:", *(f"  {line}" for line in lines)]
    return "\n".join([f"  {stage.name}:", *(f"    {line}" for line in lines), ""])


def _listed(key: str, *groups: Sequence[str]) -> list[str]:
    """A key with its list: on one line where it fits, else wrapped, every group on lines of its own; nothing if empty."""
    written = [group for group in groups if group]
    if not written:
        return []
    line = f"{key}: [{', '.join(item for group in written for item in group)}]"
    if len(line) <= WIDTH - 6 and len(written) == 1:
        return [line]
    lines = [line for group in written for line in wrap(", ".join(group) + ",", WIDTH - 6, break_on_hyphens=False)]
    return [f"{key}: [", *(f"  {line}" for line in lines), "]"]


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
