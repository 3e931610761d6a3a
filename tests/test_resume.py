"""Training that is killed, interrupted or out of disk, and goes on: the bits of one left alone."""

import dataclasses
import errno
import itertools
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
import striate
from striate import nn, optim
from striate.data import ArrayDataset, DataLoader, RandomHorizontalFlip, atomic

pytest.importorskip("safetensors")
from striate.training import (
    Callback,
    CheckpointError,
    CheckpointFile,
    EarlyStopping,
    History,
    fit,
    load_checkpoint,
)

EPOCHS = 3


class Killed(Exception):
    pass


class StopAt(Callback):
    """Raise once (epoch, batch) is done."""

    def __init__(self, epoch, batch):
        self.place = epoch, batch

    def on_batch_end(self, loop):
        if (loop.epoch, loop.batch) == self.place:
            raise Killed


class Setup:
    """Every source of randomness and state there is: order, augmentation, dropout, batch norm,
    Adam's moments, a schedule, early stopping."""

    def __init__(self, path, seed=0, epochs=EPOCHS, spread=None, **options):
        rng = np.random.default_rng(seed)
        self.model = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1, rng=rng),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Dropout(0.3, rng=1),
            nn.Flatten(),
            nn.Linear(4 * 6 * 6, 3, rng=rng),
        )
        images = rng.standard_normal((50, 1, 6, 6)).astype(np.float32)
        data = ArrayDataset(images, rng.integers(0, 3, 50))
        self.train = DataLoader(data, 8, shuffle=True, rng=2, transform=RandomHorizontalFlip())
        self.validation = DataLoader(data, 20)
        self.optimizer = optim.Adam(self.model.parameters(), lr=0.01)
        self.schedule = optim.OneCycleLR(self.optimizer, 0.01, (spread or epochs) * len(self.train))
        self.stopping = EarlyStopping(patience=100)
        self.epochs = epochs
        self.file = CheckpointFile(path, **{"every": 3, "resume": True, **options})

    def fit(self, *callbacks):
        return fit(
            self.model,
            self.train,
            epochs=self.epochs,
            optimizer=self.optimizer,
            schedule=self.schedule,
            validation=self.validation,
            callbacks=[self.stopping, *callbacks],
            checkpoint=self.file,
        )

    def end(self):
        return self.model.state_dict(), self.optimizer.state_dict(), self.stopping.best


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.safetensors"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    setup = Setup(tmp_path_factory.mktemp("undisturbed") / "run.safetensors")
    history = setup.fit()
    return setup.end(), history


def numbers(history):
    return [{**record, "seconds": 0} for record in history.as_list()]


@pytest.mark.parametrize(("epoch", "batch"), [(1, 2), (1, 3), (2, 1), (2, 5), (2, 7), (3, 7)])
def test_a_stopped_run_goes_on_bit_for_bit(path, undisturbed, epoch, batch):
    with pytest.raises(Killed):
        Setup(path).fit(StopAt(epoch, batch))
    resumed = Setup(path)
    history = resumed.fit()
    np.testing.assert_equal(resumed.end(), undisturbed[0])
    assert numbers(history) == numbers(undisturbed[1])


def test_a_run_stopped_after_every_batch_goes_on_bit_for_bit(path, undisturbed):
    """A save at each batch, the last one of an epoch included, and a new start from each."""
    for epoch, batch in itertools.product(range(1, EPOCHS + 1), range(1, 8)):
        with pytest.raises(Killed):
            Setup(path, every=1).fit(SaveThenStop(epoch, batch))
    resumed = Setup(path, every=1)
    history = resumed.fit()
    np.testing.assert_equal(resumed.end(), undisturbed[0])
    assert numbers(history) == numbers(undisturbed[1])


class SaveThenStop(StopAt):
    """As the process dies right after the save, before the next batch."""

    def on_batch_end(self, loop):
        if (loop.epoch, loop.batch) == self.place:
            self.due = True

    def on_gradients(self, loop):
        if getattr(self, "due", False):
            raise Killed

    def on_epoch_end(self, loop, record):
        raise Killed


def test_a_finished_run_is_not_trained_again(path):
    Setup(path).fit()
    before, again = path.read_bytes(), Setup(path)
    assert len(again.fit()) == EPOCHS
    assert path.read_bytes() == before


