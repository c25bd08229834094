"""Finished runs as one page, to be kept in git: `python -m pipeline.results RUN … --output docs/results.md`.

A RUN is a project's folder in which `dvc repro` has finished, `.` for this one. The page shows every test group's figures with
intervals, what the systems were trained on, and beside them what the papers publish; frames of the demo's people only. What a
run lacks is named. The same runs give the same bytes.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jinja2 import Environment, FileSystemLoader

from pipeline.errors import UserError, one_line_errors
from pipeline.evaluation.generated import compared
from pipeline.evidence.published import as_table, published
from pipeline.report.comparison import COLUMNS, SIGNS, breakdown, table
from pipeline.report.pictures import COLOURS, contact_sheet, stacked
from pipeline.report.run import Run, read_run

HERE = Path(__file__).parent / "report"
TEMPLATE = "results.md.jinja"
LAYOUTS = {
    "crema_d": "CREMA-D",
    "grid": "GRID",
    "tcd_timit": "TCD-TIMIT",
    "mead": "MEAD",
    "folder": "A folder of clips",
}
# Of the picture: every fifth frame, ten of them, each of 72 px; and what it may weigh, since git keeps it.
STEP, N_FRAMES, FRAME_SIZE, MOST_BYTES = 5, 10, 72, 300_000


def results_page(runs: list[Run], output: Path) -> str:
    """The page's text. Pictures of the demo's runs are written beside `output`."""
    demos = [run for run in runs if run.is_demo]
    pictures = {id(run): f"{output.stem}_demo{k or ''}.jpg" for k, run in enumerate(demos)}
    shown = [_shown(run, output, pictures.get(id(run))) for run in runs]
    environment = Environment(
        loader=FileSystemLoader(HERE), trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    return environment.get_template(TEMPLATE).render(
        command="python -m pipeline.results RUN …",
        runs=shown,
        samples=" or ".join(_all_values(runs, "evaluation.bootstrap_samples")),
        detection_sizes=_all_values(runs, "evaluation.detection_size"),
        signs=SIGNS,
        papers=published().values(),
        published={corpus: published_table(corpus) for corpus in ("GRID", "CREMA-D")},
    )


def _all_values(runs: list[Run], key: str) -> list[str]:
    return list(dict.fromkeys(f"{run.value(key):,}" for run in runs))


def _shown(run: Run, output: Path, picture: str | None) -> dict[str, Any]:
    """A run as the template shows it. picture: the name of the file that shows its faces; None where none may be shown."""
    missing = list(run.missing)
    sheet = None
    if picture:
        clips = sheet_clips(run)
        if clips:
            image = demo_sheet(run, clips)
            output.parent.mkdir(parents=True, exist_ok=True)
            output.with_name(picture).write_bytes(as_jpeg(image))
            sheet = {"path": picture, "clips": [f"{run.clips.loc[c, 'subject']}, {_split(run, c)}" for c in clips]}
        else:
            missing.append("No picture: data/synthesis holds no frames of the clips that were measured.")
    return {
        "title": title(run),
        "about": list(about(run)),
        "systems": systems_table(run),
        "groups": {f"{name} ({_clips(len(clips))})": table(run, clips) for name, clips in run.groups() if run.rows},
        "by_emotion": emotion_tables(run),
        "sheet": sheet,
        "missing": missing,
    }


def emotion_tables(run: Run) -> dict[str, list[dict[str, str]]]:
    """How lips fare by the clips' emotions, by the first test group's clips; none where they have one emotion alone."""
    _, clips = next(run.groups(), ("", []))
    if not run.rows or run.clips.loc[clips, "emotion"].nunique() < 2:
        return {}
    return {
        COLUMNS[key].metric.heading: breakdown(run, clips, "emotion", key) for key in ("lmd_share", "mouth_correlation")
    }


def title(run: Run) -> str:
    """Whose clips, how many people train, at what size."""
    corpus = "Demo corpus" if run.is_demo else LAYOUTS.get(run.value("corpus.layout"), run.value("corpus.layout"))
    trained = next((card["corpus"]["splits"].get("train") for card in run.cards.values()), None)
    people = f", {_people(trained['subjects'])}" if trained else ""
    return f"{corpus}{people}, {' and '.join(f'{size} px' for size in _sizes(run))}"


def about(run: Run) -> Iterator[str]:
    """What the run's systems learned from, in sentences."""
    names = {
        "train": "Training",
        "validation": "Validation",
        "test_sentences": "Unseen sentences",
        "test": "Unseen people",
    }
    card = next(iter(run.cards.values()), None)
    if card:
        splits = card["corpus"]["splits"]
        of_splits = (
            f"{label}: {_clips(splits[split]['clips'])} of {_people(splits[split]['subjects'])}"
            for split, label in names.items()
            if split in splits
        )
        yield f"{'; '.join(of_splits)}. Who tests: the list `{card['corpus']['test_subjects']}`."
    else:
        yield "No system has a card: what was trained is not known."


