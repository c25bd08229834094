"""Run the pipeline's stages side by side, on all cores.

It does what `dvc repro` does, sooner: stages whose inputs are ready run at the same time, on one core each; one that is
alone has all cores. DVC decides what has changed, runs each stage and records it, so that a `dvc repro` finds nothing
left to do.
"""

import argparse
import difflib
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from graphlib import TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import psutil
from dvc.config import Config
from dvc.exceptions import DvcException, PrettyDvcException
from dvc.output import Output
from dvc.repo import Repo
from dvc.scm import SCMError
from dvc.stage import Stage
from tqdm import tqdm

from pipeline.errors import UserError, one_line_errors

LOGS = Path("data/.work/logs")
# The libraries that count the machine's cores, not those that they may use.
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
# What DVC says where another of its processes has what this one needs; how often a stage is then tried, and how long after.
LOCKED = re.compile(r"^ERROR: .*(Unable to acquire lock|is busy, it is being blocked by)", re.MULTILINE)
LOCK_TRIES, LOCK_SECONDS = 60, 0.5
# What DVC writes into a log beside the stage's own output.
DVC_LINE = re.compile(r"Running stage '|> |ERROR: ")
POLL_SECONDS = 0.1
# By what this command is ended: Ctrl-C, `kill`, a closed terminal. What a stage may then take to end, and DVC to record.
ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
STAGE_SECONDS, DVC_SECONDS = 10, 60
_interrupted = threading.Event()

Needs = dict[Stage, set[Stage]]


class Run(NamedTuple):
    """A stage under way."""

    process: subprocess.Popen
    cores: list[int]
    log: Path
    started: float
    tries: int


@dataclass
class Outcome:
    """What became of the stages; those that are in none of these were not run."""

    up_to_date: list[Stage] = field(default_factory=list)
    done: list[Stage] = field(default_factory=list)
    failed: dict[Stage, Path] = field(default_factory=dict)  # with their logs


def load(targets: list[str]) -> Needs:
    """Each stage with those that it needs, in the order of dvc.yaml: the targets and all behind them; without targets, all.

    Raises UserError where DVC cannot read the pipeline, no stage is named so, or an input is missing that no stage makes.
    """
    try:
        repo = opened()
        with repo.lock:  # another process may be writing dvc.lock
            graph = repo.index.graph
            needs = select({stage: set(graph.successors(stage)) for stage in graph}, targets)
            check_inputs(repo, needs)
    except DvcException as error:
        where = "; `dvc status` shows where" if isinstance(error, PrettyDvcException) else ""
        raise UserError(" ".join(str(error).split()) + where) from None
    return needs


def opened() -> Repo:
    """DVC's repository here. Where git has none, as in a downloaded archive, DVC's configuration is told to do without."""
    try:
        return Repo()
    except SCMError:
        with Config(Repo.find_dvc_dir()).edit() as config:
            config["core"]["no_scm"] = True
    print(
        "note: no git repository here; DVC does without (`dvc exp` needs `git init` and `dvc config core.no_scm false`)"
    )
    return Repo()


def select(needs: Needs, targets: list[str]) -> Needs:
    """The part of the pipeline that makes the targets."""
    if not targets:
        return needs
    wanted: set[Stage] = set()
    waiting = [stage for target in targets for stage in named(target, needs)]
    while waiting:
        stage = waiting.pop()
        if stage not in wanted:
            wanted.add(stage)
            waiting.extend(needs[stage])
    return {stage: needs[stage] for stage in needs if stage in wanted}


def named(target: str, stages: Iterable[Stage]) -> list[Stage]:
    """The stage of this name, or all that a pattern such as `synthesis_*` fits. Raises UserError where there is none."""
    names = {stage.addressing: stage for stage in stages}
    found = [stage for name, stage in names.items() if fnmatchcase(name, target)]
    if not found:
        close = difflib.get_close_matches(target, names, n=1)
        hint = f"did you mean {close[0]}?" if close else "`dvc stage list` names them all"
        raise UserError(f"dvc.yaml has no stage {target!r}; {hint}")
    return found


