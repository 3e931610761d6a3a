"""Every kind of array gives the same answer as its contiguous copy, or a clear error.

Layouts in memory (strides of all signs, stride 0, odd addresses, byte order), read-only arrays,
sizes 0 and 1, and everything that is not quite an array: lists, buffers, DLPack exporters,
subclasses. Kinds that are refused are rows of test_bad_calls.py.
"""

import array

import numpy as np
import pytest
import striate
from problems import LAYOUTS, lay_out

SHAPE = (2, 5, 8, 9)

# One call an operation on an image; the rest of the arguments is fixed.
RNG = np.random.default_rng(11)
WEIGHT = RNG.integers(-3, 4, (7, 5, 3, 3)).astype(np.float32)
UNPOOLED = RNG.integers(0, 16 * 18, SHAPE)
# eighths of a pixel: exact sums
GRID = (2 * RNG.integers(-9, 80, (2, 6, 7, 2)) / 8 + 1).astype(np.float32) / np.float32((9, 8)) - 1
MATRICES = (RNG.integers(-8, 9, (2, 2, 3)) / 4).astype(np.float32)
OPS = {
    "conv2d": lambda x: striate.conv2d(x, WEIGHT, padding=1, exact=True),
    "conv2d grouped": lambda x: striate.conv2d(x, WEIGHT[:5, :1], groups=5, exact=True),
    "conv2d_weight_grad": lambda x: striate.conv2d_weight_grad(
        x, (7, 5, 3, 3), np.ones((2, 7, 6, 7), np.float32), exact=True
    ),
    "conv2d_input_grad": lambda x: striate.conv2d_input_grad(
        (2, 3, 10, 11), WEIGHT[:5, :3], x, exact=True
    ),
    "conv_transpose2d": lambda x: striate.conv_transpose2d(x, WEIGHT[:5], stride=2, exact=True),
    "conv_bias_grad": lambda x: striate.conv_bias_grad(x),
    "max_pool2d": lambda x: striate.max_pool2d(x, 3, stride=2, padding=1, ceil_mode=True),
    "max_pool2d indices": lambda x: striate.max_pool2d(x, 2, return_indices=True)[1],
    "avg_pool2d": lambda x: striate.avg_pool2d(x, 2),
    "max_pool2d_input_grad": lambda x: striate.max_pool2d_input_grad(
        (2, 5, 16, 18), np.full(SHAPE, 3), x
    ),
    "avg_pool2d_input_grad": lambda x: striate.avg_pool2d_input_grad((2, 5, 16, 18), x, 2),
    "global_max_pool": lambda x: striate.global_max_pool(x),
    "global_avg_pool": lambda x: striate.global_avg_pool(x),
    "downsample": lambda x: striate.downsample(x, 2),
    "upsample_zeros": lambda x: striate.upsample_zeros(x, 2),
    "grid_sample": lambda x: striate.grid_sample(x, GRID),
    "interpolate nearest": lambda x: striate.interpolate(x, size=(5, 20), mode="nearest"),
    "interpolate area": lambda x: striate.interpolate(x, size=(4, 18), mode="area"),
    "interpolate bicubic": lambda x: striate.interpolate(x, scale_factor=2, mode="bicubic"),
    "interpolate bilinear": lambda x: striate.interpolate(x, scale_factor=2, mode="bilinear"),
    "pad reflect": lambda x: striate.pad(x, ((1, 2), (0, 3)), "reflect"),
    "pad circular": lambda x: striate.pad(x, ((1, 2), (0, 3)), "circular"),
    "sum_pool2d": lambda x: striate.sum_pool2d(x, 3, 2, 1),
    "lp_pool2d": lambda x: striate.lp_pool2d(x, 2, 2),
    "weighted_pool2d": lambda x: striate.weighted_pool2d(x, 3, 1),
    "channel_max_pool": lambda x: striate.channel_max_pool(x, 5),
    "max_unpool2d": lambda x: striate.max_unpool2d(x, UNPOOLED, 2),
    "adaptive_avg_pool2d": lambda x: striate.adaptive_avg_pool2d(x, (3, 4)),
    "adaptive_max_pool2d": lambda x: striate.adaptive_max_pool2d(x, (3, 4)),
    "pixel_unshuffle": lambda x: striate.pixel_unshuffle(x, (2, 3)),
    "channel_shuffle": lambda x: striate.channel_shuffle(x, 5),
    "unfold": lambda x: striate.unfold(x, 3, 1, 1, 2),
    "convolve": lambda x: striate.convolve(x, WEIGHT, padding="half", exact=True),
    "pad": lambda x: striate.pad(x, ((1, 2), (0, 3)), value=4.0),
    "warp_affine": lambda x: striate.warp_affine(x, MATRICES),
    "linear": lambda x: striate.linear(x, WEIGHT.reshape(35, 9)),
    "batch_norm": lambda x: striate.batch_norm(x, np.zeros(5, x.dtype), np.ones(5, x.dtype)),
    "group_norm": lambda x: striate.group_norm(x, 5),
    "layer_norm": lambda x: striate.layer_norm(x, 9),
    "instance_norm": lambda x: striate.instance_norm(x),
    "local_response_norm": lambda x: striate.local_response_norm(x, 3),
    "normalize": lambda x: striate.normalize(x),
    "relu": lambda x: striate.relu(x),
    "leaky_relu": lambda x: striate.leaky_relu(x, 0.25),
    "sigmoid": lambda x: striate.sigmoid(x),
    "tanh": lambda x: striate.tanh(x),
    "elu": lambda x: striate.elu(x),
    "gelu": lambda x: striate.gelu(x),
    "hardsigmoid": lambda x: striate.hardsigmoid(x),
    "hardswish": lambda x: striate.hardswish(x),
    "logsigmoid": lambda x: striate.logsigmoid(x),
    "mish": lambda x: striate.mish(x),
    "relu6": lambda x: striate.relu6(x),
    "selu": lambda x: striate.selu(x),
    "silu": lambda x: striate.silu(x),
    "softplus": lambda x: striate.softplus(x),
    "prelu": lambda x: striate.prelu(x, np.float32([0.5, 2, -1, 0, 3])),
    "dropout2d": lambda x: striate.dropout2d(x, rng=1),
    "l1_loss": lambda x: striate.l1_loss(x, np.ones(SHAPE, x.dtype), "none"),
    "huber_loss": lambda x: striate.huber_loss(x, np.ones(SHAPE, x.dtype), "none"),
    "cross_entropy": lambda x: striate.cross_entropy(
        x, np.ones((2, 8, 9), int), "none", label_smoothing=0.1
    ),
    "binary_cross_entropy_with_logits": lambda x: striate.binary_cross_entropy_with_logits(
        x, np.ones(SHAPE, x.dtype), "none"
    ),
    "kl_div": lambda x: striate.kl_div(x, np.ones(SHAPE, x.dtype), "none"),
    "softmax": lambda x: striate.softmax(x, 1),
    "log_softmax": lambda x: striate.log_softmax(x, -1),
}
# Sums of rounded numbers may run in another order in another layout: equal to rounding only.
ROUNDED = {"weighted_pool2d", "batch_norm", "sigmoid", "tanh", "softmax", "log_softmax"}
ROUNDED = {
    "batch_norm",
    "cross_entropy",
    "group_norm",
    "instance_norm",
    "layer_norm",
    "local_response_norm",
    "log_softmax",
    "normalize",
    "sigmoid",
    "softmax",
    "tanh",
}
ROUNDED = {"batch_norm", "grid_sample", "sigmoid", "tanh", "softmax", "log_softmax"}


