"""What this machine has of what the project needs, what is missing, and its mend: `make doctor`.

It needs no network, no git and no package, and any Python from 3.9: what cannot be looked at is a line like the others. What is
compiled is tried in processes of its own, which a processor or a driver that does not fit may end.
"""

from __future__ import annotations  # so that an older Python gets as far as saying that it is too old

import argparse
import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pipeline.errors import UserError

PYTHONS = ((3, 11), (3, 12))  # as in the Makefile and pyproject.toml
# Of the pinned packages, whose versions are worth a glance.
SHOWN = ("torch", "dvc", "dlib-bin", "numpy", "pandas", "pyarrow", "librosa", "opencv-python-headless", "av")
# Tried each in a process of its own: that the compiled libraries load, which pip does not check; and what a training runs on.
TRIED = {
    "libraries": """
import av, cv2, dlib, parselmouth, pocketsphinx, pyarrow.parquet, soundfile
print("the compiled ones load")
""",
    "training": """
import torch
from pipeline.parameters import load
from pipeline.training.machine import machine_for
chosen = load().training
machine_for(chosen.device, chosen.precision)
gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else f"torch {torch.__version__} sees no GPU"
print(f"training.device is {chosen.device}: {gpu}")
print(f"training.precision is {chosen.precision}")
""",
}
LEAST_GB = 5  # of disk: the packages take 2.5 without CUDA
PATIENCE_S = 120  # for seconds of work: a machine may be busy


class Finding(NamedTuple):
    """A line: what was looked at, what was seen, and what to do where something is missing.

    needed: whether `make talk` or `make repro` cannot do without it (✗); what else has a mend is marked by a dot.
    """

    about: str
    seen: str
    mend: str = ""
    needed: bool = False

    def __str__(self) -> str:
        sign = "✗" if self.needed else "·" if self.mend else " "
        return f"{sign} {self.about:13} {self.seen}" + (f" → {self.mend}" if self.mend else "")


def python() -> Iterator[Finding]:
    """The interpreter and the system under it."""
    version = f"{platform.python_version()}, {sys.executable}"
    supported = " and ".join(f"{major}.{minor}" for major, minor in PYTHONS)
    fits = sys.version_info[:2] in PYTHONS
    yield Finding("Python", version, "" if fits else f"the pinned packages are for {supported}: install one", not fits)
    system, processor = platform.system(), platform.machine()
    if system != "Linux":
        yield Finding("system", f"{system} {processor}", "the project runs on Linux: a container, or WSL 2", True)
    elif processor != "x86_64":
        yield Finding(
            "system", f"{system} {processor}", "tested on x86_64 alone; pip has to compile some packages here"
        )
    else:
        yield Finding("system", f"{platform.platform()}")


