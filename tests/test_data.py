"""Data: loaders, transforms, the IDX format, where Fashion-MNIST comes from, the shipped sample."""

import contextlib
import gzip
import hashlib
import io
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from striate import data
from striate.data import fashion as source
from striate.data.fetch import fetch_gzip

# ---- loader ------------------------------------------------------------------------------------


def numbers(n):
    return data.ArrayDataset(np.arange(n), np.arange(n) * 10)


def epoch(loader):
    return [batch[0].tolist() for batch in loader]


def test_loader_keeps_order_without_shuffle():
    loader = data.DataLoader(numbers(5), 2)
    assert epoch(loader) == [[0, 1], [2, 3], [4]]
    assert len(loader) == 3


def test_loader_drops_the_ragged_batch_on_request():
    loader = data.DataLoader(numbers(5), 2, drop_last=True)
    assert epoch(loader) == [[0, 1], [2, 3]]
    assert len(loader) == 2


def test_loader_sees_every_example_once_an_epoch_in_a_new_order():
    loader = data.DataLoader(numbers(50), 8, shuffle=True, rng=3)
    first, second = ([value for batch in epoch(loader) for value in batch] for _ in range(2))
    assert sorted(first) == sorted(second) == list(range(50))
    assert first != second != list(range(50))


def test_loader_keeps_arrays_together():
    for values, tens in data.DataLoader(numbers(20), 6, shuffle=True, rng=0):
        assert np.array_equal(values * 10, tens)


def test_loader_repeats_itself_from_equal_seeds_only():
    def run(seed):
        return epoch(data.DataLoader(numbers(30), 7, shuffle=True, rng=seed))

    assert run(1) == run(1) == run(np.random.default_rng(1))
    assert run(1) != run(2)


def test_loader_ignores_and_leaves_alone_the_global_seed():
    np.random.seed(0)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    epoch(data.DataLoader(numbers(9), 2, shuffle=True, rng=0))
    assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002


@pytest.mark.parametrize("done", [0, 1, 3, 4])
def test_loader_goes_on_in_mid_epoch_bit_for_bit(done):
    """With 4 batches an epoch: before the first, inside, at the last, and in the next epoch."""

    def noisy(images, rng):
        return images + rng.random(len(images))

    def loader(seed):
        return data.DataLoader(numbers(10), 3, shuffle=True, transform=noisy, rng=seed)

    def batches(loader):
        while True:
            yield from loader

    whole = batches(original := loader(5))
    for _ in range(done):
        next(whole)
    state = original.state_dict()
    expected = [next(whole)[0] for _ in range(6)]

    resumed = loader(99)
    resumed.load_state_dict(state)
    found = batches(resumed)
    for want in expected:
        assert np.array_equal(next(found)[0], want)


def test_loader_starts_afresh_after_a_break():
    loader = data.DataLoader(numbers(10), 3)
    for _ in loader:
        break
    assert epoch(loader)[0] == [0, 1, 2]


def test_loader_refuses_to_go_on_with_a_superseded_epoch():
    loader = data.DataLoader(numbers(10), 3)
    inner = []
    with pytest.raises(RuntimeError, match="superseded by a newer one"):
        for _ in loader:
            inner.append(epoch(loader))
            assert len(inner) == 1
    assert inner == [[[0, 1, 2], [3, 4, 5], [6, 7, 8], [9]]]
    with pytest.raises(RuntimeError, match="superseded"):
        list(zip(loader, loader, strict=True))
    assert epoch(loader) == inner[0]


def test_loader_state_is_that_of_the_newest_epoch():
    loader = data.DataLoader(numbers(10), 3, shuffle=True, rng=0)
    old, new = iter(loader), iter(loader)
    next(old)
    batches = [next(new)[0]]
    with pytest.raises(RuntimeError, match="superseded"):
        next(old)
    state = loader.state_dict()
    assert state["cursor"] == 3 and np.array_equal(state["order"][:3], batches[0])
    rest = [batch[0] for batch in new]
    assert np.array_equal(np.concatenate(batches + rest), state["order"])


