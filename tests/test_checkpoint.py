"""Checkpoints: round trip, damage of every kind, failures while writing, hostile files."""

import errno
import json
import os
import resource
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

pytest.importorskip("safetensors")
import safetensors.numpy
from striate.data import Normalize
from striate.models import fashion_cnn
from striate.optim import SGD, AdamW
from striate.training import (
    Checkpoint,
    CheckpointError,
    MissingExtraError,
    checkpoint,
    load_checkpoint,
    save_checkpoint,
)

CLASSES = tuple(f"class {n}" for n in range(10))


def example(seed=0, **changes):
    fields = {
        "architecture": "fashion_cnn",
        "classes": CLASSES,
        "normalize": Normalize(0.3, 0.4),
        "epoch": 7,
        "state": fashion_cnn(rng=seed).state_dict(),
    }
    return Checkpoint(**{**fields, **changes})


@pytest.fixture
def path(tmp_path):
    return tmp_path / "c.safetensors"


def test_round_trip(path):
    original = example()
    save_checkpoint(path, original)
    loaded = load_checkpoint(path)
    assert loaded.architecture == "fashion_cnn"
    assert loaded.classes == CLASSES
    assert loaded.normalize == Normalize(0.3, 0.4)
    assert loaded.epoch == 7
    assert loaded.training is None
    assert loaded.state.keys() == original.state.keys()
    for name, value in original.state.items():
        assert np.array_equal(loaded.state[name], value)
        assert loaded.state[name].dtype == np.asarray(value).dtype


