"""README.md and docs/*.md against the project: what they name is there, commands can be given so, links lead somewhere.

LICENSE and CITATION.cff beside them. The README's commands themselves are run in tests/test_pipeline.py.
"""

import ast
import re
import shlex
from fnmatch import fnmatch
from functools import cache
from itertools import pairwise
from pathlib import Path

import networkx as nx
import pytest
import yaml
from dvc.cli.parser import get_main_parser
from PIL import Image

from pipeline.papers.registry import PAPERS, SYSTEMS, paper

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
# `features/canonical.retarget`, neither data nor a file.
OF_A_MODULE = r"(?!data/|metrics/|profiles/)([a-z_]\w*(?:/\w+)+)\.(?!py$|md$|webp$)(\w+)"
# How names of stages begin, and of systems: one that begins so has to be one of either.
OWN = (*(f"{paper}_" for paper in PAPERS), "system_", "synthesis_", "detection_")


def text_of(page: str) -> str:
    """Without fenced blocks of code: what Python that the page shows names need not be in the project. Commands and what they
    print stay."""
    return re.sub(r"^```(python|yaml|mermaid)$.*?^```$", "", (ROOT / page).read_text(), flags=re.DOTALL | re.MULTILINE)


def blocks(page: str, language: str) -> list[str]:
    """The page's fenced blocks in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", (ROOT / page).read_text(), flags=re.DOTALL | re.MULTILINE)


def command_lines(page: str) -> list[str]:
    """The lines of the page's command blocks, and those that it shows with what they print."""
    lines = "".join(blocks(page, "sh")).splitlines()
    return lines + re.findall(r"^(?:    |\$ |    \$ )((?:make|dvc|python) .*)$", text_of(page), flags=re.MULTILINE)


def quoted(page: str) -> list[str]:
    """What stands in backticks, outside of fenced blocks, whose own backticks would pair with others."""
    return re.findall(
        r"`([^`]+)`", re.sub(r"^```.*?^```$", "", (ROOT / page).read_text(), flags=re.DOTALL | re.MULTILINE)
    )


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
    """A file, from the root or from pipeline/; of a package that is a command, the file that is run."""
    names = (path, f"pipeline/{path}", path.replace(".py", "/__main__.py"))
    return next((ROOT / name for name in names if (ROOT / name).exists()), None)


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
    """`training/runner.py`, from the root or from pipeline/; `python -m pipeline.generate`, `python -m pipeline.app`."""
    paths = [path for path in quoted(page) if re.fullmatch(r"[\w./]+/\w+\.py", path)]
    paths += [f"{name.replace('.', '/')}.py" for name in re.findall(r"python -m (\w+(?:\.\w+)+)", text_of(page))]
    assert [path for path in paths if not file_of(path)] == []


def as_globs(names: set[str]) -> set[str]:
    """Names of DVC's dependencies and outputs; * for what ${…} stands for."""
    return {re.sub(r"\$\{[\w.]+\}", "*", name) for name in names}


def outputs(stage: dict) -> set[str]:
    """What a stage of dvc.yaml makes, metrics and plots among it."""
    outs = (out for kind in ("outs", "metrics", "plots") for out in stage.get(kind, []))
    return as_globs({out if isinstance(out, str) else next(iter(out)) for out in outs})


@cache
def made() -> set[str]:
    """What all stages make."""
    return {out for stage in DVC["stages"].values() for out in outputs(stage.get("do", stage))}


# In data/, beside what stages make: the example, what any stage rejected, what is under way, the papers' evidence.
ALSO_IN_DATA = ("data/example/*", "data/**/rejected.parquet", "data/.work/*", "data/papers/*")


def is_there(path: str) -> bool:
    """Whether the project has the file or folder; below data/, whether a stage makes it, something in it, or what it lies in.

    A part in capitals stands for any.
    """
    path = re.sub(r"\b[A-Z]+\b(?!\.)", "*", path)
    if path == "dvc.lock":
        return True  # what `dvc repro` leaves
    if not path.startswith("data/") or path == "data/":
        return any(ROOT.glob(path))
    parts = path.rstrip("/").split("/")
    within = ["/".join(parts[:n]) for n in range(2, len(parts) + 1)]
    known = (*made(), *ALSO_IN_DATA)
    return any(
        fnmatch(out, place) or fnmatch(place, out) or fnmatch(out, f"{within[-1]}/*")
        for out in known
        for place in within
    )


@pytest.mark.parametrize("page", PAGES)
def test_files_and_folders_exist(page: str):
    """`profiles/ablations/`, `dvc.lock`, `data/systems/NAME`."""
    tops, toy = {path.name for path in ROOT.iterdir()} | {"dvc.lock"}, MADE_UP.get(page)
    named = [path for path in quoted(page) if path.split("/")[0] in tops and re.fullmatch(r"[\w./*-]+", path)]
    named = [path for path in named if not re.fullmatch(OF_A_MODULE, path)]
    assert [path for path in named if not is_there(path) and toy not in path.split("/")] == []


@pytest.mark.parametrize("page", PAGES)
def test_make_has_the_targets(page: str):
    """`make repro`."""
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    named = [found[1] for text in (*quoted(page), *command_lines(page)) if (found := re.match(r"make ([a-z]+)", text))]
    assert [name for name in named if name not in targets] == []