def image():
    return np.random.default_rng(12).integers(-3, 4, SHAPE).astype(np.float32)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("op", OPS)
def test_any_layout_equals_the_contiguous_copy(op, layout):
    x = lay_out(image(), layout, np.random.default_rng(13))
    before = x.copy()
    got, want = OPS[op](x), OPS[op](np.ascontiguousarray(before))
    if op in ROUNDED:
        np.testing.assert_allclose(got, want, rtol=2e-6, atol=1e-7)
    else:
        np.testing.assert_array_equal(got, want)
    assert got.dtype == want.dtype
    np.testing.assert_array_equal(x, before)  # inputs are never modified


@pytest.mark.parametrize("op", OPS)
def test_read_only_and_byte_swapped_arrays(op):
    x = image()
    want = OPS[op](x)
    swapped = x.astype(x.dtype.newbyteorder())
    frozen = x.copy()
    frozen.flags.writeable = False
    for other in (swapped, frozen):
        got = OPS[op](other)
        assert got.dtype == want.dtype and got.dtype.isnative
        np.testing.assert_array_equal(got, want)


class Exporter:
    """An array known only through the DLPack protocol."""

    def __init__(self, held):
        self.held = held

    def __dlpack__(self, **keywords):
        return self.held.__dlpack__(**keywords)

    def __dlpack_device__(self):
        return self.held.__dlpack_device__()