def packages() -> Iterator[Finding]:
    """Those that requirements.txt pins: their versions, and which are not here or are others."""
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)", Path("requirements.txt").read_text(), re.MULTILINE))
    found = {name: _version(name) for name in pins}
    shown = [f"{name} {found[name]}" for name in SHOWN if found.get(name)]
    yield Finding("packages", ", ".join(shown) or "none of the pinned ones")
    absent = [name for name in pins if not found[name]]
    # torch 2.13.0+cpu is 2.13.0.
    others = [
        f"{name} {found[name]} for {pin}"
        for name, pin in pins.items()
        if found[name] and found[name].split("+")[0] != pin
    ]
    in_venv = sys.prefix != sys.base_prefix
    mend = (
        f"{sys.executable} -m pip install -r requirements.txt"
        if in_venv
        else "make talk, which makes .venv with all of them"
    )
    for what, names in (("missing", absent), ("other versions", others)):
        if names:
            first = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
            yield Finding("packages", f"{what}: {len(names)} of {len(pins)} ({first})", mend, needed=names is absent)


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def machine() -> Iterator[Finding]:
    """Cores, threads, memory, disk."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    threads = [f"{name}={value}" for name, value in os.environ.items() if name.endswith("_NUM_THREADS")]
    yield Finding("cores", f"{cores} of {os.cpu_count()}; threads: {', '.join(threads) or 'as many as cores'}")
    free = shutil.disk_usage(".").free / 1e9
    mend = f"make room: {LEAST_GB} GB are soon filled" if free < LEAST_GB else ""
    yield Finding("disk", f"{free:.1f} GB free here", mend)
    if not os.access(".", os.W_OK):
        yield Finding("disk", f"{Path.cwd()} cannot be written to", "change its permissions, or copy the project", True)
    import psutil

    memory = psutil.virtual_memory()
    yield Finding("memory", f"{memory.available / 1e9:.1f} of {memory.total / 1e9:.1f} GB free")


def repository() -> Iterator[Finding]:
    """Git, and DVC."""
    root = next((folder for folder in (Path.cwd(), *Path.cwd().parents) if (folder / ".git").exists()), None)
    if not shutil.which("git"):
        yield Finding("git", "is not installed", "dvc exp and make test need it; make talk and make repro do not")
    elif not root:
        start = "git init && git add -A && git commit -m start, and dvc config core.no_scm false"
        yield Finding("git", "no repository here; make talk and make repro do without", f"for experiments: {start}")
    else:
        yield Finding("git", f"repository {root}")
    if not Path(".dvc").is_dir():
        yield Finding("DVC", "there is no .dvc here", f"dvc init{'' if root else ' --no-scm'}", True)
    else:
        yield Finding("DVC", "initialised" + ("" if Path("dvc.lock").exists() else "; nothing has been reproduced yet"))


def parts() -> Iterator[Finding]:
    """What params.yaml asks for, and what there is of the parts that are no pinned packages."""
    from pipeline import parameters

    p = parameters.load()
    for key, path in parameters.named_files(p).items():
        absent = not Path(path).exists()
        yield Finding("params.yaml", f"{key}: {path}", "it does not exist: correct the path" if absent else "", absent)
    for what in parameters.substitutes(p):
        yield Finding("stands in", what, "params.yaml takes the real one")
    chosen = {p.landmarks.backend, p.action_units.backend, p.character_features.backend}
    yield _openface(p.action_units.command, "openface" in chosen)
    for package, backend, mend in (
        ("mediapipe", "mediapipe", "make mediapipe"),
        ("transformers", "wav2vec2", "pip install transformers"),
    ):
        if importlib.util.find_spec(package):
            yield Finding(package, _version(package) or "is here")
        else:
            yield Finding(package, f"not installed; backend {backend} needs it", mend, backend in chosen)


def _openface(command: str, needed: bool) -> Finding:
    from pipeline.features.action_units.openface import command_words

    try:
        return Finding("OpenFace", shutil.which(command_words(command)[0]))
    except UserError as error:
        seen, _, mend = str(error).partition("; ")
        return Finding("OpenFace", seen, mend, needed)


def systems() -> Iterator[Finding]:
    """The trained systems, those that ship among them, as `generate --list` has them."""
    from pipeline.generate import DATA, list_systems

    for line in list_systems(DATA).splitlines()[1:]:
        yield Finding("system", line.rstrip())


CHECKS = (python, packages, machine, repository, parts, systems)


def findings() -> Iterator[Finding]:
    """All of them. What a check cannot look at, for want of a package, is a line."""
    tries = {about: _start(code) for about, code in TRIED.items()}
    for check in CHECKS:
        try:
            yield from check()
        except UserError as error:
            yield Finding(check.__name__, str(error), "correct it", True)
        except Exception as error:
            yield Finding(check.__name__, f"cannot be looked at: {' '.join(str(error).split())}")
    for about, process in tries.items():
        yield _end(about, process)


def _start(code: str) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _end(about: str, process: subprocess.Popen) -> Finding:
    """What a try has printed, or what it ended with."""
    try:
        printed, said = process.communicate(timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return Finding(about, f"no answer within {PATIENCE_S} s", "run it again when the machine is free")
    if process.returncode == -signal.SIGILL:
        return Finding(
            about, "the processor lacks an instruction", "take a machine with AVX, which dlib's wheel needs", True
        )
    if process.returncode:
        last = said.strip().splitlines()[-1:] or [f"ended with {process.returncode}"]
        return Finding(about, last[0], "see the lines above, on packages and params.yaml", True)
    seen, mend = "; ".join(printed.split("\n")).strip("; "), ""
    if "cpu, precision 32-true" in seen and "precision is auto" in seen:
        seen += ": this processor multiplies no bfloat16, with which it would train up to three times as fast"
    if "sees no GPU" in seen and shutil.which("nvidia-smi"):
        mend = "an NVIDIA driver is here: install the torch that fits it"
    return Finding(about, seen, mend)


def main() -> None:
    argparse.ArgumentParser("python -m pipeline.doctor", description=__doc__).parse_args()
    wanting = 0
    for finding in findings():
        print(finding, flush=True)
        wanting += finding.needed
    if wanting:
        sys.exit(f"error: {wanting} of these (✗) stand in the way of make talk or make repro; the arrow says the mend")


if __name__ == "__main__":
    main()
