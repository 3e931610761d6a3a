"""The training loop, evaluation, history, the default network and the picture of the curve."""

import sys

import numpy as np
import pytest
from striate import nn, optim
from striate.data import ArrayDataset, DataLoader
from striate.models import ARCHITECTURES, create_model, fashion_cnn
from striate.training import (
    Callback,
    EpochRecord,
    History,
    MissingExtraError,
    confusion_matrix,
    evaluate,
    fit,
)
from striate.viz import plot_history, save_training_curve


def blobs(n=120, seed=0):
    """Three well separated clouds of points in the plane, as (n, 2) and labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, n)
    centres = np.array([[4, 0], [-4, 4], [-4, -4]], np.float32)
    points = centres[labels] + rng.standard_normal((n, 2)).astype(np.float32)
    return ArrayDataset(points, labels)


class Setup:
    """A linear classifier of the blobs and what it takes to train it."""

    def __init__(self, epochs=3, lr=0.05):
        self.model = nn.Sequential(nn.Flatten(), nn.Linear(2, 3, rng=0))
        self.train = DataLoader(blobs(), 16, shuffle=True, rng=1)
        self.test = DataLoader(blobs(60, seed=1), 25)
        self.optimizer = optim.SGD(self.model.parameters(), lr=lr, momentum=0.9)
        self.schedule = optim.OneCycleLR(
            self.optimizer, max_lr=lr, total_steps=epochs * len(self.train)
        )
        self.epochs = epochs

    def fit(self, **options):
        options = {"epochs": self.epochs, "schedule": self.schedule, **options}
        return fit(self.model, self.train, self.test, optimizer=self.optimizer, **options)

    def weights(self):
        return {name: np.array(value) for name, value in self.model.state_dict().items()}


class Calls(Callback):
    """Write down every call, with a look at the loop."""

    def __init__(self):
        self.made = []

    def on_fit_start(self, loop):
        self.made.append(("fit start", loop.epoch, loop.batch))

    def on_gradients(self, loop):
        assert all(parameter.grad is not None for parameter in loop.model.parameters())
        self.made.append(("gradients", loop.epoch, loop.batch))

    def on_batch_end(self, loop):
        self.made.append(("batch", loop.epoch, loop.batch))

    def on_epoch_end(self, loop, record):
        assert loop.history.epochs[-1] is record
        self.made.append(("epoch", record.epoch))

    def on_fit_end(self, loop):
        self.made.append(("fit end",))

    def close(self):
        self.made.append(("close",))


def test_fit_learns_and_keeps_a_record_of_every_epoch():
    setup, calls = Setup(), Calls()
    history = setup.fit(callbacks=[calls])
    assert history.column("epoch") == [1, 2, 3]
    assert history.epochs[-1].loss < history.epochs[0].loss
    assert history.epochs[-1].test_accuracy > 0.95
    assert all(seconds > 0 for seconds in history.column("seconds"))


def test_fit_reports_means_over_examples():
    """At learning rate zero the record must equal an evaluation of the unchanged model."""
    setup = Setup()
    still = optim.SGD(setup.model.parameters(), lr=0.0)
    record = fit(setup.model, setup.train, epochs=1, optimizer=still).epochs[0]
    expected = evaluate(setup.model, DataLoader(blobs(), 120))
    assert record.loss == pytest.approx(expected.loss, rel=1e-5)
    assert record.accuracy == expected.accuracy
    assert record.test_loss is record.test_accuracy is None


def test_callbacks_are_told_of_every_step_in_order():
    setup, calls = Setup(epochs=2), Calls()
    setup.fit(callbacks=[calls])
    expected = [("fit start", 1, 0)]
    for epoch in (1, 2):
        for batch in range(8):
            expected += [("gradients", epoch, batch), ("batch", epoch, batch + 1)]
        expected.append(("epoch", epoch))
    assert calls.made == [*expected, ("fit end",), ("close",)]


def test_callbacks_are_closed_after_an_exception_too():
    class Stop(Exception):
        pass

    class Breaks(Callback):
        def on_batch_end(self, loop):
            raise Stop

    calls, late = Calls(), Calls()
    with pytest.raises(Stop):
        Setup().fit(callbacks=[calls, Breaks(), late])
    assert calls.made[-1] == ("close",) and ("fit end",) not in calls.made
    assert late.made == [("fit start", 1, 0), ("gradients", 1, 0), ("close",)]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    (
        ({"epochs": -1}, ValueError, "fit: epochs must not be negative, got -1"),
        ({"epochs": 1.5}, TypeError, "fit: epochs must be an int, got 1.5"),
        ({"epochs": True}, TypeError, "fit: epochs must be an int, got True"),
        ({"validation": DataLoader(blobs(0))}, ValueError, "validation loader has no examples"),
    ),
)
def test_fit_refuses_what_cannot_be_trained_before_the_first_batch(options, error, message):
    setup = Setup()
    before = setup.weights()
    with pytest.raises(error, match=message):
        setup.fit(**options)
    np.testing.assert_equal(setup.weights(), before)
    setup.train = DataLoader(blobs(0))
    with pytest.raises(ValueError, match="fit: the training loader has no examples"):
        setup.fit(schedule=None)


def test_fit_repeats_itself_bit_for_bit():
    runs = []
    for _ in range(2):
        setup = Setup()
        setup.fit()
        runs.append(setup.weights())
    for name, value in runs[0].items():
        assert np.array_equal(value, runs[1][name])


def test_fit_stops_before_a_loss_that_is_not_finite_spreads():
    setup = Setup()
    inputs, labels = blobs().arrays
    inputs = inputs.copy()
    inputs[3] = np.nan
    loader = DataLoader(ArrayDataset(inputs, labels), 16)
    before = setup.weights()
    with pytest.raises(FloatingPointError, match="loss became nan in epoch 1, batch 1"):
        fit(setup.model, loader, epochs=1, optimizer=setup.optimizer)
    for name, value in before.items():
        assert np.array_equal(value, setup.weights()[name])


def test_evaluate_against_counting_by_hand():
    setup = Setup()
    setup.fit()
    result = evaluate(setup.model, setup.test)
    inputs, labels = setup.test.dataset.arrays
    weight, bias = setup.weights()["1.weight"], setup.weights()["1.bias"]
    scores = inputs @ weight.T + bias
    predicted = scores.argmax(1)
    shifted = scores - scores.max(1, keepdims=True)
    chances = np.exp(shifted) / np.exp(shifted).sum(1, keepdims=True)
    assert result.accuracy == np.mean(predicted == labels)
    assert result.loss == pytest.approx(-np.log(chances[np.arange(60), labels]).mean(), rel=1e-4)
    by_hand = np.zeros((3, 3), int)
    for true, guess in zip(labels, predicted, strict=True):
        by_hand[true, guess] += 1
    assert np.array_equal(result.confusion, by_hand)


@pytest.mark.parametrize("mode", [True, False])
def test_evaluate_gives_the_mode_back_and_touches_no_weights(mode):
    model = fashion_cnn(rng=0)
    model.train(mode)
    before = {name: np.array(value) for name, value in model.state_dict().items()}
    images = np.random.default_rng(0).standard_normal((6, 1, 28, 28)).astype(np.float32)
    evaluate(model, DataLoader(ArrayDataset(images, np.arange(6)), 4))
    assert model.training is mode
    for name, value in model.state_dict().items():
        assert np.array_equal(before[name], value), name


def test_evaluate_refuses_an_empty_loader():
    empty = ArrayDataset(np.zeros((0, 2), np.float32), np.zeros(0, np.int64))
    with pytest.raises(ValueError, match="no examples"):
        evaluate(Setup().model, DataLoader(empty, 4))


def test_confusion_matrix_has_true_classes_as_rows():
    matrix = confusion_matrix(np.array([0, 0, 2]), np.array([0, 1, 1]), 3)
    assert matrix.tolist() == [[1, 1, 0], [0, 0, 0], [0, 1, 0]]
    assert matrix.dtype == np.int64


# ---- models ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_architectures_map_images_to_scores_and_repeat_from_a_seed(name):
    one, two, other = (create_model(name, 7, rng=seed).eval() for seed in (3, 3, 4))
    images = np.random.default_rng(0).standard_normal((2, 1, 28, 28)).astype(np.float32)
    assert one(images).shape == (2, 7)
    assert np.array_equal(one(images).numpy(), two(images).numpy())
    assert not np.array_equal(one(images).numpy(), other(images).numpy())


def test_unknown_architectures_are_refused_by_name():
    with pytest.raises(ValueError, match=r"unknown architecture 'os.system'; known: fashion_cnn"):
        create_model("os.system")


def test_lecture_003_networks_have_the_printed_numbers_of_parameters():
    model = create_model("lecture003_cnn", rng=0)
    trainable = sum(parameter.size for parameter in model.parameters())
    running = sum(
        value.size for name, value in model.named_buffers() if name.rsplit(".")[-1][:7] == "running"
    )
    assert trainable == 1_677_674
    assert running == 1_408
    assert trainable + running == 1_679_082
    mlp = create_model("lecture003_mlp", rng=0)
    assert sum(parameter.size for parameter in mlp.parameters()) == 785 * 512 + 513 * 10


def test_lecture_003_network_has_the_printed_shapes():
    model = create_model("lecture003_cnn", rng=0).eval()
    x, shapes = np.zeros((2, 1, 28, 28), np.float32), []
    for part in model:
        x = part(x)
        shapes.append(x.shape)
    assert shapes == [
        (2, 32, 14, 14), (2, 64, 7, 7), (2, 3136), *[(2, 512)] * 4, (2, 10),
    ]  # fmt: skip


# ---- picture -----------------------------------------------------------------------------------


def finished(epochs, tested=True):
    records = [
        EpochRecord(
            epoch=n,
            loss=1 / n,
            accuracy=1 - 0.3 / n,
            test_loss=1.1 / n if tested else None,
            test_accuracy=1 - 0.4 / n if tested else None,
            seconds=2.0,
        )
        for n in range(1, epochs + 1)
    ]
    return History(records)


@pytest.mark.parametrize(("tested", "lines"), [(True, 2), (False, 1)])
def test_picture_draws_what_was_recorded(tmp_path, tested, lines):
    pytest.importorskip("matplotlib")
    history = finished(4, tested)
    for axes, name in zip(plot_history(history).axes, ("loss", "accuracy"), strict=True):
        assert len(axes.lines) == lines
        assert axes.lines[0].get_ydata().tolist() == history.column(name)
        assert axes.lines[0].get_xdata().tolist() == [1, 2, 3, 4]
    save_training_curve(history, tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_picture_of_several_runs_with_validation():
    pytest.importorskip("matplotlib")
    record = EpochRecord(1, 0.5, None, None, None, 1.0, validation_loss=0.6)
    left, right = plot_history([History([record]), History([record])]).axes
    assert [line.get_ydata()[0] for line in left.lines] == [0.5, 0.5, 0.6, 0.6]
    assert [text.get_text() for text in left.get_legend().get_texts()] == ["train", "validation"]
    assert len(right.lines) == 0


def test_picture_names_a_split_that_the_first_run_lacks():
    figure = plot_history([finished(2, tested=False), finished(3), finished(2)])
    names = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert names == ["train", "test"]


def test_picture_of_nothing_is_refused():
    for nothing in (History(), [], [finished(1), History()]):
        with pytest.raises(ValueError, match="no epochs"):
            plot_history(nothing)


def test_picture_names_the_extra_where_matplotlib_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match=r"needs matplotlib: pip install 'striate\[viz\]'"):
        plot_history(finished(2))