def test_normalisation_by_channel_comes_back(path):
    colour = Normalize((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    save_checkpoint(path, example(normalize=colour))
    assert load_checkpoint(path).normalize == colour


def test_loaded_model_gives_the_same_scores(path):
    model = fashion_cnn(rng=3)
    images = np.random.default_rng(0).standard_normal((4, 1, 28, 28)).astype(np.float32)
    model(images)  # moves the running means away from their start
    model.eval()
    save_checkpoint(path, example(state=model.state_dict()))
    loaded = load_checkpoint(path).model()
    assert not loaded.training
    assert np.array_equal(loaded(images).numpy(), model(images).numpy())


def test_training_state_keeps_every_type(path):
    rng = np.random.default_rng(5)
    rng.random(3)
    training = {
        "optimizer": {
            "state": {0: {"momentum": np.arange(4.0)}, 1: {}},
            "lr": 0.1,
            "nesterov": False,
        },
        "loader": {"order": np.arange(5), "cursor": 3, "rng": rng.bit_generator.state},
        "best": None,
        "betas": [0.9, np.float64(0.999)],
    }
    save_checkpoint(path, example(training=training))
    loaded = load_checkpoint(path).training
    np.testing.assert_equal(loaded, training)
    assert list(loaded["optimizer"]["state"]) == [0, 1]
    again = np.random.default_rng()
    again.bit_generator.state = loaded["loader"]["rng"]
    assert again.random() == rng.random()


@pytest.mark.parametrize("kind", [SGD, AdamW])
def test_a_channels_last_model_and_its_optimizer_round_trip(path, kind):
    model = fashion_cnn(rng=0).to(memory_format="channels_last")
    optimizer = kind(model.parameters(), lr=0.1, **({"momentum": 0.9} if kind is SGD else {}))
    images = np.random.default_rng(0).standard_normal((4, 1, 28, 28)).astype(np.float32)
    (model(images) * model(images)).sum().backward()
    optimizer.step()
    slots = [dict(state) for state in optimizer.state]  # in the parameters' memory order
    assert not all(
        value.flags.c_contiguous
        for state in slots
        for value in state.values()
        if isinstance(value, np.ndarray)
    )
    save_checkpoint(path, example(state=model.state_dict(), training={"slots": slots}))
    loaded = load_checkpoint(path)
    for name, value in model.state_dict().items():
        assert np.array_equal(loaded.state[name], value)
    for found, want in zip(loaded.training["slots"], slots, strict=True):
        assert found.keys() == want.keys()
        assert all(np.array_equal(found[key], want[key]) for key in want)


@pytest.mark.parametrize(
    "array",
    [
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.arange(5)[::-1],
        np.arange(12, dtype=np.float32).reshape(3, 4)[:, ::2],
        np.arange(4, dtype=">f4"),
        np.array(3, dtype=">i8"),
        np.broadcast_to(np.float32(2), (2, 3)),
    ],
    ids=["fortran", "reversed", "strided", "swapped", "swapped scalar", "broadcast"],
)
def test_arrays_of_any_memory_order_round_trip(path, array):
    state = {**example().state, "extra": array}
    save_checkpoint(path, example(state=state, training={"deep": [array]}))
    loaded = load_checkpoint(path)
    for found in (loaded.state["extra"], loaded.training["deep"][0]):
        assert np.array_equal(found, array)
        assert found.shape == array.shape and found.dtype == array.dtype.newbyteorder("=")


@pytest.mark.parametrize(
    "changes",
    [
        {"architecture": "unknown"},
        {"classes": ()},
        {"state": {"training/0": np.zeros(2)}},
        {"state": {"weight": np.zeros(2, dtype=np.complex128)}},
    ],
)
def test_what_could_not_be_loaded_replaces_nothing(path, changes):
    save_checkpoint(path, example())
    before = path.read_bytes()
    with pytest.raises(CheckpointError, match="was not written") as caught:
        save_checkpoint(path, example(**changes))
    assert str(path) in str(caught.value)
    assert path.read_bytes() == before


def test_a_write_that_garbles_tensors_replaces_nothing(path, monkeypatch):
    save_checkpoint(path, example())
    before = path.read_bytes()
    save = safetensors.numpy.save

    def garble(tensors, metadata):
        data = save(tensors, metadata)
        return data[:-1] + bytes([data[-1] ^ 1])

    monkeypatch.setattr(safetensors.numpy, "save", garble)
    with pytest.raises(CheckpointError, match=r"was not written.*SHA-256"):
        save_checkpoint(path, example(seed=1))
    assert path.read_bytes() == before


def test_weights_keep_their_names_for_other_readers(path):
    original = example(training={"slots": np.ones(2)})
    save_checkpoint(path, original)
    foreign = safetensors.numpy.load_file(path)
    assert set(original.state) <= set(foreign)
    assert all(name.startswith("training/") for name in set(foreign) - set(original.state))


def test_same_content_gives_the_same_bytes(path, tmp_path):
    save_checkpoint(path, example())
    save_checkpoint(tmp_path / "again", example())
    assert path.read_bytes() == (tmp_path / "again").read_bytes()


# ---- damage ------------------------------------------------------------------------------------


def test_every_truncation_is_noticed(path):
    save_checkpoint(path, example())
    data = path.read_bytes()
    header = 8 + int.from_bytes(data[:8], "little")
    for length in {0, 1, 7, 8, 9, header - 1, header, header + 1, len(data) // 2, len(data) - 1}:
        path.write_bytes(data[:length])
        with pytest.raises(CheckpointError, match="damaged") as caught:
            load_checkpoint(path)
        assert str(path) in str(caught.value)


def test_every_flipped_byte_is_noticed(path):
    save_checkpoint(path, example())
    data = path.read_bytes()
    header = 8 + int.from_bytes(data[:8], "little")
    rng = np.random.default_rng(0)
    places = [*range(16), *rng.integers(0, header, 300), *rng.integers(header, len(data), 300)]
    for place in places:
        damaged = bytearray(data)
        damaged[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        try:
            loaded = load_checkpoint(path)
        except CheckpointError:
            continue
        # Only white space between JSON tokens may change unnoticed: it says nothing.
        assert place < header and chr(data[place]).isspace() and chr(damaged[place]).isspace()
        assert loaded.epoch == 7


@pytest.mark.parametrize(
    "content",
    [b"", b"x", bytes(100), b"PK\x03\x04 a pickle in a zip", b"\x80\x04\x95.", b"\xff" * 64],
)
def test_other_files_are_refused(path, content):
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="damaged or not a safetensors file"):
        load_checkpoint(path)


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}, {"striate": "3"}, {"striate": "{}"}])
def test_safetensors_of_others_are_refused(path, metadata):
    safetensors.numpy.save_file({"weight": np.zeros(3)}, path, metadata)
    with pytest.raises(CheckpointError, match="not a checkpoint of striate"):
        load_checkpoint(path)


def test_a_missing_file_is_an_os_error(path):
    with pytest.raises(FileNotFoundError, match=str(path)):
        load_checkpoint(path)


# ---- hostile files: the checksum is right, the content is not ----------------------------------


def forge(path, **changes):
    """A file whose checksum is right and whose metadata say something else."""
    state = {name: np.asarray(value) for name, value in example().state.items()}
    about = {
        "format": "checkpoint-1",
        "architecture": "fashion_cnn",
        "classes": CLASSES,
        "normalize": [0.3, 0.4],
        "epoch": 7,
        "training": None,
        **changes,
    }
    about["sha256"] = checkpoint._digest(state, about)
    path.write_bytes(safetensors.numpy.save(state, {"striate": json.dumps(about)}))


def test_the_forger_can_write_a_good_file_too(path):
    forge(path)
    assert load_checkpoint(path).epoch == 7