@pytest.mark.parametrize("page", PAGES)
def test_modules_take_the_options(page: str):
    """`python -m pipeline.generate --crop`."""
    missing = []
    for line in (*quoted(page), *command_lines(page)):
        if found := re.match(r"python -m (\w+(?:\.\w+)+)(.*)", line):
            source = file_of(f"{found[1].replace('.', '/')}.py").read_text()
            options = {word for word in shlex.split(found[2], comments=True) if word.startswith("--")} - {"--help"}
            missing += [f"{found[1]} {option}" for option in options if f'"{option}"' not in source]
    assert missing == []


@pytest.mark.parametrize("page", PAGES)
def test_dvc_understands_its_commands(page: str):
    """By DVC's own parser, which ends the test where it does not."""
    for line in command_lines(page):
        if line.startswith("dvc "):
            get_main_parser().parse_args(shlex.split(line, comments=True)[1:])


@pytest.mark.parametrize("page", [page for page in PAGES if page not in MADE_UP])
def test_parameters_that_are_shown_exist(page: str):
    """A piece of params.yaml: its keys are there, but for the names of crops, which are the user's own."""
    shown = [key for block in blocks(page, "yaml") for key in keys(yaml.safe_load(block))]
    shown = [re.sub(r"^faces\.\w+", "faces.small", key) for key in shown]
    assert [key for key in shown if key not in KEYS and key != "faces.small.template"] == []


@pytest.mark.parametrize("page", PAGES)
def test_what_is_named_of_a_module_stands_in_it(page: str):
    """`features/canonical.retarget`."""
    missing = []
    for name in quoted(page):
        if found := re.fullmatch(OF_A_MODULE, name):
            path, of_it = found.groups()
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
    named = re.findall(r"\bmetrics/[\w/]+\.(?:json|csv)", text_of(page))
    assert [name for name in named if name not in made()] == []


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


def test_the_index_lists_every_page():
    listed = re.findall(r"^\| \[[\w-]+\.md\]\(([\w-]+\.md)\) \| \w", text_of("docs/index.md"), flags=re.MULTILINE)
    there = [page.removeprefix("docs/") for page in PAGES if page not in ("README.md", "docs/index.md")]
    assert sorted(listed) == sorted(there)


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


def test_the_picture_moves_and_is_small():
    path = ROOT / "docs/demo.webp"
    with Image.open(path) as picture:
        assert picture.n_frames > 50 and picture.size == (360, 288)
    assert path.stat().st_size < 1_000_000


def box_of(stage: str) -> str:
    """The box of the README's picture in which a stage of dvc.yaml is."""
    if stage.startswith(tuple(f"{name}_" for name in PAPERS)):
        return "training"
    kind = stage.split("_")[0]
    return kind if kind in ("system", "synthesis", "detection") else stage


def arrows_of(mermaid: str) -> set[tuple[str, str]]:
    """The arrows of a flowchart in Mermaid, `a & b["label"] --> c`."""
    found = set()
    for line in re.sub(r'\["[^"]+"\]', "", mermaid).splitlines()[1:]:
        groups = [group.strip().split(" & ") for group in line.split("-->")]
        found |= {(a, b) for before, after in pairwise(groups) for a in before for b in after}
    return found


def test_the_picture_of_the_dag_is_the_dag():
    """Its boxes and arrows are those of dvc.yaml, without the arrows that follow from others."""
    written = {name: stage.get("do", stage) for name, stage in DVC["stages"].items()}
    makers = [(out, box_of(name)) for name, stage in written.items() for out in outputs(stage)]
    dag = nx.DiGraph()
    for name, stage in written.items():
        for needed in as_globs({*stage["deps"]} - {"${corpus.root}"}):
            reads = {box for out, box in makers if f"{out}/".startswith(f"{needed}/") or needed.startswith(f"{out}/")}
            dag.add_edges_from((box, box_of(name)) for box in reads - {box_of(name)})
    dag.add_edge("demo_corpus", "clips")  # corpus.root, as committed
    (drawn,) = blocks("README.md", "mermaid")
    assert arrows_of(drawn) == set(nx.transitive_reduction(dag).edges)


CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text())
# Of https://citation-file-format.github.io 1.2.0: what a file needs, and what each reference does.
NEEDED = {"cff-version", "message", "title", "authors"}
NEEDED_OF_A_REFERENCE = {"type", "title", "authors", "year"}


def test_the_citation_has_what_its_format_needs():
    assert set(CITATION) >= NEEDED and CITATION["cff-version"] == "1.2.0" and CITATION["license"] == "MIT"
    for reference in CITATION["references"]:
        assert set(reference) >= NEEDED_OF_A_REFERENCE
        assert all(set(author) in ({"family-names", "given-names"}, {"name"}) for author in reference["authors"])


@pytest.mark.parametrize("name", PAPERS)
def test_the_citation_names_the_paper(name: str):
    """By the title and the year that its folder declares."""
    declared = paper(name)
    title = re.search(r'"(.+)"', declared.title)[1]
    found = [reference for reference in CITATION["references"] if reference["title"] == title]
    assert [(reference["year"], reference["authors"][0]["family-names"] in declared.title) for reference in found] == [
        (declared.year, True)
    ]


def test_the_licence_is_the_one_that_the_citation_names():
    text = (ROOT / "LICENSE").read_text()
    assert text.startswith("MIT License") and "the project's authors" in text and "WITHOUT WARRANTY OF ANY KIND" in text
