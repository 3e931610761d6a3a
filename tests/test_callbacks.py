"""Early stopping, clipping, plateau schedules, logs, the bar."""

import io
import json

import numpy as np
import pytest
from striate import nn, optim
from striate.data import ArrayDataset, DataLoader
from striate.training import (
    Callback,
    ClipGradients,
    EarlyStopping,
    EpochRecord,
    EpochSchedule,
    History,
    JsonLog,
    MissingExtraError,
    ProgressBar,
    fit,
)


class Scripted(nn.Module):
    """A model whose validation loss is what a script says, epoch by epoch."""

    def __init__(self, losses):
        super().__init__()
        self.weight = nn.Parameter(np.zeros(1, np.float32))
        self.register_buffer("epoch", np.zeros((), np.int64))
        self.losses = losses

    def forward(self, x):
        if self.training:
            self.epoch += 1
            return self.weight * 0.0
        return self.weight * 0.0 + self.losses[int(self.epoch) - 1]


def scripted(losses, *callbacks, epochs=None, validation=True):
    model = Scripted(losses)
    one = ArrayDataset(np.zeros((1, 1), np.float32), np.zeros(1, np.float32))
    history = fit(
        model,
        DataLoader(one),
        validation=DataLoader(one) if validation else None,
        epochs=epochs or len(losses),
        optimizer=optim.SGD(model.parameters(), lr=0.0),
        loss=lambda outputs, targets: outputs.sum(),
        count=None,
        callbacks=callbacks,
    )
    return model, history


# ---- early stopping ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("losses", "options", "epochs", "best_epoch"),
    [
        ([5, 4, 3, 2, 1], {"patience": 0}, 5, 5),
        ([5, 4, 4, 3, 1], {"patience": 0}, 3, 2),
        ([5, 4, 4, 3, 3], {"patience": 1}, 5, 4),
        ([3, 4, 2, 5, 5, 1], {"patience": 1}, 5, 3),
        ([5, 4.5, 4, 3.5, 3], {"patience": 1, "min_delta": 0.5}, 5, 5),
        ([5, 4.5, 4.25, 4, 3], {"patience": 1, "min_delta": 1.5}, 3, 1),
        ([1, 2, 2, 2, 2], {"patience": 9}, 5, 1),
    ],
)
def test_early_stopping_ends_when_patience_does(losses, options, epochs, best_epoch):
    stopping = EarlyStopping(**options)
    model, history = scripted(losses, stopping)
    assert len(history) == epochs
    assert (stopping.best_epoch, stopping.best) == (best_epoch, losses[best_epoch - 1])
    assert int(model.epoch) == best_epoch  # a buffer of the best epoch is back


def test_early_stopping_forgets_another_training():
    stopping = EarlyStopping(patience=9)
    scripted([1, 2], stopping)
    model, _ = scripted([6, 5, 7], stopping)
    assert (stopping.best_epoch, stopping.best, int(model.epoch)) == (2, 5, 2)


def test_early_stopping_can_leave_the_last_weights():
    model, history = scripted([1, 2, 2, 2], EarlyStopping(patience=1, restore_best=False))
    assert int(model.epoch) == len(history) == 3


def test_higher_accuracy_is_better():
    stopping = EarlyStopping("validation_accuracy", patience=0)

    class Loop:
        def stop(self):
            self.stopped = True

        class model:
            state_dict = staticmethod(dict)

    loop = Loop()
    for epoch, accuracy in enumerate((0.5, 0.7, 0.6), start=1):
        record = EpochRecord(epoch, 1.0, None, None, None, 0.0, 1.0, accuracy)
        stopping.on_epoch_end(loop, record)
    assert (stopping.best, stopping.best_epoch, loop.stopped) == (0.7, 2, True)


def test_nothing_is_stopped_by_the_test_split():
    with pytest.raises(ValueError, match=r"'test_loss'; nothing may be chosen by the test split"):
        EarlyStopping("test_loss")
    with pytest.raises(ValueError, match=r"EpochSchedule: monitor .* got 'speed'$"):
        EpochSchedule(None, "speed")
    with pytest.raises(ValueError, match="patience and min_delta must not be negative, got -1"):
        EarlyStopping(patience=-1)
    with pytest.raises(ValueError, match="measures no validation_loss; give fit a validation"):
        scripted([1], EarlyStopping(), validation=False)
    with pytest.raises(FloatingPointError, match="EarlyStopping: validation_loss became nan"):
        scripted([np.nan], EarlyStopping())