def test_the_file_of_a_finished_run_has_the_model_that_fit_leaves(path, undisturbed):
    """The best epoch's; and a run of more epochs goes on from the last one's all the same."""
    setup = Setup(path, epochs=1, spread=EPOCHS)
    setup.stopping = Worse(patience=100)
    setup.fit()
    longer = Setup(path, epochs=2, spread=EPOCHS)
    longer.stopping = Worse(patience=100)
    longer.fit()
    saved = load_checkpoint(path)
    np.testing.assert_equal(dict(saved.state), longer.model.state_dict())
    last = Setup(path, spread=EPOCHS)
    last.stopping = Worse(patience=100)
    last.fit()
    np.testing.assert_equal(last.model.state_dict(), longer.model.state_dict())
    np.testing.assert_equal(dict(load_checkpoint(path).state), longer.model.state_dict())
    np.testing.assert_equal(last.optimizer.state_dict(), undisturbed[0][1])


class Worse(EarlyStopping):
    """For which the first epoch is the best."""

    def on_epoch_end(self, loop, record):
        super().on_epoch_end(loop, dataclasses.replace(record, validation_loss=record.epoch))


class Counter(Callback):
    def __init__(self):
        self.counts = {}

    def on_epoch_end(self, loop, record):
        self.counts[record.epoch] = 1

    def state_dict(self):
        return dict(self.counts)

    def load_state_dict(self, state):
        self.counts = dict(state)


def test_a_callback_that_remembers_nothing_at_first_is_resumed(path):
    with pytest.raises(Killed):
        Setup(path).fit(Counter(), StopAt(2, 4))
    counter = Counter()
    Setup(path).fit(counter)
    assert counter.counts == {1: 1, 2: 1, 3: 1}


def test_a_file_without_a_folder_is_refused_before_an_epoch(tmp_path):
    setup = Setup(tmp_path / "nofolder" / "run.safetensors")
    with pytest.raises(FileNotFoundError, match=r"CheckpointFile: .*nofolder is no folder"):
        setup.fit(StopAt(1, 1))


def test_a_setting_of_nan_is_the_same_as_nan(path):
    for _ in range(2):
        Setup(path, settings={"limit": float("nan")}).fit()


def test_settings_are_compared_as_a_file_keeps_them(path):
    for _ in range(2):
        Setup(path, settings={"betas": (0.9, 0.999), "rate": np.float64(0.1).item()}).fit()


def test_without_resume_a_run_begins_at_the_beginning(path, undisturbed):
    Setup(path).fit()
    afresh = Setup(path, resume=False)
    assert numbers(afresh.fit()) == numbers(undisturbed[1])


def test_a_half_written_file_of_a_killed_save_is_cleared_away(path, tmp_path):
    with pytest.raises(Killed):
        Setup(path).fit(StopAt(1, 5))
    (tmp_path / f".{path.name}.0123abcd.tmp").write_bytes(b"half")
    Setup(path).fit()
    assert list(tmp_path.iterdir()) == [path]


# ---- what cannot be resumed ----------------------------------------------------------------------


def refused(path, message, setup):
    with pytest.raises(CheckpointError, match=message) as caught:
        setup.fit()
    assert str(path) in str(caught.value)


def test_a_run_with_other_parts_is_refused(path):
    Setup(path, settings={"seed": 0}).fit()
    refused(path, "another run: it has seed 0, not 1", Setup(path, settings={"seed": 1}))
    refused(path, "it has seed 0, not None", Setup(path))
    same = {"settings": {"seed": 0}}
    other = Setup(path, **same)
    other.train = DataLoader(other.train.dataset, 10, shuffle=True, rng=2)
    refused(path, "batch_size 8, this run has 10", other)
    other = Setup(path, **same)
    other.train = DataLoader(ArrayDataset(*other.train.dataset[:40]), 8, shuffle=True, rng=2)
    other.validation = None
    refused(path, r"loaders \['train', 'validation'\], this run has \['train'\]", other)
    other = Setup(path, **same)
    other.schedule = None
    refused(path, "a schedule True, this run has False", other)
    other = Setup(path, **same)
    other.optimizer = other.schedule.optimizer = optim.SGD(other.model.parameters(), lr=0.1)
    refused(path, "cannot be resumed by this run", other)
    other = Setup(path, **same)
    other.model[3] = nn.Identity()
    refused(path, r"saved with generators \['3.rng'\], there are \[\]", other)
    other = Setup(path, **same)
    other.model[5] = nn.Linear(144, 5, rng=0)
    refused(path, "5.weight: shape", other)
    refused(path, "architecture None, not fashion_cnn", Setup(
        path, architecture="fashion_cnn", **same))  # fmt: skip