def systems_table(run: Run) -> list[dict[str, str]]:
    """A row per trained system: its crops and its networks."""
    return [
        {
            "system": f"`{system}`",
            "crops": f"{card['preprocessing']['image_size']} px, {card['preprocessing']['transform'].replace('_', ' ')}",
            "networks": "; ".join(_network(name, network) for name, network in card["networks"].items()),
        }
        for system, card in run.cards.items()
    ]


def _network(name: str, network: dict[str, Any]) -> str:
    """What a card says of a network's size and training."""
    width = network["settings"].get("width")
    parts = [
        *([f"width {width:g}"] if width is not None else []),
        f"epoch {network['epoch']} of {network['parameters']['epochs']}",
    ]
    if initial := network.get("initial"):
        before = initial["corpus"]["splits"]["train"]["subjects"]
        parts.append(
            f"from a system of {_people(before)} of {LAYOUTS.get(initial['corpus']['layout'], 'another corpus')}"
        )
    return f"{name.replace('_', ' ')}: {', '.join(parts)}"


def published_table(corpus: str) -> list[dict[str, str]]:
    """The papers' own figures on a corpus, as their tables of results have them."""
    rows = [
        {"paper": f"{paper['paper']}, {where}"} | {key: figure for key, figure in row.items() if key != "corpus"}
        for paper in published().values()
        for where in paper["results"]
        for row in paper["tables"][where]
        if row.get("corpus") == corpus
    ]
    return as_table(rows)


def sheet_clips(run: Run) -> list[str]:
    """Two clips whose frames are at hand: the first of unseen sentences and of unseen people, or two of either."""
    rows = [row for row in compared(run.folder / "data") if row.of in COLOURS] if run.rows else []
    if not rows:
        return []
    there = set(rows[0].frames(run.folder / "data"))
    by_split = [sorted(set(of_split.index) & there) for _, of_split in run.clips.groupby("split")]
    firsts = sorted(clips[0] for clips in by_split if clips)
    rest = sorted(clip for clips in by_split for clip in clips[1:])
    return sorted((firsts + rest)[:2], key=lambda clip: (run.clips.loc[clip, "split"] == "test", clip))


def demo_sheet(run: Run, clips: list[str]) -> np.ndarray:
    """Frames of the truth, the still photo and each system, a row each, for one clip below the other: uint8 (H, W, 3)."""
    data = run.folder / "data"
    rows = [row for row in compared(data) if row.of in COLOURS]
    sheets = [
        contact_sheet({row.name: row.frames(data)[clip] for row in rows}, STEP, N_FRAMES, FRAME_SIZE) for clip in clips
    ]
    return stacked(sheets)


def as_jpeg(image: np.ndarray) -> bytes:
    """A picture uint8 (H, W, 3) as the best JPEG of at most MOST_BYTES."""
    for quality in range(95, 5, -5):
        encoded = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
        if len(encoded) <= MOST_BYTES:
            break
    return encoded


def _sizes(run: Run) -> list[int]:
    """Of the crops that the run's systems see, in pixels."""
    return list(dict.fromkeys(run.value(f"faces.{row.faces}.image_size") for row in run.rows)) or [
        faces["image_size"] for faces in run.value("faces").values()
    ]


def _split(run: Run, clip: str) -> str:
    return {"test": "a person never seen", "test_sentences": "a sentence never seen"}[run.clips.loc[clip, "split"]]


def _people(n: int) -> str:
    return f"{n} person" if n == 1 else f"{n} people"


def _clips(n: int) -> str:
    return f"{n} clip" if n == 1 else f"{n} clips"


@one_line_errors
def main() -> None:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m pipeline.results", description=__doc__, formatter_class=raw)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="a project's folder with a finished run")
    parser.add_argument("--output", type=Path, default=Path("docs/results.md"), help="the page (default: %(default)s)")
    args = parser.parse_args()
    if args.output.is_dir():
        raise UserError(f"--output: {args.output} is a folder; name a file in it, such as {args.output / 'results.md'}")
    page = results_page([read_run(folder) for folder in args.runs], args.output)
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_text(page)
    print(f"{args.output}: {len(args.runs)} run{'s' * (len(args.runs) > 1)}")


if __name__ == "__main__":
    main()