# ---- schedule, clipping --------------------------------------------------------------------------


def test_schedules_are_stepped_after_epochs_and_told_the_validation_loss():
    told = []

    class Schedule:
        def step(self, *metric):
            told.append(metric)

    scripted([3, 1, 2], EpochSchedule(Schedule(), "validation_loss"), EpochSchedule(Schedule()))
    assert told == [(3.0,), (), (1.0,), (), (2.0,), ()]


def test_a_schedules_numbers_go_through_the_state():
    optimizer = optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
    halving = EpochSchedule(optim.StepLR(optimizer, 1, 0.5))
    halving.on_epoch_end(None, None)
    again = EpochSchedule(optim.StepLR(optimizer, 1, 0.5))
    again.load_state_dict(halving.state_dict())
    assert again.schedule.last_epoch == 1


def test_gradients_are_clipped_before_the_step():
    rng = np.random.default_rng(0)
    data = ArrayDataset(rng.standard_normal((8, 3)).astype(np.float32), np.arange(8) % 2)
    model = nn.Linear(3, 2, rng=0)
    before = model.state_dict()

    def clip(parameters):
        for parameter in parameters:
            np.clip(parameter.grad, -0.001, 0.001, out=parameter.grad)

    fit(
        model,
        DataLoader(data, 8),
        epochs=1,
        optimizer=optim.SGD(model.parameters(), lr=1.0),
        callbacks=[ClipGradients(clip)],
    )
    steps = [np.abs(value - before[name]).max() for name, value in model.state_dict().items()]
    assert max(steps) == pytest.approx(0.001, rel=1e-3)


# ---- log and bar ---------------------------------------------------------------------------------


def test_the_log_is_the_history_as_lines_of_json(tmp_path):
    path, lines = tmp_path / "log.jsonl", []

    class Read(Callback):
        def on_epoch_end(self, loop, record):
            lines.append(len(path.read_text().splitlines()))

    _, history = scripted([3, 2, 1], JsonLog(path, {"seed": 7, "epoch": 5}), Read())
    about, *records = map(json.loads, path.read_text().splitlines())
    assert about == {"seed": 7, "epoch": 5}
    assert History.from_list(records) == History.read(path) == history
    assert lines == [2, 3, 4]


def test_a_log_that_cannot_be_written_is_refused_before_an_epoch(tmp_path):
    with pytest.raises(TypeError, match=r"JsonLog: about must hold plain values: .*float32"):
        JsonLog(tmp_path / "log.jsonl", {"lr": np.float32(0.1)})
    calls = []
    with pytest.raises(FileNotFoundError, match=r"JsonLog: .*log.jsonl.*is no folder"):
        scripted([1], JsonLog(tmp_path / "no" / "log.jsonl"), ClipGradients(calls.append))
    assert not calls


def test_the_log_is_json_for_numbers_that_json_lacks(tmp_path):
    path = tmp_path / "log.jsonl"
    scripted([1, np.nan, np.inf], JsonLog(path, {"limits": (np.inf, 1.0)}))
    lines = [json.loads(line, parse_constant=pytest.fail) for line in path.read_text().splitlines()]
    assert lines[0] == {"limits": [None, 1.0]}
    assert [line["validation_loss"] for line in lines[1:]] == [1.0, None, None]


def test_the_bar_counts_batches_on_a_terminal():
    console = pytest.importorskip("rich.console")
    stream = io.StringIO()
    terminal = console.Console(file=stream, force_terminal=True, width=100)
    scripted([3, 2, 1], ProgressBar(terminal))
    assert "3/3" in stream.getvalue() and "batches" in stream.getvalue()
    plain = io.StringIO()
    scripted([3, 2, 1], ProgressBar(console.Console(file=plain)))
    assert plain.getvalue() == ""


def test_the_bar_names_the_extra_that_it_lacks(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "rich.progress", None)
    with pytest.raises(MissingExtraError, match=r"needs rich: pip install 'striate\[cli\]'"):
        ProgressBar()
