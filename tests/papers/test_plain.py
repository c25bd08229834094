"""The plain implementations beside the pipeline's own: the same maths, or the benchmark would compare nothing."""

import contextlib
import io

import pytest
import torch

from benchmarks.paper_sizes import NAMES, begin, with_changes, write_corpus
from benchmarks.plain import made_plain
from benchmarks.training import add_first_halves, drawn, profile, step
from pipeline import parameters
from pipeline.papers.registry import PAPERS
from tests.papers.test_paper_sizes import FEW

LENGTHS = range(14, 20)
# Kesim & Erzin's rows share all of their code.
TRAININGS = [name for name in NAMES if name not in ("kesim_erzin_speech_without_fm", "kesim_erzin_landmark")]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Made-up clips for the demo's systems at a sixteenth of the papers' widths: the parameters, and where they are."""
    data = tmp_path_factory.mktemp("corpus")
    few = {paper: {"width": 1 / 16} | FEW[paper] for paper in PAPERS}
    p = parameters.load(with_changes(data, few))
    with contextlib.redirect_stdout(io.StringIO()):
        write_corpus(data, p, LENGTHS)
        add_first_halves(p, data)
    return p, data


@pytest.mark.parametrize("name", TRAININGS)
def test_both_have_the_same_losses_step_after_step(name, corpus):
    """And so the same gradients: the second step's losses are those of networks that have learned."""
    p, data = corpus
    trainings = [begin(name, p, data, "cpu", "32-true", how) for how in (lambda objective: objective, made_plain)]
    batches = [drawn(training) for training in trainings]
    for k in range(2):
        (_, ours, _), (_, plain, _) = map(lambda *of: step(*of, k), trainings, batches)
        assert ours == pytest.approx(plain, rel=1e-3, abs=1e-5)


def test_a_fault_in_a_plain_network_is_seen(corpus):
    """What the comparison would miss, it could not vouch for."""
    p, data = corpus
    ours = begin("sinha_audio_to_landmark", p, data, "cpu", "32-true")
    other = begin("sinha_audio_to_landmark", p, data, "cpu", "32-true", made_plain)
    with torch.no_grad():
        next(other.objective.generator.parameters()).mul_(1.1)
    (_, one, _), (_, another, _) = (step(training, drawn(training), 0) for training in (ours, other))
    assert one != pytest.approx(another, rel=1e-3, abs=1e-5)


def test_the_parts_of_a_step_are_all_of_it(corpus, capsys):
    p, data = corpus
    profile("sinha_landmark_to_texture", p, data, 1)
    shares = [float(line.split()[-1][:-1]) for line in capsys.readouterr().out.splitlines() if line.endswith("%")]
    assert sum(shares) == pytest.approx(100, abs=0.5)