def test_loader_ends_the_running_epoch_when_it_takes_up_a_state():
    loader = data.DataLoader(numbers(10), 3)
    running = iter(loader)
    next(running)
    loader.load_state_dict(loader.state_dict())
    with pytest.raises(RuntimeError, match="load_state_dict"):
        next(running)
    assert epoch(loader) == [[3, 4, 5], [6, 7, 8], [9]]


@pytest.mark.parametrize("batch_size", [2.5, 2.0, True, np.True_, "2", None])
def test_loader_refuses_a_batch_size_that_is_no_integer(batch_size):
    with pytest.raises(TypeError, match="batch_size must be a whole number"):
        data.DataLoader(numbers(3), batch_size)


def test_loader_takes_numpy_integers_for_a_batch_size():
    assert epoch(data.DataLoader(numbers(3), np.int64(2))) == [[0, 1], [2]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"order": np.arange(9)}, "no permutation"),
        ({"order": np.zeros(10, int)}, "no permutation"),
        ({"cursor": 11}, "cursor 11"),
        ({"cursor": -1}, "cursor -1"),
    ],
)
def test_loader_refuses_a_foreign_state(change, message):
    loader = data.DataLoader(numbers(10), 3)
    state = {**loader.state_dict(), "order": np.arange(10), **change}
    with pytest.raises(ValueError, match=message):
        loader.load_state_dict(state)


def test_loader_and_dataset_name_bad_arguments():
    with pytest.raises(ValueError, match="batch_size must be positive, got 0"):
        data.DataLoader(numbers(3), 0)
    with pytest.raises(ValueError, match="3 examples are fewer than batch_size=4"):
        data.DataLoader(numbers(3), 4, drop_last=True)
    with pytest.raises(ValueError, match=r"equal length, got \[2, 3\]"):
        data.ArrayDataset(np.zeros(2), np.zeros(3))
    with pytest.raises(ValueError, match="at least one array"):
        data.ArrayDataset()


# ---- transforms --------------------------------------------------------------------------------


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (64, 1, 6, 5), dtype=np.uint8)


def test_normalize_follows_its_formula(images):
    result = data.Normalize(0.25, 0.5)(images)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, (images / 255 - 0.25) / 0.5, atol=1e-6)


def test_normalize_takes_numbers_for_each_channel():
    colours = np.random.default_rng(0).integers(0, 256, (4, 3, 6, 5), dtype=np.uint8)
    mean, std = [0.1, 0.2, 0.3], np.array([0.5, 0.25, 1.0])
    result = data.Normalize(mean, std)(colours)
    assert result.dtype == np.float32
    for c in range(3):
        np.testing.assert_array_equal(result[:, c], data.Normalize(mean[c], std[c])(colours)[:, c])
    assert data.Normalize(mean, std) == data.Normalize(tuple(mean), tuple(std))
    assert np.array_equal(
        data.Normalize(0.1, std)(colours), data.Normalize([0.1] * 3, std)(colours)
    )
    with pytest.raises(ValueError, match=r"needs images \(N, 3, H, W\), got shape \(4, 1, 6, 5\)"):
        data.Normalize(mean, std)(colours[:, :1])


@pytest.mark.parametrize("mean, std", ((0.5, 0), (0.5, [1, 0]), (np.nan, 1), (0, np.inf)))
def test_an_impossible_normalisation_is_refused(mean, std):
    with pytest.raises(ValueError, match="is impossible"):
        data.Normalize(mean, std)
    with pytest.raises(ValueError, match="differ in channels"):
        data.Normalize([0, 0], [1, 1, 1])