def check_inputs(repo: Repo, stages: Iterable[Stage]) -> None:
    """Raises UserError for an input that does not exist and that no stage makes."""
    made = repo.index.outs_trie
    for stage in stages:
        for item in stage.deps:
            path = item.fs.parts(item.fs_path)
            if not (item.exists or made.has_node(path) or made.shortest_prefix(path)):
                raise UserError(f"stage {stage.addressing} needs {item}, which does not exist and which no stage makes")


def reproduce(needs: Needs) -> Outcome:
    """Run the stages that have changed, each once all that it needs is made; not those that need one that failed.

    However this ends, it leaves no stage running.
    """
    cores, behind = sorted(os.sched_getaffinity(0)), chains(needs)
    outcome = Outcome()
    ready: list[Stage] = []
    running: dict[Stage, Run] = {}
    order = TopologicalSorter(needs)
    order.prepare()
    with tqdm(total=len(needs), bar_format="{desc}", dynamic_ncols=True, leave=False, disable=None) as bar:
        try:
            while order.is_active():
                bar.set_description_str("looking for what has changed")
                changed, unchanged = sort_out(order)
                outcome.up_to_date += unchanged
                # Among equals this keeps the order of dvc.yaml.
                ready = sorted(ready + changed, key=lambda stage: -behind[stage])
                launch(ready, running, cores)
                if not running:
                    break  # what is left needs a stage that failed
                for stage in ended(running, bar):
                    run = running.pop(stage)
                    if met_lock(run):
                        time.sleep(LOCK_SECONDS)
                        running[stage] = start(stage, run.cores, run.tries + 1)
                    elif note(stage, run, outcome, len(needs)):
                        order.done(stage)
        finally:
            if running:
                bar.set_description_str("ending the stages under way")
            stop([run.process for run in running.values()])
    return outcome


def chains(needs: Needs) -> dict[Stage, int]:
    """How many stages, one after the other, wait for each: the longest chain behind it."""
    behind = dict.fromkeys(needs, 0)
    for stage in reversed(list(TopologicalSorter(needs).static_order())):
        for need in needs[stage]:
            behind[need] = max(behind[need], behind[stage] + 1)
    return behind


def sort_out(order: TopologicalSorter) -> tuple[list[Stage], list[Stage]]:
    """The stages whose turn has come: those that have to run, and those that are up to date, and with that done."""
    changed: list[Stage] = []
    unchanged: list[Stage] = []
    known: dict[tuple, bool] = {}
    while turn := order.get_ready():
        for stage in turn:
            if is_changed(stage, known):
                changed.append(stage)
            else:
                unchanged.append(stage)
                order.done(stage)
    return changed, unchanged


def is_changed(stage: Stage, known: dict[tuple, bool]) -> bool:
    """Whether DVC would run the stage, all that it needs being made. Asks its files one by one, as `dvc status` does.

    known: the answers so far, which this adds to. Stages share most of their files.
    """

    def differs(item: Output) -> bool:
        key = (type(item), item.fs_path, repr(item.hash_info), *getattr(item, "params", ()))
        if key not in known:
            known[key] = bool(item.status())
        return known[key]

    if stage.changed_stage() or stage.is_callback or stage.always_changed:
        return True
    try:
        return any(map(differs, (*stage.deps, *stage.outs)))
    except (DvcException, OSError):
        return True  # a file cannot be read: the stage's run says so, in its log


def launch(ready: list[Stage], running: dict[Stage, Run], cores: list[int]) -> None:
    """Move stages from `ready` to `running`, as many as there are free cores; one that is alone gets all cores."""
    if len(ready) == 1 and not running:
        stage = ready.pop()
        running[stage] = start(stage, cores)
    taken = {core for run in running.values() for core in run.cores}
    for core in sorted(set(cores) - taken)[: len(ready)]:
        stage = ready.pop(0)
        running[stage] = start(stage, [core])


