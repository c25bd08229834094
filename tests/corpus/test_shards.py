import numpy as np
import pytest

from pipeline.corpus.shards import Shards, ShardWriter

RNG = np.random.default_rng(0)
ARRAYS = {f"clip{k}": RNG.integers(0, 255, (k % 7 + 1, 4, 3)).astype(np.uint8) for k in range(40)}
ARRAYS |= {"floats": RNG.normal(size=(5, 7)).astype(np.float32), "none": np.zeros((0, 3), np.int16)}


def write(folder, arrays):
    with ShardWriter(folder) as shards:
        for clip, array in arrays.items():
            shards.add(clip, array)


def test_arrays_come_back_and_numpy_opens_the_same_files(tmp_path):
    write(tmp_path, ARRAYS)
    shards = Shards(tmp_path)
    assert set(shards) == set(ARRAYS) and len(list(tmp_path.glob("*.npz"))) <= 8
    for clip, array in ARRAYS.items():
        np.testing.assert_array_equal(shards[clip], array)
        assert shards[clip].dtype == array.dtype
    by_numpy = {clip: values for path in tmp_path.glob("*.npz") for clip, values in np.load(path).items()}
    assert set(by_numpy) == set(ARRAYS)
    np.testing.assert_array_equal(by_numpy["floats"], ARRAYS["floats"])


def test_equal_arrays_give_equal_files(tmp_path):
    write(tmp_path / "a", ARRAYS)
    write(tmp_path / "b", ARRAYS)
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert files == sorted(path.name for path in (tmp_path / "b").iterdir())
    assert all((tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in files)


def test_a_clips_shard_does_not_change_when_others_come(tmp_path):
    write(tmp_path / "few", dict(list(ARRAYS.items())[:10]))
    write(tmp_path / "many", ARRAYS)
    few, many = Shards(tmp_path / "few").rows, Shards(tmp_path / "many").rows
    assert all(few[clip]["shard"] == many[clip]["shard"] for clip in few)


def test_a_run_that_breaks_leaves_no_half_written_shard(tmp_path):
    with pytest.raises(RuntimeError), ShardWriter(tmp_path) as shards:
        shards.add("a", ARRAYS["floats"])
        raise RuntimeError
    assert not list(tmp_path.iterdir())
