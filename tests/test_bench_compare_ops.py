"""`bench.compare ops`: every operation of its list gives PyTorch's result, in a small form."""

import pytest

torch = pytest.importorskip("torch")

from bench.compare import ops  # noqa: E402


@pytest.fixture
def grad_mode():
    before = torch.is_grad_enabled()
    yield
    torch.set_grad_enabled(before)


def test_a_row_for_each_format(monkeypatch, grad_mode):
    monkeypatch.setattr(ops, "SECONDS", 0.01)
    monkeypatch.setattr(ops, "IMAGES", (2, 4, 7, 7))
    (elu,) = (op for op in ops.ops() if op.name == "elu")
    table = list(ops.rows(elu._replace(shapes=((2, 4, 7, 7),))))
    assert [row.split(" | ")[2] for row in table] == ["nchw", "nhwc"]
    assert all(float(row.split(" | ")[5]) > 0 for row in table)


def test_different_results_are_refused(grad_mode):
    wrong = ops.Op("twice", lambda x: x * 2, lambda x: x * 3, ((2, 3, 4, 4),))
    with pytest.raises(ValueError, match="twice, nchw: the results differ"):
        list(ops.rows(wrong))


def test_unknown_names_are_refused(grad_mode):
    with pytest.raises(ValueError, match="no op begins with frobnicate"):
        ops.report(1, ["frobnicate"])


def test_gradients_are_compared_too(grad_mode):
    """Forward results that agree do not hide gradients that do not."""
    halves = ops.Op(
        "cut", lambda x: x * 1.0, lambda x: x.detach() + 0 * x, ((2, 3, 4, 4),), formats=False
    )
    with pytest.raises(ValueError, match="cut, nchw: the results differ"):
        list(ops.rows(halves))