def start(stage: Stage, cores: list[int], tries: int = 1) -> Run:
    """Have DVC run and record the stage on these cores, with all output in a log."""
    log = LOGS / f"{stage.addressing.replace('/', '_')}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    # DVC frees its lock while the stage works, and needs it again to record the work: giving up then would lose it.
    command = [sys.executable, "-m", "dvc", "--wait-for-lock", "repro", "--single-item", stage.addressing]
    environment = os.environ | dict.fromkeys(THREADS, str(len(cores)))
    environment["PYTHONUNBUFFERED"] = "1"  # the log can be followed, and its lines are in order
    with log.open("w") as output, pinned(cores):
        process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches this process alone, and `stop` ends the others
        )
    return Run(process, cores, log, time.monotonic(), tries)


@contextmanager
def pinned(cores: list[int]) -> Iterator[None]:
    """Hold this thread, and with it the processes that it starts, to these cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def ended(running: dict[Stage, Run], bar: tqdm) -> list[Stage]:
    """Wait until a stage has ended; those that have."""
    while not (stages := [stage for stage, run in running.items() if run.process.poll() is not None]):
        if _interrupted.is_set():
            raise KeyboardInterrupt  # once more: a library swallowed it
        show(running, bar)
        time.sleep(POLL_SECONDS)
    return stages


def show(running: dict[Stage, Run], bar: tqdm) -> None:
    """Say in the terminal's last line what runs, and for how long."""
    now = time.monotonic()
    stages = (f"{stage.addressing} {now - run.started:.0f} s" for stage, run in running.items())
    line = f"running {', '.join(stages)}"
    if line != bar.desc:
        bar.set_description_str(line)


def met_lock(run: Run) -> bool:
    """Whether it failed for no other reason than that another DVC process was in its way, and may be tried again."""
    return bool(run.process.returncode and run.tries < LOCK_TRIES and LOCKED.search(read(run.log)))


def note(stage: Stage, run: Run, outcome: Outcome, n_stages: int) -> bool:
    """Add a stage that has ended to the outcome, with a line on the terminal. Whether it succeeded."""
    succeeded = run.process.returncode == 0
    if succeeded:
        outcome.done.append(stage)
    else:
        outcome.failed[stage] = run.log
    n_settled = len(outcome.up_to_date) + len(outcome.done) + len(outcome.failed)
    seconds = f"{time.monotonic() - run.started:.0f} s"
    tqdm.write(f"[{n_settled}/{n_stages}] {stage.addressing}: {seconds if succeeded else f'failed after {seconds}'}")
    return succeeded


def stop(processes: list[subprocess.Popen]) -> None:
    """Interrupt the commands that these DVC processes run, kill those that do not end, and let DVC end by itself.

    DVC is not interrupted: it frees its locks, and may be writing dvc.lock, which half written would be worth nothing.
    """
    if processes:
        for number in ENDINGS:
            signal.signal(number, signal.SIG_IGN)  # so that a second Ctrl-C does not undo this care
    began = time.monotonic()
    interrupted: set[psutil.Process] = set()
    while any([process.poll() is None for process in processes]) and time.monotonic() < began + DVC_SECONDS:
        for command in commands(processes):
            with suppress(psutil.NoSuchProcess):
                if command not in interrupted:
                    command.send_signal(signal.SIGINT)
                    interrupted.add(command)
                elif time.monotonic() > began + STAGE_SECONDS:
                    command.kill()
        time.sleep(POLL_SECONDS)
    for process in processes:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # what has been left of its group
        process.wait()


def commands(processes: list[subprocess.Popen]) -> set[psutil.Process]:
    """All processes that these have started."""
    found: set[psutil.Process] = set()
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            found.update(psutil.Process(process.pid).children(recursive=True))
    return found


