"""Which code made a thing: the one ledger behind DVC's dependencies, the keys of trainings, and those of single clips.

`closure` names the modules, `fingerprint` says whether they still do the same. Comments, docstrings and layout do nothing, and
are left out: a stage that DVC starts again because of one finds that it has done its work.
"""

import ast
import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("pipeline", "stages")
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
# These read, look up and complain, and have no influence on what is made: parameters are dependencies of their own, and what is
# looked up is named as one.
EXEMPT = frozenset(
    f"pipeline/{name}.py" for name in ("code", "errors", "parameter_types", "parameters", "papers/registry")
)


def closure(*modules: str) -> list[str]:
    """The modules, as files such as `stages/clips.py`, and all of the project's that they import, directly or not: sorted.

    Imports inside functions count. `__init__` files do not: they hold docstrings, and names of what stands elsewhere.
    """
    found, waiting = set(), set(modules)
    while waiting:
        module = waiting.pop()
        found.add(module)
        waiting |= {path for path in _imports(module) - found if not _is_exempt(path)}
    return sorted(found)


def fingerprint(*modules: str) -> str:
    """SHA-256 of what the modules and all that they import do: of their syntax trees, without comments and docstrings."""
    hashed = hashlib.sha256()
    for module in closure(*modules):
        hashed.update(module.encode() + b"\0" + _meaning(module).encode() + b"\0")
    return hashed.hexdigest()


def _is_exempt(module: str) -> bool:
    return module in EXEMPT or (module.startswith("pipeline/papers/") and module.endswith("/parameters.py"))


@cache
def _imports(module: str) -> frozenset[str]:
    """The project's modules that a module's own text imports."""
    names = [name for node in ast.walk(_tree(module)) for name in _names(node) if name.split(".")[0] in PACKAGES]
    paths = {name.replace(".", "/") + ".py" for name in names}
    return frozenset(path for path in paths if (ROOT / path).is_file())


def _names(node: ast.AST) -> Iterable[str]:
    """What an import statement may mean: of `from a import b`, the module a, and a.b, in case that it is one."""
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        return [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return [alias.name for alias in node.names] if isinstance(node, ast.Import) else []


@cache
def _meaning(module: str) -> str:
    """The module's code without comments and docstrings."""
    tree = _tree(module)
    for node in ast.walk(tree):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)


def _tree(module: str) -> ast.Module:
    return ast.parse((ROOT / module).read_text())
