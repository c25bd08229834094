import os
import time

import pytest

from pipeline.corpus.workers import each
from pipeline.errors import ClipRejected


def square(x: int) -> int:
    if x == 3:
        raise ClipRejected("odd", "three")
    if x == 5:
        time.sleep(0.5)
    return x * x


def dies_at_four(x: int) -> int:
    if x == 4:
        os._exit(9)
    return x


def fails(x: int) -> int:
    raise ZeroDivisionError(x)


@pytest.mark.parametrize("workers", [1, 2])
def test_every_item_comes_back_with_its_result(workers):
    results = dict(each(square, range(12), "test", workers))
    assert isinstance(results.pop(3), ClipRejected)
    assert results == {x: x * x for x in range(12) if x != 3}


def test_none_waits_for_a_slow_one():
    assert [x for x, _ in each(square, range(12), "test", 2)].index(5) > 5


def test_an_item_that_kills_its_worker_is_rejected_and_the_others_are_not():
    results = dict(each(dies_at_four, range(10), "test", 2))
    assert results.pop(4).reason == "crashed" and results == {x: x for x in range(10) if x != 4}


@pytest.mark.slow
def test_a_clusters_worker_that_dies_costs_its_item():
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        results = dict(each(dies_at_four, range(10), "test", scheduler=cluster.scheduler_address))
    assert results.pop(4).reason == "crashed" and results == {x: x for x in range(10) if x != 4}


def test_a_fault_of_the_work_itself_is_raised():
    with pytest.raises(ZeroDivisionError):
        list(each(fails, range(4), "test", 2))


def test_nothing_to_do():
    assert list(each(square, [], "test", 2)) == []