def report(needs: Needs, outcome: Outcome, seconds: float) -> None:
    """Say what was done, and for each stage that failed why and what it stopped. Raises UserError if one failed."""
    print(
        f"ran {len(outcome.done)} of {len(needs)} stages in {seconds:.0f} s; {len(outcome.up_to_date)} were up to date"
    )
    if not outcome.failed:
        return
    stopped = consequences(needs, outcome.failed)
    for stage, log in outcome.failed.items():
        print(f"{stage.addressing} failed, see {log}:", *reasons(read(log)), sep="\n    ", file=sys.stderr)
        if stopped[stage]:
            names = ", ".join(other.addressing for other in stopped[stage])
            print(f"    not run, because {stage.addressing} failed: {names}", file=sys.stderr)
    n_stopped = sum(map(len, stopped.values()))
    raise UserError(f"{len(outcome.failed)} of {len(needs)} stages failed, {n_stopped} were not run because of that")


def consequences(needs: Needs, failed: Iterable[Stage]) -> dict[Stage, list[Stage]]:
    """For each stage that failed, those that need it, directly or not; one that needs several is with one of them."""
    stopped: dict[Stage, list[Stage]] = {stage: [] for stage in failed}
    cause = {stage: stage for stage in stopped}
    for stage in TopologicalSorter(needs).static_order():
        culprit = next((cause[need] for need in needs[stage] if need in cause), None)
        if culprit is not None:
            cause[stage] = culprit
            stopped[culprit].append(stage)
    return stopped


def reasons(log: str) -> list[str]:
    """Why a stage failed: its own `error: …`; without one, its last line of output and what DVC says."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    if errors := [line for line in lines if line.startswith("error: ")]:
        return errors[-1:]
    own = [line for line in lines if not DVC_LINE.match(line)]
    return own[-1:] + [line for line in lines if line.startswith("ERROR: ")][-1:]


def read(log: Path) -> str:
    """Its text; what is not UTF-8 in it is replaced."""
    return log.read_text("utf-8", errors="replace")


def interruptible() -> None:
    """Have all that ends this command raise KeyboardInterrupt, as Ctrl-C does, or the stages would go on by themselves."""

    def interrupt(*_: object) -> None:
        _interrupted.set()
        raise KeyboardInterrupt

    for number in ENDINGS:
        if signal.getsignal(number) != signal.SIG_IGN:  # as `nohup` has one
            signal.signal(number, interrupt)


@one_line_errors
def main() -> None:
    parser = argparse.ArgumentParser(
        "python -m pipeline.repro",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"Each stage's output goes to {LOGS}/STAGE.log. A stage that fails stops only those that need it.\n"
        "After Ctrl-C, or once the mistake is mended, the same command goes on: stages that are done are not run again.\n\n"
        "examples:\n"
        "  python -m pipeline.repro                   everything\n"
        "  python -m pipeline.repro report            one stage and all that it needs\n"
        "  python -m pipeline.repro 'synthesis_*'     all stages of these names, and all that they need\n"
        "  taskset -c 0-3 python -m pipeline.repro    on four cores, not all",
    )
    parser.add_argument(
        "stages", nargs="*", metavar="STAGE", help="a name in dvc.yaml, or a pattern; `dvc stage list` names them all"
    )
    targets = parser.parse_args().stages
    started = time.monotonic()
    sys.stdout.reconfigure(line_buffering=True)  # a stage's line comes when it is done, into a file or pipe as well
    logging.getLogger("dvc").setLevel(logging.CRITICAL)  # its progress bars, one per file, flicker
    interruptible()
    try:
        needs = load(targets)
        outcome = reproduce(needs)
    except KeyboardInterrupt:
        print("interrupted; stages that are done are kept, and the same command goes on from here", file=sys.stderr)
        sys.exit(130)
    report(needs, outcome, time.monotonic() - started)


if __name__ == "__main__":
    main()
