"""README.md and docs/*.md against the project: what they name in backticks is there, and their links lead somewhere."""

import ast
import re
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import pytest
import yaml

from pipeline.papers.registry import PAPERS, SYSTEMS

ROOT = Path(__file__).parents[1]
PAGES = ["README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text())
DVC = yaml.safe_load((ROOT / "dvc.yaml").read_text())
# As DVC calls them: a stage of `foreach` is one for each of what it goes through.
STAGES = {
    f"{name}@{item}" if "foreach" in stage else name
    for name, stage in DVC["stages"].items()
    for item in (PARAMS[stage["foreach"].strip("${}")] if "foreach" in stage else [None])
}
# What a page makes up to explain itself.
MADE_UP = {"docs/adding-a-system.md": "toy"}
# How names of stages begin, and of systems: one that begins so has to be one of either.
OWN = (*(f"{paper}_" for paper in PAPERS), "system_", "synthesis_", "detection_")


def text_of(page: str) -> str:
    """Without fenced blocks: code that the page shows is not about the project's files."""
    return re.sub(r"^```.*?^```", "", (ROOT / page).read_text(), flags=re.DOTALL | re.MULTILINE)


def quoted(page: str) -> list[str]:
    """What stands in backticks."""
    return re.findall(r"`([^`]+)`", text_of(page))


def keys(values: dict, before: str = "") -> set[str]:
    """Dotted keys of all groups and leaves."""
    found = set()
    for key, value in values.items():
        found |= {before + key} | (keys(value, f"{before}{key}.") if isinstance(value, dict) else set())
    return found


KEYS = keys(PARAMS)
MODULES = [path for folder in ("pipeline", "stages") for path in (ROOT / folder).rglob("*.py")]


def is_parameter(name: str) -> bool:
    """A part in capitals stands for any."""
    return any(fnmatch(key, re.sub(r"\b[A-Z]+\b", "*", name)) for key in KEYS)


def file_of(path: str) -> Path | None:
    return next((whole for whole in (ROOT / path, ROOT / "pipeline" / path) if whole.exists()), None)


@cache
def names_of(module: Path) -> set[str]:
    """What a module defines: functions, classes, constants, methods, attributes."""
    found = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
            found.add(node.id if isinstance(node, ast.Name) else node.attr)
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", None) == "register_buffer":
            found.add(node.args[0].value)
    return found


@pytest.mark.parametrize("page", PAGES)
def test_modules_exist(page: str):
    """`training/runner.py`, from the root or from pipeline/; `python -m pipeline.generate`."""
    paths = [path for path in quoted(page) if re.fullmatch(r"[\w./]+/\w+\.py", path)]
    paths += [f"{name.replace('.', '/')}.py" for name in re.findall(r"python -m (\w+(?:\.\w+)+)", text_of(page))]
    assert [path for path in paths if not file_of(path)] == []


@pytest.mark.parametrize("page", PAGES)
def test_what_is_named_of_a_module_stands_in_it(page: str):
    """`features/canonical.retarget`."""
    missing = []
    for name in quoted(page):
        if found := re.fullmatch(r"([a-z_]\w*(?:/\w+)+)\.(\w+)", name):
            path, of_it = found.groups()
            if path.startswith(("data/", "metrics/", "profiles/")) or of_it in ("py", "md"):
                continue
            module = file_of(f"{path}.py")
            if module is None or of_it not in names_of(module):
                missing.append(name)
    assert missing == []


@pytest.mark.parametrize("page", PAGES)
def test_classes_and_their_parts_exist(page: str):
    """`ImageDecoder.skips`: one module has both."""
    named = [set(name.split(".")) for name in quoted(page) if re.fullmatch(r"[A-Z]\w*[a-z]\w*(\.\w+)?", name)]
    assert [names for names in named if not any(names <= names_of(module) for module in MODULES)] == []


@pytest.mark.parametrize("page", PAGES)
def test_other_names_occur_in_the_code(page: str):
    """`landmark_loss`, `au_f1`."""
    words = {word for path in [*MODULES, ROOT / "params.yaml"] for word in re.findall(r"\w+", path.read_text())}
    named = [name for name in quoted(page) if re.fullmatch(r"[a-z]+(_[a-z0-9]+)+", name)]
    assert [name for name in named if name not in {*words, *DVC["stages"]}] == []


@pytest.mark.parametrize("page", PAGES)
def test_parameters_exist(page: str):
    """`sinha.blink.steps`, `alignment.transform: per_frame`; and what `dvc exp run -S` sets."""
    groups = "|".join(PARAMS)
    named = [
        found[1]
        for name in quoted(page)
        if (found := re.match(rf"((?:{groups})(?:\.\w+)+)(?=$|[:=])", name))
        and not re.search(r"\.(py|json|csv|yaml|md|html)$", found[1])
    ]
    named += re.findall(r"-S ([\w.]+)=", text_of(page))
    assert [name for name in named if not is_parameter(name)] == []


@pytest.mark.parametrize("page", PAGES)
def test_stages_exist(page: str):
    """`sinha_blink`, `alignment@small`; what `dvc repro` is given, and what it says that it runs."""
    known, text, toy = {*STAGES, *SYSTEMS}, text_of(page), MADE_UP.get(page)
    # Neither half a name (`kesim_erzin_` …) nor one with a word that stands for any (`synthesis_NAME`) names a stage.
    named = [name for name in quoted(page) if name.startswith(OWN) and re.fullmatch(r"[a-z_]+[a-z]", name)]
    named += [name for name in quoted(page) if re.fullmatch(r"\w+@\w+", name)]
    named += re.findall(r"Running stage '([^']+)'", text)
    named += re.findall(r"dvc repro(?: --glob)? '?([a-z_*@]+)'?", text)
    named = [name for name in named if not (toy and toy in name.split("_"))]
    assert [name for name in named if not any(fnmatch(stage, name) for stage in known)] == []


@pytest.mark.parametrize("page", PAGES)
def test_metrics_and_losses_exist(page: str):
    """`metrics/silence.json`: some stage makes it."""
    made = set()
    for stage in (written.get("do", written) for written in DVC["stages"].values()):
        for kind in ("outs", "metrics", "plots"):
            made |= {next(iter(out)) if isinstance(out, dict) else out for out in stage.get(kind, [])}
    named = re.findall(r"\bmetrics/[\w/]+\.(?:json|csv)", text_of(page))
    assert [name for name in named if name not in made] == []


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str):
    """Links inside the project; of a heading, that the other page has it."""
    dead = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text_of(page)):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        there = (ROOT / page).parent / path if path else ROOT / page
        if not there.exists() or (anchor and anchor not in anchors(there)):
            dead.append(target)
    assert dead == []


def anchors(page: Path) -> set[str]:
    """Headings as GitHub makes anchors of them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