def test_a_damaged_file_is_refused_and_stays(path):
    Setup(path).fit()
    data = path.read_bytes()
    for damaged in (data[: len(data) // 2], data[:-1] + bytes([data[-1] ^ 1]), b""):
        path.write_bytes(damaged)
        refused(path, "damaged", Setup(path))
        assert path.read_bytes() == damaged


def test_every_must_be_a_number_of_batches(path):
    with pytest.raises(ValueError, match="CheckpointFile: every must be at least 1, got 0"):
        CheckpointFile(path, every=0)


# ---- a full disk ---------------------------------------------------------------------------------


class FullDisk:
    """A disk that is full at the n-th call that would change it, and from then on."""

    def __init__(self, monkeypatch, at):
        self.left = at
        for name in ("fsync", "replace"):
            monkeypatch.setattr(os, name, self.failing(getattr(os, name)))
        open_file = Path.open

        def opened(path, *mode, **options):
            file = self.failing(open_file)(path, *mode, **options)
            return FullFile(file, self) if "x" in "".join(mode) else file

        monkeypatch.setattr(atomic.Path, "open", opened)

    def failing(self, call):
        def tried(*arguments, **options):
            self.spend()
            return call(*arguments, **options)

        return tried

    def spend(self):
        self.left -= 1
        if self.left <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class FullFile:
    """A file whose writes spend what the disk has left."""

    def __init__(self, file, disk):
        self.file, self.disk = file, disk

    def write(self, data):
        self.disk.spend()
        return self.file.write(data)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.file.close()

    def __getattr__(self, name):
        return getattr(self.file, name)


def test_a_disk_that_fills_up_at_any_write_leaves_the_previous_save(path, tmp_path, undisturbed):
    """The save after batch 6 fails at its every step; the one after batch 3 must be there, and the
    run must go on from it once there is room."""
    steps = 0
    for at in itertools.count(1):
        setup = Setup(path, resume=False)
        with pytest.MonkeyPatch.context() as patched:

            class Fill(Callback):
                def on_batch_end(self, loop, patched=patched, at=at):
                    if loop.batch == 6:
                        FullDisk(patched, at)

            try:
                setup.fit(Fill(), StopAt(2, 1))
            except OSError as error:
                assert error.errno == errno.ENOSPC
            except Killed:
                break
        steps += 1
        found = load_checkpoint(path)
        # Open, write, sync, rename, sync the folder: with the rename the new save is in place. Then
        # the same for the save that ends the epoch.
        batch = 3 if at < 5 else 6 if at < 10 else 0
        assert found.training["running"]["batch"] == batch
        assert list(tmp_path.iterdir()) == [path]
        resumed = Setup(path)
        resumed.fit()
        np.testing.assert_equal(resumed.end(), undisturbed[0])
    assert steps == 10


# ---- signals -------------------------------------------------------------------------------------

LONG = 100  # epochs: twenty kills come long before the end, even on a machine under load

PROGRAM = textwrap.dedent("""
    import sys
    sys.path.insert(0, {tests!r})
    from test_resume import Setup

    setup = Setup({path!r}, epochs={epochs}, every=2)
    setup.fit()
""")


def start(path):
    tests, package = str(Path(__file__).parent), str(Path(striate.__file__).parents[1])
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(tests=tests, path=str(path), epochs=LONG)],
        env={**os.environ, "PYTHONPATH": package, "STRIATE_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_twenty_kills_at_random_times_change_no_bit(path, tmp_path):
    """Each run is killed within an epoch after its first save: in batches, in saves, between."""
    whole = Setup(tmp_path / "whole.safetensors", epochs=LONG, every=2)
    started = time.perf_counter()
    whole.fit()
    pause = (time.perf_counter() - started) / LONG
    rng = np.random.default_rng(0)
    kills, places = 0, []
    while kills < 20:
        known = path.stat().st_mtime_ns if path.exists() else None
        with start(path) as process:
            while process.poll() is None and (
                not path.exists() or path.stat().st_mtime_ns == known
            ):
                time.sleep(0.001)
            time.sleep(rng.uniform(0, pause))
            process.kill()
        left = load_checkpoint(path)
        places.append((left.epoch, left.training["running"]["batch"]))
        if process.returncode != -signal.SIGKILL:  # it was done already
            assert process.returncode == 0, process.stderr.read()
            break
        kills += 1
    assert kills == 20
    assert places == sorted(places) and len({batch for _, batch in places}) > 1
    with start(path) as process:
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    found, want = load_checkpoint(path), load_checkpoint(tmp_path / "whole.safetensors")
    np.testing.assert_equal(found.state, want.state)
    np.testing.assert_equal(found.training["optimizer"], want.training["optimizer"])
    assert numbers(History.from_list(found.training["history"])) == numbers(
        History.from_list(want.training["history"])
    )


def test_ctrl_c_leaves_a_save_from_which_it_goes_on(path, undisturbed):
    class Press(Callback):
        def on_batch_end(self, loop):
            if (loop.epoch, loop.batch) == (2, 5):
                os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        Setup(path).fit(Press())
    assert load_checkpoint(path).training["running"]["batch"] == 3
    resumed = Setup(path)
    resumed.fit()
    np.testing.assert_equal(resumed.end(), undisturbed[0])
