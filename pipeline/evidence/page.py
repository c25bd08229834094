"""A paper's evidence as one page: its tables and figures as they are made here, beside those that the paper prints."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from tqdm import tqdm

from pipeline.errors import UserError
from pipeline.evidence.declaration import Evidence, Made
from pipeline.evidence.published import as_table, published
from pipeline.papers import registry
from pipeline.report.comparison import SIGNS
from pipeline.report.run import Run
from pipeline.results import about, title

HERE, TEMPLATE = Path(__file__).parent, "evidence.md.jinja"


def papers() -> list[str]:
    """Those whose folder declares evidence."""
    return [name for name in registry.PAPERS if (registry.HERE / name / "evidence.py").exists()]


def evidence_of(name: str) -> tuple[Evidence, ...]:
    """A paper's tables and figures."""
    return import_module(f"pipeline.papers.{name}.evidence").EVIDENCE


def evidence_page(name: str, run: Run, out: Path, others: Sequence[Run] = ()) -> str:
    """The page's text, in Markdown. Pictures are written in the folder `out`. others: runs on another corpus."""
    out.mkdir(parents=True, exist_ok=True)
    shown = []
    with tqdm(evidence_of(name), unit="figure", disable=None) as evidence:
        for one in evidence:
            evidence.set_description_str(f"{name}, {one.where}")
            shown.append(_shown(name, one, run, others, out))
    loader = FileSystemLoader([HERE, HERE.parent / "report"])
    environment = Environment(loader=loader, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)
    return environment.get_template(TEMPLATE).render(
        paper=registry.paper(name).title,
        command=f"python -m pipeline.paper {name}",
        run=title(run),
        about=list(about(run)),
        signs=SIGNS,
        evidence=shown,
        differs=published()[name]["differs"],
        missing=run.missing,
    )


def _shown(name: str, evidence: Evidence, run: Run, others: Sequence[Run], out: Path) -> dict[str, Any]:
    """A table or figure as the template shows it; where it cannot be made, why not."""
    try:
        made = _made(evidence, run, others, out)
    except UserError as error:
        tqdm.write(f"{evidence.where} is not made: {error}")
        made = Made(notes=(f"Not made: {error}.",))
    tables = published()[name]["tables"]
    return {"is": evidence, "made": made, "published": {where: as_table(tables[where]) for where in evidence.published}}


def _made(evidence: Evidence, run: Run, others: Sequence[Run], out: Path) -> Made:
    if not evidence.across:
        return evidence.make(run, out)
    if not others:
        raise UserError("it needs a run on another corpus: give its folder by --other")
    return evidence.make(run, others, out)