def test_a_model_without_an_architecture_is_built_by_its_author(path):
    save_checkpoint(path, example(architecture=None, classes=(), normalize=None))
    loaded = load_checkpoint(path)
    assert (loaded.architecture, loaded.classes, loaded.normalize) == (None, (), None)
    assert loaded.state.keys() == example().state.keys()
    with pytest.raises(CheckpointError, match="names no architecture") as caught:
        loaded.model()
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": "os.system"}, "unknown architecture 'os.system'"),
        ({"architecture": 1}, "unknown architecture 1"),
        ({"architecture": ["fashion_cnn"]}, "not a valid checkpoint"),
        ({"classes": 3}, "list of names"),
        ({"classes": []}, "list of names"),
        ({"classes": [1, 2]}, "printable"),
        ({"classes": ["\x1b]0;owned\x07"] * 10}, "printable"),
        ({"classes": ["x"] * 200_000}, "list of names"),
        ({"normalize": [0.3, 0]}, "impossible"),
        ({"normalize": [float("nan"), 1]}, "impossible"),
        ({"normalize": [1]}, "not a valid checkpoint"),
        ({"normalize": [10**400, 1]}, "not a valid checkpoint"),
        ({"normalize": None}, "not a valid checkpoint"),
        ({"epoch": "many"}, "many"),
        ({"epoch": float("inf")}, "not a valid checkpoint"),
        ({"epoch": float("nan")}, "not a valid checkpoint"),
        ({"training": {"tensor": "nowhere"}}, "nowhere"),
        ({"training": {"items": [[[], 1]]}}, "unhashable"),
    ],
)
def test_impossible_metadata_are_refused(path, changes, message):
    forge(path, **changes)
    with pytest.raises(CheckpointError, match=message) as caught:
        load_checkpoint(path)
    assert str(path) in str(caught.value)


def test_bottomless_metadata_are_refused(path):
    bottomless = {"striate": "[" * 100_000}
    path.write_bytes(safetensors.numpy.save({"weight": np.zeros(3)}, bottomless))
    with pytest.raises(CheckpointError, match="damaged or not"):
        load_checkpoint(path)


def test_weights_that_do_not_fit_are_refused(path):
    save_checkpoint(path, example(classes=("a", "b", "c")))
    with pytest.raises(CheckpointError, match="classifier") as caught:
        load_checkpoint(path).model()
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("dtype", ["BF16", "F8_E4M3", "F8_E5M2"])
def test_dtypes_that_numpy_lacks_are_refused(path, dtype):
    size = 2 if dtype == "BF16" else 1
    header = {"weight": {"dtype": dtype, "shape": [4], "data_offsets": [0, 4 * size]}}
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(4 * size))
    with pytest.raises(CheckpointError, match=dtype) as caught:
        load_checkpoint(path)
    assert str(path) in str(caught.value)


# ---- failures while writing --------------------------------------------------------------------


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_the_previous_checkpoint_survives_a_full_disk(path, tmp_path, monkeypatch, call):
    save_checkpoint(path, example())
    before = path.read_bytes()

    def full(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, call, full)
    with pytest.raises(OSError, match="No space left on device"):
        save_checkpoint(path, example(seed=1, epoch=8))
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_the_previous_checkpoint_survives_a_write_that_the_kernel_refuses(path, tmp_path):
    """A real failing write: for a moment this process may write no file of that size."""
    save_checkpoint(path, example())
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            save_checkpoint(path, example(seed=1, epoch=8))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_kill_at_any_time_leaves_a_valid_checkpoint(path):
    """A process that does nothing but save is killed again and again, at random moments."""
    saver = textwrap.dedent(f"""
        from striate.data import Normalize
        from striate.models import fashion_cnn
        from striate.training import Checkpoint, save_checkpoint

        state = fashion_cnn(rng=0).state_dict()
        epoch = 0
        while True:
            epoch += 1
            save_checkpoint(
                {str(path)!r},
                Checkpoint("fashion_cnn", tuple("abcdefghij"), Normalize(0.3, 0.4), epoch, state),
            )
            print(epoch, flush=True)
    """)
    rng = np.random.default_rng(0)
    for _ in range(3):
        with subprocess.Popen([sys.executable, "-c", saver], stdout=subprocess.PIPE) as process:
            told = int(process.stdout.readline())
            time.sleep(rng.uniform(0, 0.05))
            process.kill()
            told = int((process.stdout.read().split() or [told])[-1])
        assert load_checkpoint(path).epoch in (told, told + 1)


# ---- extras ------------------------------------------------------------------------------------


@pytest.mark.parametrize("act", [load_checkpoint, lambda path: save_checkpoint(path, example())])
def test_a_missing_safetensors_names_the_extra(path, monkeypatch, act):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    with pytest.raises(MissingExtraError, match=r"needs safetensors: pip install 'striate\[cli\]'"):
        act(path)
