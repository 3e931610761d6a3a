"""Orders of axes: views, there and back, and a convolution in lecture 004's order."""

import numpy as np
import pytest
import striate
from striate import Tensor


@pytest.mark.parametrize("rank", (1, 2, 3))
def test_there_and_back_without_a_copy(rank):
    x = np.arange(2 * 3 * 4**rank, dtype=np.int16).reshape(2, 3, *(4,) * rank)
    for there, back in (
        (striate.to_nhwc, striate.from_nhwc),
        (striate.oihw_to_hwio, striate.hwio_to_oihw),
    ):
        other = there(x)
        assert np.shares_memory(other, x) and np.shares_memory(back(other), x)
        assert np.array_equal(back(other), x)
    assert striate.to_nhwc(x).shape == (2, *(4,) * rank, 3)
    assert striate.oihw_to_hwio(x).shape == (*(4,) * rank, 3, 2)


def test_a_convolution_in_the_lectures_order():
    """Y[n, i, j, o] = sum over a, b, c of X[n, i + a, j + b, c] w[a, b, c, o], written down."""
    rng = np.random.default_rng(0)
    x, w = (rng.integers(-3, 4, s).astype(np.float32) for s in ((2, 6, 5, 3), (3, 2, 3, 4)))
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 2), axis=(1, 2))
    want = np.einsum("nijcab,abco->nijo", windows, w)
    images = striate.from_nhwc(x)
    assert striate.memory_format(images) == "channels_last"
    y = striate.conv2d(images, striate.hwio_to_oihw(w), exact=True)
    assert np.array_equal(striate.to_nhwc(y), want)
    assert striate.to_nhwc(y).flags.c_contiguous


def test_tensors_and_their_gradients():
    x = Tensor(np.arange(24.0).reshape(1, 2, 3, 4), requires_grad=True)
    weights = np.arange(24.0).reshape(1, 3, 4, 2)
    (striate.to_nhwc(x) * weights).sum().backward()
    assert np.array_equal(x.grad, striate.from_nhwc(weights))


@pytest.mark.parametrize("name", ("to_nhwc", "from_nhwc", "hwio_to_oihw", "oihw_to_hwio"))
def test_other_numbers_of_axes_are_refused(name):
    for shape in ((), (3, 4), (1,) * 6):
        with pytest.raises(ValueError, match=f"{name}: .*spatial"):
            getattr(striate, name)(np.zeros(shape))
