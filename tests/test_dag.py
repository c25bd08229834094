"""dvc.yaml against the table that it is rendered from, and both against the code: what a stage lists is what it reads."""

import ast
import re
from pathlib import Path

import pytest
import yaml

from pipeline.code import closure
from pipeline.dag import TEMPLATES, Stage, render, stages
from pipeline.papers.registry import PAPERS, SYSTEMS
from pipeline.references import REFERENCES
from pipeline.report.pictures import COLOURS

ROOT = Path(__file__).parents[1]
STAGES = {stage.name: stage for stage in stages()}
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text())
# How many processes work, and where, has no influence on what they make; nor has what only forbids to begin.
WITHOUT_INFLUENCE = {"compute", "strict"}


def modules(stage: Stage) -> list[str]:
    return closure(f"stages/{stage.runs.split()[0]}.py", *stage.code)


def test_dvc_yaml_is_rendered_from_the_table():
    assert (ROOT / "dvc.yaml").read_text() == render(), "run `make dag`"


def test_it_says_what_the_table_says():
    """Read back by another parser than hands: the lists are whole, and nothing is left out by a wrong quote."""
    written = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    assert list(written) == list(STAGES)
    for name, stage in STAGES.items():
        if stage.foreach:
            assert written[name]["foreach"] == f"${{{stage.foreach}}}"
            written[name] = written[name]["do"]
        assert written[name]["deps"] == [*stage.reads, *modules(stage)]
        assert written[name].get("params", []) == list(stage.params)
        outs = [next(iter(out)) if isinstance(out, dict) else out for out in written[name].get("outs", [])]
        assert outs == [*stage.makes, *stage.keeps]


def test_what_a_stage_reads_some_stage_makes_or_somebody_gave():
    made = [path for stage in STAGES.values() for path in (*stage.makes, *stage.keeps)]
    made += [f"metrics/{name}" for stage in STAGES.values() for name in (*stage.metrics, *stage.losses)]
    for stage in STAGES.values():
        for path in stage.reads:
            given = path in ("${corpus.root}", "metrics/losses", TEMPLATES)
            # Which of `faces` a paper's are is no matter here; a folder may hold what is made for each of them.
            path = re.sub(r"\$\{\w+\.faces\}", "${key}", path)
            there = (path == other or path.startswith(f"{other}/") or other == f"{path}/${{key}}" for other in made)
            assert given or any(there), (stage.name, path)


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_that_writes_a_page_depends_on_its_templates(name):
    writes = "pipeline/report/page.py" in modules(STAGES[name])
    assert writes == (TEMPLATES in STAGES[name].reads)


def chains(module: str) -> set[str]:
    """What a module reads of the parameters: chains such as p.alignment.image_size of a variable called p."""
    read = set()
    for node in ast.walk(ast.parse((ROOT / module).read_text())):
        if isinstance(node, ast.Attribute):
            chain, inner = [node.attr], node.value
            while isinstance(inner, ast.Attribute):
                chain.append(inner.attr)
                inner = inner.value
            if isinstance(inner, ast.Name) and inner.id == "p" and chain[-1] in PARAMS:
                read.add(".".join(reversed(chain)))
    # Of p.a.b the walk finds p.a as well: the longest chains are what is read.
    return {key for key in read if not any(other.startswith(f"{key}.") for other in read)}


def within(key: str, group: str) -> bool:
    """Whether a key is of a group; ${key} stands for any."""
    return re.match(re.escape(group).replace(r"\$\{key\}", r"\w+") + r"(\.|$)", key) is not None


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_lists_the_parameters_it_reads(name):
    stage = STAGES[name]
    read = {key for module in modules(stage) for key in chains(module) if key.split(".")[0] not in WITHOUT_INFLUENCE}
    unlisted = {key for key in read if not any(within(key, listed) or within(listed, key) for listed in stage.params)}
    idle = {listed for listed in stage.params if not any(within(key, listed) or within(listed, key) for key in read)}
    assert not unlisted, "read, but not listed"
    assert not idle, "listed, but not read"


def test_every_parameter_is_read_by_some_stage():
    listed = {key for stage in STAGES.values() for key in stage.params} | WITHOUT_INFLUENCE

    def leaves(values, prefix=""):
        for key, value in values.items():
            yield from leaves(value, f"{prefix}{key}.") if isinstance(value, dict) else [f"{prefix}{key}"]

    assert not [key for key in leaves(PARAMS) if not any(within(key, group) for group in listed)]


def of_paper(name: str, paper: str) -> bool:
    """Whether a stage is a paper's own: its trainings, its systems up to detection, or what is measured of it alone."""
    systems = [system for system in SYSTEMS if system == paper or system.startswith(f"{paper}_")]
    own = {f"{part}_{system}" for part in ("system", "synthesis", "detection") for system in systems}
    measured = {"sinha": {"blinks"}, "chen_s": {"recognition"}}.get(paper, set())
    return name in own | measured or name.startswith(f"{paper}_")


@pytest.mark.parametrize("paper", PAPERS)
def test_a_papers_code_is_its_own_stages_matter(paper):
    """What changes in a paper's folder starts no stage of another's, and no measurement of all; the report has its colours."""
    for name, stage in STAGES.items():
        inside = [path for path in modules(stage) if path.startswith(f"pipeline/papers/{paper}/")]
        if name == "report":
            assert inside == [f"pipeline/papers/{paper}/paper.py"]
        elif not of_paper(name, paper):
            assert not inside, (name, inside)


def test_detection_depends_on_frames_alone():
    for system in SYSTEMS:
        assert STAGES[f"detection_{system}"].reads == (f"data/synthesis/{system}",)
    for system in ("references", *SYSTEMS):
        stage = STAGES[f"detection_{system}"]
        assert not [path for path in modules(stage) if path.startswith(("pipeline/papers", "pipeline/training"))]


def test_every_system_and_reference_goes_all_the_way():
    """One that is left out anywhere would vanish from the tables without a word."""
    for part, made in (("synthesis", {*SYSTEMS}), ("detection", {"references", *SYSTEMS})):
        assert {name.removeprefix(f"{part}_") for name in STAGES if name.startswith(f"{part}_")} == made
        folders = {*SYSTEMS, *(f"references/${{{paper}.faces}}" for paper in PAPERS)}
        assert {f"data/{part}/{folder}" for folder in folders} <= set(STAGES["evaluation"].reads)
    # Of the references, two are for the tables alone.
    assert set(COLOURS) == {*REFERENCES, *SYSTEMS} - {"ground_truth_reencoded", "ground_truth_delayed"}


@pytest.mark.parametrize("paper", PAPERS)
def test_a_papers_stages_see_its_own_faces_alone(paper):
    """So that another size of one paper starts no stage of another."""
    for name, stage in STAGES.items():
        seen = {found for path in (*stage.reads, stage.runs) for found in re.findall(r"\$\{(\w+)\.faces\}", path)}
        if of_paper(name, paper):
            assert seen <= {paper}, name