def test_flip_gives_the_image_or_its_mirror(images):
    flipped = data.RandomHorizontalFlip(0.5)(images, np.random.default_rng(1))
    same = (flipped == images).all(axis=(1, 2, 3))
    mirrored = (flipped == images[..., ::-1]).all(axis=(1, 2, 3))
    assert (same | mirrored).all()
    assert 16 < mirrored.sum() < 48
    assert np.array_equal(data.RandomHorizontalFlip(0)(images, np.random.default_rng(1)), images)


def test_shift_moves_each_image_by_at_most_its_reach(images):
    shifted = data.RandomShift(2)(images, np.random.default_rng(1))
    assert shifted.shape == images.shape and shifted.dtype == images.dtype
    padded = np.pad(images, ((0, 0), (0, 0), (2, 2), (2, 2)))
    offsets = set()
    for n in range(len(images)):
        places = [
            (y, x)
            for y in range(5)
            for x in range(5)
            if np.array_equal(shifted[n], padded[n, :, y : y + 6, x : x + 5])
        ]
        assert len(places) == 1
        offsets.update(places)
    assert len(offsets) > 15  # of 25: the offsets differ from image to image


def test_transforms_leave_their_input_alone(images):
    before = images.copy()
    images.flags.writeable = False
    every = data.Compose((data.RandomHorizontalFlip(), data.RandomShift(1), data.Normalize(0, 1)))
    every(images, np.random.default_rng(0))
    assert np.array_equal(images, before)


# ---- IDX ---------------------------------------------------------------------------------------


def idx_bytes(array):
    file = io.BytesIO()
    data.write_idx(file, array)
    return file.getvalue()


@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "i4", "f4", "f8"])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3, 4)])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_idx_round_trip(tmp_path, dtype, shape, pack):
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)
    path = tmp_path / "file"
    path.write_bytes(pack(idx_bytes(array)))
    result = data.read_idx(path)
    assert result.dtype == np.dtype(dtype) and result.dtype.isnative and result.flags.writeable
    assert result.shape == shape
    assert np.array_equal(result, array)


def test_idx_bytes_are_those_of_the_format():
    expected = "00000b02" + "00000001" + "00000002" + "0001" + "0002"
    assert idx_bytes(np.array([[1, 2]], np.int16)).hex() == expected


def test_idx_writes_no_foreign_dtype():
    with pytest.raises(TypeError, match="int64"):
        data.write_idx(io.BytesIO(), np.zeros(2, np.int64))


def header(*sizes, code=8):
    return struct.pack(f">BBBB{len(sizes)}I", 0, 0, code, len(sizes), *sizes)


BAD_IDX = {
    "empty": (b"", "magic number"),
    "not IDX": (b"GIF89a..", "magic number 47494638"),
    "unknown type": (header(1, code=0x0A) + b"\0", "magic number"),
    "sizes cut": (header(3, 3)[:-2], "2 bytes short in the sizes"),
    "values cut": (header(4) + b"abc", "more than the file can hold"),
    "bytes left over": (header(2) + b"abc", "more bytes follow"),
    "absurd": (header(2**32 - 1, 2**32 - 1, 2**32 - 1), "more than the file can hold"),
}


@pytest.mark.parametrize("content,message", BAD_IDX.values(), ids=BAD_IDX.keys())
def test_idx_refuses_damaged_files_by_name(tmp_path, content, message):
    path = tmp_path / "damaged"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        data.read_idx(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (gzip.compress(header(4) + b"abc"), "1 bytes short"),
        (gzip.compress(header(2) + b"abc"), "more bytes follow"),
        (gzip.compress(header(2**32 - 1)), "more than the file can hold"),
        (gzip.compress(header(50) + bytes(50))[:-9], "end-of-stream|short"),
        (gzip.compress(header(2) + b"ab")[:10] + b"\xff" * 20, "invalid"),
    ],
)
def test_idx_refuses_damaged_gzip_by_name(tmp_path, content, message):
    path = tmp_path / "damaged.gz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        data.read_idx(path)
    assert str(path) in str(caught.value)


