"""Which code made a thing: on a planted project, and what it says of this one."""

import ast
import json
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from pipeline import code
from pipeline.code import PACKAGES, closure, fingerprint
from pipeline.papers.registry import PAPERS, TRAININGS, module

ROOT = Path(__file__).parents[1]
PLANTED = {
    "stages/drawing.py": """
        import numpy
        from pipeline import shapes
        from pipeline.colours import mix

        def main():
            from pipeline.late import call  # when it is needed
            import pipeline.nested.deep as deep
            print(shapes.square(2), mix, call, deep)
        """,
    "pipeline/shapes.py": """
        \"\"\"Shapes.\"\"\"

        from pipeline.numbers import SIDES

        class Shape:
            \"\"\"A shape.\"\"\"

        def square(x, scale=2):
            \"\"\"Its area.\"\"\"
            # Sides are equal.
            return x * x * scale + SIDES
        """,
    "pipeline/numbers.py": "from pipeline import shapes\nSIDES = 4\n",  # in a circle
    "pipeline/colours.py": "from pipeline.errors import UserError\nfrom pipeline.papers.one import parameters\nmix = 1\n",
    "pipeline/late.py": "def call(): pass\n",
    "pipeline/nested/deep.py": "DEEP = 1\n",
    "pipeline/nested/__init__.py": "",
    "pipeline/errors.py": "from pipeline.unused import THING\nclass UserError(Exception): pass\n",
    "pipeline/papers/one/parameters.py": "LIMIT = 3\n",
    "pipeline/unused.py": "THING = 1\n",
}


@pytest.fixture
def planted(tmp_path, monkeypatch):
    """A project of those modules; planted(path, text) replaces one, planted(path, old, new) a part of it."""

    def forget():
        code._imports.cache_clear()
        code._meaning.cache_clear()

    def write(path, *change):
        file = tmp_path / path
        text = change[0] if len(change) == 1 else file.read_text().replace(*change)
        assert not file.exists() or len(change) == 1 or text != file.read_text()
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        forget()

    monkeypatch.setattr(code, "ROOT", tmp_path)
    for path, text in PLANTED.items():
        write(path, dedent(text))
    yield write
    forget()


def test_a_closure_is_all_that_is_imported(planted):
    """Directly or not, as a module or a name of one, in functions, in circles; not what is exempt, nor what that imports."""
    assert closure("stages/drawing.py") == [
        "pipeline/colours.py",
        "pipeline/late.py",
        "pipeline/nested/deep.py",
        "pipeline/numbers.py",
        "pipeline/shapes.py",
        "stages/drawing.py",
    ]
    assert closure("pipeline/late.py", "pipeline/nested/deep.py") == ["pipeline/late.py", "pipeline/nested/deep.py"]


SHAPES = "pipeline/shapes.py"
NOTHING = {
    "a comment": (SHAPES, "# Sides are equal.", "# All sides are."),
    "no comment": (SHAPES, "# Sides are equal.", ""),
    "the module's docstring": (SHAPES, '"""Shapes."""', '"""Forms,\nof all kinds."""'),
    "a class's docstring": (SHAPES, '"""A shape."""', '"""Any form."""'),
    "a function's docstring": (SHAPES, '"""Its area."""', '"""Its size: # of units."""'),
    "a docstring less": (SHAPES, '"""Its area."""\n', "\n"),
    "layout": (SHAPES, "x * x * scale + SIDES", "(\n        x*x * scale\n        + SIDES\n    )"),
    "quotes and empty lines": (SHAPES, "def square", "\n\n\ndef square"),
    "a module that is not imported": ("pipeline/unused.py", "THING = 2\n"),
    "errors": ("pipeline/errors.py", "class UserError(ValueError): pass\n"),
    "a paper's parameters": ("pipeline/papers/one/parameters.py", "LIMIT = 4\n"),
}


@pytest.mark.parametrize("change", NOTHING)
def test_what_does_nothing_changes_no_fingerprint(planted, change):
    before = fingerprint("stages/drawing.py")
    planted(*NOTHING[change])
    assert fingerprint("stages/drawing.py") == before


SOMETHING = {
    "a constant far away": ("pipeline/numbers.py", "SIDES = 4", "SIDES = 5"),
    "a constant that a function imports": ("pipeline/nested/deep.py", "DEEP = 1", "DEEP = 2"),
    "a default": (SHAPES, "scale=2", "scale=3"),
    "a name": (SHAPES, "class Shape", "class Form"),
    "an order": (SHAPES, "x * x * scale + SIDES", "SIDES + x * x * scale"),
    "a string that is no docstring": (SHAPES, "return x", 'print("4")\n    return x'),
    "an import": ("pipeline/late.py", "from pipeline.unused import THING\ndef call(): pass\n"),
    "the stage itself": ("stages/drawing.py", "square(2)", "square(3)"),
}


