"""Two processes of gloo on this machine, against one."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

from pipeline.errors import UserError
from pipeline.training.ranks import fabric_for, own_batches
from pipeline.training.trained import WEIGHTS
from tests.training.toy import Bench, NumberBatches, Numbers, Settings, recipe

ROOT = Path(__file__).parents[2]


def in_two_ranks(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    run = f"""
from pipeline.errors import one_line_errors
from pipeline.training.ranks import start
one_line_errors(start)(2, "tests.training.ranked", {[str(folder), *arguments]})
"""
    return subprocess.run([sys.executable, "-c", run], cwd=ROOT, capture_output=True, text=True, check=False)


class Pairs(NumberBatches):
    """Two of the toy's batches as one."""

    def __len__(self):
        return self.n // 2

    def epoch(self, seed, number):
        batches = list(super().epoch(seed, number))
        for two in zip(batches[::2], batches[1::2], strict=True):
            yield Numbers(*map(torch.cat, zip(*two, strict=True)))


@pytest.fixture(scope="module")
def one(tmp_path_factory) -> Bench:
    bench = Bench(tmp_path_factory.mktemp("one"))
    bench.train(recipe(settings=Settings(dropout=0), batches=Pairs(6)))
    return bench


def test_two_ranks_come_to_what_one_process_does_with_both_their_batches(one, tmp_path):
    done = in_two_ranks(tmp_path)
    assert done.returncode == 0, done.stderr
    two = Bench(tmp_path)
    for name, weights in load_file(one.out / WEIGHTS).items():
        torch.testing.assert_close(load_file(two.out / WEIGHTS)[name], weights, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(
        torch.tensor(two.losses.to_numpy()), torch.tensor(one.losses.to_numpy()), rtol=1e-4, atol=1e-5
    )
    assert done.stdout.count("epoch 1/3") == 1 and "2 ranks" in done.stdout


def test_a_rank_that_is_killed_ends_the_run_in_a_line_and_it_goes_on(one, tmp_path):
    done = in_two_ranks(tmp_path, "1")
    assert done.returncode == 1
    (line,) = (line for line in done.stderr.splitlines() if "rank" in line)
    assert line.startswith("error: ") and "run again" in line and "Traceback" not in done.stderr
    # One process alone goes on from what two have come to, as two would.
    again = in_two_ranks(tmp_path)
    assert again.returncode == 0 and "1 of 3 epochs are done already" in again.stdout
    for name, weights in load_file(one.out / WEIGHTS).items():
        torch.testing.assert_close(load_file(Bench(tmp_path).out / WEIGHTS)[name], weights, rtol=1e-5, atol=1e-6)


def test_more_ranks_than_gpus_is_one_line(monkeypatch):
    for name, value in {"TORCHELASTIC_RUN_ID": "1", "LOCAL_WORLD_SIZE": "3", "WORLD_SIZE": "6"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(UserError, match=r"training\.devices is 3, but torch sees 2 GPUs"):
        fabric_for("cuda", "32-true")


@pytest.mark.parametrize(
    ("n", "rank", "own"), [(1, 0, [0, 1, 2, 3, 4]), (2, 0, [0, 2, 4]), (2, 1, [1, 3, 4]), (8, 6, [1])]
)
def test_ranks_have_equally_many_batches(n, rank, own):
    assert list(own_batches(SimpleNamespace(world_size=n, global_rank=rank), range(5))) == own
