"""dvc.yaml against the code: what a stage lists is what it reads."""

import ast
import re
from pathlib import Path

import pytest
import yaml

from pipeline.report.pictures import COLOURS
from pipeline.synthesis import REFERENCES
from pipeline.systems.registry import SYSTEMS
from stages import evaluation

ROOT = Path(__file__).parents[1]
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
# Read by every stage, and without influence on what it makes: parameters have dependencies of their own.
EXEMPT_MODULES = {"pipeline/errors.py", "pipeline/parameters.py", "pipeline/__init__.py"}
EXEMPT_PARAMS = {"compute"}


def filled(text: str, values: dict) -> str:
    """${item.system} and the like, as DVC fills them in."""

    def value(match):
        found = values
        for part in re.findall(r"\w+", match[1]):
            found = found[int(part) if part.isdigit() else part]
        return str(found)

    return re.sub(r"\$\{([\w.\[\]]+)\}", value, text)


def instances(name: str, stage: dict) -> dict[str, dict]:
    """A stage for each of the systems that it is written for: name → what it runs and lists."""
    if "foreach" in stage:
        variants = {f"{name}@{key}": {"key": key, "item": item} for key, item in stage["foreach"].items()}
    elif "matrix" in stage:
        variants = {f"{name}@{system}": {"item": {"system": system}} for system in stage["matrix"]["system"]}
    else:
        variants = {name: {}}
    written = stage.get("do", stage)
    corpus = {"corpus": yaml.safe_load((ROOT / "params.yaml").read_text())["corpus"]}
    return {
        instance: {key: [filled(x, values | corpus) for x in written.get(key, [])] for key in ("deps", "params")}
        | {"script": ROOT / "stages" / f"{filled(written['cmd'], values).split('stages.')[1].split()[0]}.py"}
        for instance, values in variants.items()
    }


INSTANCES = {key: value for name, stage in STAGES.items() for key, value in instances(name, stage).items()}


def imported(module: Path, seen: set[Path]) -> set[Path]:
    """All of the project's modules that `module` imports, directly or not."""
    for node in ast.walk(ast.parse(module.read_text())):
        names = []
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pipeline"):
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names if alias.name.startswith("pipeline")]
        for name in names:
            path = ROOT / (name.replace(".", "/") + ".py")
            if path.exists() and path not in seen:
                seen.add(path)
                imported(path, seen)
    return seen


@pytest.mark.parametrize("name", INSTANCES)
def test_a_stage_depends_on_the_modules_it_imports(name):
    script, deps = INSTANCES[name]["script"], INSTANCES[name]["deps"]
    needed = {str(path.relative_to(ROOT)) for path in imported(script, set())} - EXEMPT_MODULES
    listed = [dep for dep in deps if dep.startswith(("pipeline", "stages"))]
    covered = {module for module in needed if any(module == dep or module.startswith(f"{dep}/") for dep in listed)}
    assert str(script.relative_to(ROOT)) in listed
    assert needed == covered, f"imported but not listed: {sorted(needed - covered)}"
    idle = [
        dep
        for dep in listed
        if dep.startswith("pipeline") and not any(m == dep or m.startswith(f"{dep}/") for m in needed)
    ]
    assert not idle, f"listed but not imported: {idle}"


def parameters_read(script: Path, *besides: str) -> set[str]:
    """Chains such as p.alignment.image_size, of the variable p that holds the parameters; not those in functions `besides`."""
    tree = ast.parse(script.read_text())
    tree.body = [node for node in tree.body if not (isinstance(node, ast.FunctionDef) and node.name in besides)]
    read = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            chain, inner = [node.attr], node.value
            while isinstance(inner, ast.Attribute):
                chain.append(inner.attr)
                inner = inner.value
            if isinstance(inner, ast.Name) and inner.id == "p":
                read.add(".".join(reversed(chain)))
    # Of p.a.b the walk finds p.a as well: the longest chains are what is read.
    return {key for key in read if not any(other.startswith(f"{key}.") for other in read)}


def sources(name: str) -> list[tuple[Path, ...]]:
    """Where a stage reads parameters: files, each with the functions in it that belong to another stage."""
    training, script = ROOT / "pipeline" / "training", INSTANCES[name]["script"]
    stage, _, system = name.partition("@")
    crops = (training / "data.py",)  # about_crops
    cascade = {"audio_to_landmark": "train_landmark_to_texture", "landmark_to_texture": "train_audio_to_landmark"}
    parts = {"audio_to_au": "train_au_classifier", "au_classifier": "train_audio_to_au"}
    delegated = {
        "end_to_end": [crops, (training / f"{script.stem.replace('end_to_end', 'kesim_erzin')}.py",)],
        "emotion_classifier": [crops, (training / "emotion_classifier.py",)],
        "blink": [(training / "blink.py",)],
        "evaluation": [(ROOT / "pipeline" / "evaluation" / "blinks.py",), (training / "blink.py", "train")],
    }
    delegated |= {half: [crops, (training / f"{system}.py", other)] for half, other in cascade.items()}
    delegated |= {part: [(training / "action_units.py", other)] for part, other in parts.items()}
    delegated["au_classifier"].append(crops)
    return [(script,), *delegated.get(stage, [])]


@pytest.mark.parametrize("name", INSTANCES)
def test_a_stage_lists_the_parameters_it_reads(name):
    read = set().union(*(parameters_read(*source) for source in sources(name)))
    read = {key for key in read if key.split(".")[0] not in EXEMPT_PARAMS}
    listed = set(INSTANCES[name]["params"])
    if "end_to_end" in read:  # getattr(p.end_to_end, system)
        listed = {key.replace(f"end_to_end.{name.partition('@')[2]}", "end_to_end") for key in listed}
    assert read == expanded(listed, read), f"read {sorted(read)}, listed {sorted(listed)}"


def expanded(listed: set[str], read: set[str]) -> set[str]:
    """Listed groups stand for those of their keys that are read."""
    return {key for key in read if any(key == group or key.startswith(f"{group}.") for group in listed)} | {
        group for group in listed if not any(key == group or key.startswith(f"{group}.") for key in read)
    }


def test_every_parameter_is_read_by_some_stage():
    listed = EXEMPT_PARAMS.union(*(instance["params"] for instance in INSTANCES.values()))

    def leaves(values, prefix=""):
        for key, value in values.items():
            if isinstance(value, dict):
                yield from leaves(value, f"{prefix}{key}.")
            else:
                yield f"{prefix}{key}"

    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    unread = [key for key in leaves(params) if not any(key == group or key.startswith(f"{group}.") for group in listed)]
    assert not unread


def test_every_system_and_reference_goes_all_the_way():
    """One that is left out anywhere would vanish from the tables without a word."""
    known = {*REFERENCES, *SYSTEMS}
    assert set(STAGES["synthesis"]["foreach"]) == set(STAGES["detection"]["matrix"]["system"]) == known
    assert set(evaluation.SYSTEMS) == known
    # Of the references, two are for the tables alone.
    assert set(COLOURS) == known - {"ground_truth_reencoded", "ground_truth_delayed"}
    for part in ("synthesis", "detection"):
        assert {dep for dep in STAGES["evaluation"]["deps"] if f"/{part}/" in dep} == {
            f"data/{part}/{x}" for x in known
        }