@pytest.mark.parametrize("change", SOMETHING)
def test_what_does_something_changes_the_fingerprint(planted, change):
    before = fingerprint("stages/drawing.py")
    planted(*SOMETHING[change])
    assert fingerprint("stages/drawing.py") != before


def test_a_fingerprint_knows_which_module_says_what(planted):
    """Two modules that change places are another project."""
    planted("pipeline/late.py", "A = 1\n")
    planted("pipeline/nested/deep.py", "A = 2\n")
    before = fingerprint("stages/drawing.py")
    planted("pipeline/late.py", "A = 2\n")
    planted("pipeline/nested/deep.py", "A = 1\n")
    assert fingerprint("stages/drawing.py") != before
    planted("pipeline/nested/deep.py", "A = 2\n")
    assert fingerprint("pipeline/late.py") != fingerprint("pipeline/nested/deep.py")


def test_a_fingerprint_depends_on_what_is_asked_for_only(planted):
    assert fingerprint("pipeline/late.py") != fingerprint("pipeline/nested/deep.py")
    both = fingerprint("pipeline/late.py", "pipeline/nested/deep.py")
    assert fingerprint("pipeline/nested/deep.py", "pipeline/late.py") == both != fingerprint("pipeline/late.py")
    assert len(both) == 64


# What the ledger takes for granted, of this project.

MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


# Papers are looked up by name: what a stage depends on by that, pipeline/dag.py and stages/training.py name. Workers import the
# stage that called them.
BY_NAME = {
    *("pipeline/papers/registry.py", "pipeline/systems/system.py", "pipeline/corpus/workers.py"),
    *("pipeline/evidence/page.py", "stages/judge.py", "stages/training.py"),
}


def test_no_import_escapes():
    """None is relative, and none is of a name that is put together, but for those that are known."""
    by_name = set()
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            assert not (isinstance(node, ast.ImportFrom) and node.level), path
            named = getattr(node, "id", getattr(node, "attr", None))
            if named in ("import_module", "__import__"):
                by_name.add(str(path.relative_to(ROOT)))
    assert by_name <= BY_NAME


def test_packages_do_nothing():
    """Their `__init__` files are in no closure: they hold docstrings, and the first one names of what stands elsewhere."""
    for path in MODULES:
        if path.name == "__init__.py":
            rest = [node for node in ast.parse(path.read_text()).body if not isinstance(node, ast.Expr)]
            names = [getattr(node, "name", None) or node.targets[0].id for node in rest]
            assert names == (["__all__", "__getattr__"] if path == ROOT / "pipeline/__init__.py" else []), path


def test_what_is_exempt_is_there():
    """A module that is renamed must not fall out of the list unseen."""
    assert all((ROOT / path).is_file() for path in code.EXEMPT)


USES = {f"{paper}/use": f"pipeline.papers.{paper}.use" for paper in PAPERS}
RECIPES = {f"{paper}/{training}": module(paper, training) for paper, training in TRAININGS}


def others(paper, modules):
    """Those of the modules' files that are in another paper's folder."""
    return [path for path in modules if path.startswith(tuple(f"pipeline/papers/{p}/" for p in PAPERS if p != paper))]


@pytest.mark.parametrize("name", [*USES, *RECIPES])
def test_a_papers_code_is_its_own(name):
    """Whatever changes in one paper, no other is trained or drawn anew."""
    where = (USES | RECIPES)[name].replace(".", "/") + ".py"
    modules = closure(where)
    assert where in modules and others(name.partition("/")[0], modules) == []


@pytest.fixture(scope="module")
def loaded():
    """The project's modules that are loaded with each paper's use and recipes, in a process that forgets them in between."""
    names = {paper: [USES[f"{paper}/use"]] for paper in PAPERS}
    for paper, training in TRAININGS:
        names[paper].append(module(paper, training))
    load = f"""
import json, sys
from importlib import import_module
loaded = {{}}
for paper, names in {names!r}.items():
    for name in names:
        import_module(name)
    loaded[paper] = [name for name in sys.modules if name.startswith("pipeline.")]
    for name in loaded[paper]:
        del sys.modules[name]
print(json.dumps(loaded))
"""
    done = subprocess.run([sys.executable, "-c", load], check=True, cwd=ROOT, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("paper", PAPERS)
def test_a_paper_loads_no_other(loaded, paper):
    """Of the others, their declarations and parameters at most."""
    modules = [name.replace(".", "/") + ".py" for name in loaded[paper]]
    assert f"pipeline/papers/{paper}/use.py" in modules
    assert [path for path in others(paper, modules) if not path.endswith(("/paper.py", "/parameters.py"))] == []