class Convertible:
    """An array known only through __array__."""

    def __init__(self, held):
        self.held = held

    def __array__(self, dtype=None, copy=None):
        return self.held if dtype is None else self.held.astype(dtype)


class Subclass(np.ndarray):
    pass


@pytest.mark.parametrize("wrap", (Exporter, Convertible, memoryview, lambda x: x.view(Subclass)))
def test_array_likes(wrap):
    x = image()
    got = striate.conv2d(wrap(x), wrap(WEIGHT), padding=1)
    np.testing.assert_array_equal(got, OPS["conv2d"](x))
    assert type(got) is np.ndarray


def test_lists_and_standard_library_arrays():
    """A list of floats holds float64; array.array("f") float32."""
    got = striate.linear([[1.0, 2.0]], [[3.0, 4.0], [5.0, 6.0]])
    np.testing.assert_array_equal(got, [[11, 17]])
    assert got.dtype == np.float64
    assert striate.relu(array.array("f", (-1, 2))).dtype == np.float32


@pytest.mark.parametrize("shape", ((0, 5, 8, 9), (2, 5, 1, 1), (1, 1, 1, 1), (1, 5, 1, 9)))
def test_sizes_zero_and_one(shape):
    x = np.ones(shape, np.float32)
    channels = shape[1]
    weight = np.ones((3, channels, 1, 1), np.float32)
    y = striate.conv2d(x, weight)
    assert y.shape == (shape[0], 3, *shape[2:])
    assert (y == channels).all()
    assert striate.conv2d_weight_grad(x, weight.shape, y).shape == weight.shape
    assert striate.max_pool2d(x, 1).shape == shape
    assert striate.global_avg_pool(x).shape == (*shape[:2], 1, 1)
    assert striate.relu(x).shape == striate.softmax(x, 1).shape == shape


def test_an_empty_batch_has_zero_weight_gradient():
    x, g = np.ones((0, 4, 6, 6), np.float32), np.ones((0, 8, 4, 4), np.float32)
    dw = striate.conv2d_weight_grad(x, (8, 4, 3, 3), g)
    np.testing.assert_array_equal(dw, np.zeros((8, 4, 3, 3)))
    np.testing.assert_array_equal(striate.conv_bias_grad(g), np.zeros(8))


def test_numbers_are_arrays_of_no_axes():
    assert striate.relu(np.float32(-2)).shape == ()
    assert float(striate.tanh(np.array(0.0))) == 0.0


def test_integer_arguments_of_numpy_count_as_integers():
    x = image()
    window = {"stride": np.array([2, 1]), "padding": np.int8(1), "dilation": (np.uint16(1),) * 2}
    got = striate.conv2d(x, WEIGHT, **window, groups=np.int64(1))
    np.testing.assert_array_equal(got, striate.conv2d(x, WEIGHT, stride=(2, 1), padding=1))


def test_the_result_belongs_to_the_caller():
    """Writing into a result changes no other result, even of the same call on the same data."""
    x = image()
    first = striate.conv2d(x, WEIGHT)
    second = striate.conv2d(x, WEIGHT)
    kept = second.copy()
    first[...] = np.nan
    np.testing.assert_array_equal(second, kept)
    assert first.flags.writeable and first.flags.aligned
