import numpy as np

from pipeline.corpus.shards import Shards, in_shards, write_shards

RNG = np.random.default_rng(0)
ARRAYS = {f"clip{k}": RNG.integers(0, 255, (k % 7 + 1, 4, 3)).astype(np.uint8) for k in range(100)}
ARRAYS |= {"floats": RNG.normal(size=(5, 7)).astype(np.float32), "none": np.zeros((0, 3), np.int16)}
ARRAYS |= {"a name, with ümlaut": np.float64([3.5]), "turned": RNG.normal(size=(3, 4)).T}


def write(folder, arrays):
    write_shards(folder, ((clip, arrays[clip]) for clip in in_shards(arrays)))


def test_arrays_come_back_and_numpy_opens_the_same_files(tmp_path):
    write(tmp_path, ARRAYS)
    shards = Shards(tmp_path)
    assert set(shards) == set(ARRAYS) and len(list(tmp_path.glob("*.npz"))) <= 32
    for clip, array in ARRAYS.items():
        np.testing.assert_array_equal(shards[clip], array)
        assert shards[clip].dtype == array.dtype
    by_numpy = {clip: values for path in tmp_path.glob("*.npz") for clip, values in np.load(path).items()}
    assert set(by_numpy) == set(ARRAYS)
    np.testing.assert_array_equal(by_numpy["floats"], ARRAYS["floats"])


def test_equal_arrays_give_equal_files_and_digests(tmp_path):
    write(tmp_path / "a", ARRAYS)
    write(tmp_path / "b", dict(reversed(ARRAYS.items())))
    files = sorted(str(path.relative_to(tmp_path / "a")) for path in (tmp_path / "a").rglob("shard-*"))
    assert files == sorted(str(path.relative_to(tmp_path / "b")) for path in (tmp_path / "b").rglob("shard-*"))
    assert all((tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in files)
    write(tmp_path / "c", ARRAYS | {"floats": ARRAYS["floats"] + 1})
    a, c = Shards(tmp_path / "a"), Shards(tmp_path / "c")
    assert [clip for clip in a if a.digest(clip) != c.digest(clip)] == ["floats"]


def test_a_clips_shard_does_not_change_when_others_come(tmp_path):
    write(tmp_path / "few", dict(list(ARRAYS.items())[:10]))
    write(tmp_path / "many", ARRAYS)
    few, many = Shards(tmp_path / "few").rows, Shards(tmp_path / "many").rows
    assert all(few[clip]["shard"] == many[clip]["shard"] for clip in few)