def test_idx_unpacks_no_more_than_declared(tmp_path, monkeypatch):
    """A gzip bomb behind a small header: 64 MiB of zeros are there, three bytes are declared."""
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(header(3) + bytes(64 << 20)))
    unpacked = 0
    real = gzip.GzipFile.read

    def counting(self, size=-1):
        nonlocal unpacked
        chunk = real(self, size)
        unpacked += len(chunk)
        return chunk

    monkeypatch.setattr(gzip.GzipFile, "read", counting)
    with pytest.raises(ValueError, match="more bytes follow"):
        data.read_idx(path)
    assert unpacked < 100


def test_idx_checksum(tmp_path):
    path = tmp_path / "labels"
    path.write_bytes(idx_bytes(np.arange(9, dtype=np.uint8)))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert data.read_idx(path, sha256=digest).tolist() == list(range(9))
    path.write_bytes(idx_bytes(np.arange(1, 10, dtype=np.uint8)))
    with pytest.raises(ValueError, match=f"expected {digest}"):
        data.read_idx(path, sha256=digest)


# ---- atomic files ------------------------------------------------------------------------------


def test_atomic_write_keeps_the_old_file_when_the_disk_is_full(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def chunks():
        yield b"half of the new one"
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        data.write_atomically(path, chunks())
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_atomic_write_survives_a_failure_at_each_step(tmp_path, monkeypatch, call, error):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def failing(*args):
        raise error

    monkeypatch.setattr(f"os.{call}", failing)
    with pytest.raises(type(error)):
        data.write_atomically(path, [b"new"])
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_atomic_write_follows_the_umask(tmp_path):
    plain = tmp_path / "plain"
    plain.write_bytes(b"")
    data.write_atomically(tmp_path / "atomic", [b"a", b"b"])
    assert (tmp_path / "atomic").read_bytes() == b"ab"
    assert (tmp_path / "atomic").stat().st_mode == plain.stat().st_mode


# ---- download ----------------------------------------------------------------------------------

CONTENT = bytes(range(256)) * 300
FILE = {"sha256": hashlib.sha256(CONTENT).hexdigest(), "size": len(CONTENT)}


def mirror(folder, content):
    folder.mkdir()
    if content is not None:
        (folder / "file.gz").write_bytes(content)
    return folder.as_uri()


BAD_MIRRORS = {
    "nothing there": (None, "No such file"),
    "a login page": (b"<html>please sign in</html>", "header"),
    "truncated": (gzip.compress(CONTENT)[:-400], "ends before its gzip stream"),
    "cut in the trailer": (gzip.compress(CONTENT)[:-3], "ends before its gzip stream"),
    "something behind it": (gzip.compress(CONTENT) + b"more", "something follows"),
    "another file": (gzip.compress(CONTENT[::-1]), "SHA-256"),
    "too much inside": (gzip.compress(CONTENT + b"x" * 999_999), "more than the expected"),
    "too long": (bytes(3 << 20), "longer than"),
}


@pytest.mark.parametrize("content,message", BAD_MIRRORS.values(), ids=BAD_MIRRORS.keys())
def test_fetch_goes_to_the_next_mirror_on_any_failure(tmp_path, content, message):
    bad = mirror(tmp_path / "bad", content)
    good = mirror(tmp_path / "good", gzip.compress(CONTENT))
    target = tmp_path / "cache" / "file.gz"
    tried = []
    fetch_gzip("file.gz", target, [bad, good + "/"], **FILE, report=tried.append)
    assert gzip.decompress(target.read_bytes()) == CONTENT
    assert tried == [f"downloading {bad}/file.gz", f"downloading {good}/file.gz"]

    target.unlink()
    with pytest.raises(OSError, match=message) as caught:
        fetch_gzip("file.gz", target, [bad], **FILE)
    assert "could not download file.gz" in str(caught.value)
    assert list(target.parent.iterdir()) == []


def test_fetch_survives_a_connection_that_breaks(tmp_path):
    class Breaking(io.BytesIO):
        def read(self, size=-1):
            raise ConnectionResetError("connection reset by peer")

    def opener(url):
        return Breaking() if "bad" in url else io.BytesIO(gzip.compress(CONTENT))

    target = tmp_path / "file.gz"
    fetch_gzip("file.gz", target, ["http://bad", "http://good"], **FILE, opener=opener)
    assert gzip.decompress(target.read_bytes()) == CONTENT


# ---- where Fashion-MNIST comes from ------------------------------------------------------------


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A Fashion-MNIST of a few images, and a machine on which nothing else can be found."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "original"
    folder.mkdir()
    files = []
    for file, shape in zip(
        source.FULL_FILES, [(20, 28, 28), (20,), (10, 28, 28), (10,)], strict=True
    ):
        plain = idx_bytes(rng.integers(0, 10, shape, dtype=np.uint8))
        (folder / f"{file.name}.gz").write_bytes(gzip.compress(plain))
        files.append(source.IdxFile(file.name, len(plain), hashlib.sha256(plain).hexdigest()))
    monkeypatch.setattr(source, "FULL_FILES", tuple(files))
    monkeypatch.setattr(source, "DEBIAN_FOLDER", tmp_path / "no-debian")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("STRIATE_DATA", raising=False)
    return folder


def no_network(url):
    raise OSError("no network in this test")


def load(root=None, **options):
    train, test = data.fashion_mnist(root, **{"opener": no_network, **options})
    assert (len(train), len(test)) == (20, 10)
    images, labels = train.arrays
    assert images.shape == (20, 1, 28, 28) and images.dtype == np.uint8
    assert labels.shape == (20,) and labels.dtype == np.int64
    return train


def test_full_set_from_a_given_folder_packed_or_plain(tiny):
    load(tiny)
    for path in list(tiny.iterdir()):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    load(tiny)


@pytest.mark.parametrize("inside", ["", "fashion-mnist"])
def test_full_set_from_the_environment(tiny, tmp_path, monkeypatch, inside):
    place = tmp_path / "data" / inside
    place.parent.mkdir(exist_ok=True)
    tiny.rename(place)
    monkeypatch.setenv("STRIATE_DATA", str(tmp_path / "data"))
    assert data.find_fashion_mnist() == place
    load()


def test_full_set_from_debian_unless_the_environment_says_otherwise(tiny, monkeypatch):
    monkeypatch.setattr(source, "DEBIAN_FOLDER", tiny)
    assert data.find_fashion_mnist() == tiny
    load()
    monkeypatch.setenv("STRIATE_DATA", str(tiny / "nowhere"))
    with pytest.raises(NotADirectoryError, match=r"STRIATE_DATA=.*nowhere is not a folder"):
        load()


def test_full_set_is_downloaded_once_into_the_cache(tiny, tmp_path):
    assert data.find_fashion_mnist() is None
    attempts = []
    mirrors = [(tmp_path / "dead").as_uri(), tiny.as_uri()]
    load(mirrors=mirrors, opener=open_file, report=attempts.append)
    assert len(attempts) == 8
    assert data.find_fashion_mnist() == tmp_path / "cache" / "striate" / "fashion-mnist"
    load()  # without a network


def open_file(url):
    return open(url.removeprefix("file://"), "rb")


def test_download_fetches_only_what_the_cache_lacks(tiny, tmp_path):
    cache = tmp_path / "cache" / "striate" / "fashion-mnist"
    cache.mkdir(parents=True)
    first = sorted(tiny.iterdir())[0]
    (cache / first.name).write_bytes(first.read_bytes())
    attempts = []
    load(mirrors=[tiny.as_uri()], opener=open_file, report=attempts.append)
    assert len(attempts) == 3


def test_download_that_fails_everywhere_says_so(tiny):
    with pytest.raises(OSError, match=r"could not download train-images.*no network in this test"):
        load()


def test_missing_files_are_named(tiny, monkeypatch):
    (tiny / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(FileNotFoundError, match="lacks t10k-labels-idx1-ubyte"):
        load(tiny)
    monkeypatch.setattr(source, "DEBIAN_FOLDER", tiny)
    with pytest.raises(FileNotFoundError, match="lacks t10k-labels-idx1-ubyte"):
        load()


@pytest.mark.parametrize("where", ["root", "environment", "debian", "cache"])
def test_a_damaged_file_is_named_and_never_passed_over(tiny, tmp_path, monkeypatch, where):
    victim = tiny / "t10k-labels-idx1-ubyte.gz"
    plain = bytearray(gzip.decompress(victim.read_bytes()))
    plain[-1] ^= 1
    victim.write_bytes(gzip.compress(bytes(plain)))
    if where == "environment":
        monkeypatch.setenv("STRIATE_DATA", str(tiny))
    elif where == "debian":
        monkeypatch.setattr(source, "DEBIAN_FOLDER", tiny)
    elif where == "cache":
        folder = tmp_path / "cache" / "striate"
        folder.mkdir(parents=True)
        tiny = tiny.rename(folder / "fashion-mnist")
        victim = tiny / victim.name
    with pytest.raises(ValueError, match="SHA-256") as caught:
        load(tiny if where == "root" else None)
    assert str(victim) in str(caught.value)


# ---- the sample --------------------------------------------------------------------------------


def test_sample_is_balanced_and_small():
    train, test = data.fashion_mnist_sample()
    for split, count in ((train, 500), (test, 100)):
        images, labels = split.arrays
        assert images.shape == (10 * count, 1, 28, 28) and images.dtype == np.uint8
        assert np.bincount(labels).tolist() == [count] * 10
    assert len(data.FASHION_MNIST_CLASSES) == 10
    size = sum(path.stat().st_size for path in source.SAMPLE_FOLDER.iterdir())
    assert size < 3_000_000
    assert "Copyright (c) 2017 Zalando SE" in (source.SAMPLE_FOLDER / "LICENSE").read_text()


def test_a_damaged_sample_is_noticed(tmp_path, monkeypatch):
    for path in source.SAMPLE_FOLDER.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    victim = tmp_path / "t10k-labels-idx1-ubyte.gz"
    plain = bytearray(gzip.decompress(victim.read_bytes()))
    plain[100] ^= 1
    victim.write_bytes(gzip.compress(bytes(plain)))
    monkeypatch.setattr(source, "SAMPLE_FOLDER", tmp_path)
    with pytest.raises(ValueError, match="t10k-labels"):
        data.fashion_mnist_sample()


@pytest.fixture(scope="module")
def full_set():
    with contextlib.suppress(OSError):
        if data.find_fashion_mnist() is not None:
            return data.fashion_mnist()
    pytest.skip("the full Fashion-MNIST is not on this machine")


def test_sample_comes_from_the_same_split_of_the_full_set(full_set):
    for sample, full in zip(data.fashion_mnist_sample(), full_set, strict=True):
        picked, known = (
            [(image.tobytes(), int(label)) for image, label in zip(*split.arrays, strict=True)]
            for split in (sample, full)
        )
        assert set(known).issuperset(picked)
        assert len(set(picked)) > 0.99 * len(picked)  # the full set has a few twins of its own


def test_script_makes_the_sample_again(full_set, tmp_path):
    script = Path(__file__).parents[1] / "scripts" / "make_sample.py"
    done = subprocess.run(
        [sys.executable, script, "--output", tmp_path], capture_output=True, text=True, check=True
    )
    for file in source.SAMPLE_FILES:
        name = f"{file.name}.gz"
        assert f"{file.sha256}  {file.name}" in done.stdout
        shipped = gzip.decompress((source.SAMPLE_FOLDER / name).read_bytes())
        assert gzip.decompress((tmp_path / name).read_bytes()) == shipped
