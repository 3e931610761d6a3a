"""Random problems for the exact tests, each made again from its (seed, index) alone.

The data are small integers, so that every sum is exact in float32 whatever its order: the terms are
at most 3 * 3 and far fewer than 2^24 / 9 of them meet in one sum. Most problems are small, so that
thousands run in minutes; one in four is large enough to fill vectors and to be worth threads.
"""

import math
from dataclasses import dataclass

import numpy as np
from reference import conv_output_size, pool_output_size

LAYOUTS = (
    "contiguous",
    "channels_last",
    "negative",
    "broadcast",
    "fortran",
    "transposed",
    "misaligned",
    "sliced",
    "offset",
)
# Memory formats of the interface come first in real life, so they do here.
LAYOUT_ODDS = (0.35, 0.25, 0.08, 0.06, 0.05, 0.06, 0.05, 0.05, 0.05)
LARGEST = 3


def rng_of(seed, index):
    return np.random.default_rng((seed, index))


def integers(rng, shape, dtype=np.int64):
    """Integers of -3..3 in an array of `dtype`."""
    return rng.integers(-LARGEST, LARGEST + 1, shape).astype(dtype)


def lay_out(x, layout, rng):
    """The array `x` in the named layout; equal values, but for "broadcast", which repeats some."""
    if layout == "contiguous":
        return np.ascontiguousarray(x)
    if layout == "channels_last":
        return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    if layout == "negative":
        flipped = tuple(slice(None, None, step) for step in rng.choice((1, -1), x.ndim))
        return np.ascontiguousarray(x[flipped])[flipped]
    if layout == "broadcast":
        axis = rng.integers(x.ndim)
        one = np.take(x, range(min(1, x.shape[axis])), axis)
        return np.broadcast_to(one, x.shape)
    if layout == "fortran":
        return np.asfortranarray(x)
    if layout == "transposed":
        order = rng.permutation(x.ndim)
        return np.ascontiguousarray(x.transpose(order)).transpose(np.argsort(order))
    if layout == "misaligned":
        memory = np.zeros(x.nbytes + 1, np.uint8)
        view = memory[1:].view(x.dtype).reshape(x.shape)
        view[...] = x
        return view
    if layout == "sliced":
        room = np.full([n * 2 + 1 for n in x.shape], np.nan, x.dtype)
        view = room[tuple(slice(1, None, 2) for _ in x.shape)]
        view[...] = x
        return view
    if layout == "offset":  # aligned for its dtype, but not for a vector
        memory = np.full(x.size + 3, np.nan, x.dtype)
        view = memory[3:].reshape(x.shape)
        view[...] = x
        return view
    raise ValueError(f"unknown layout {layout!r}")


def pick_layout(rng):
    return str(rng.choice(LAYOUTS, p=LAYOUT_ODDS))


@dataclass(frozen=True)
class ConvProblem:
    """One convolution; str() gives the line that makes it again and what it is."""

    seed: int
    index: int
    input_shape: tuple
    weight_shape: tuple
    stride: tuple
    padding: tuple
    dilation: tuple
    groups: int
    dtype: type
    layouts: tuple  # of input, weight, grad_output

    @property
    def ndim(self):
        return len(self.stride)

    @property
    def output_shape(self):
        size = conv_output_size(
            self.input_shape[2:], self.weight_shape[2:], self.stride, self.padding, self.dilation
        )
        return (self.input_shape[0], self.weight_shape[0], *size)

    @property
    def window(self):
        """The keyword arguments which ours and the reference share."""
        return {
            "stride": self.stride,
            "padding": self.padding,
            "dilation": self.dilation,
            "groups": self.groups,
        }

    @property
    def multiply_adds(self):
        return math.prod(self.output_shape) * math.prod(self.weight_shape[1:])

    def arrays(self):
        """Input, weight, bias, grad_output: small integers in the problem's dtype and layouts."""
        rng = rng_of(self.seed + 1, self.index)
        shapes = self.input_shape, self.weight_shape, self.output_shape
        x, w, g = (
            lay_out(integers(rng, shape, self.dtype), layout, rng)
            for shape, layout in zip(shapes, self.layouts, strict=True)
        )
        return x, w, integers(rng, self.weight_shape[0], self.dtype), g

    def __str__(self):
        return (
            f"conv_problem(seed={self.seed}, index={self.index})  # input {self.input_shape} "
            f"weight {self.weight_shape} stride {self.stride} padding {self.padding} dilation "
            f"{self.dilation} groups {self.groups} {np.dtype(self.dtype)} {'/'.join(self.layouts)}"
        )


def conv_problem(seed, index):
    """The problem of that number; every fourth is large."""
    rng = rng_of(seed, index)
    large = index % 4 == 3
    ndim = int(rng.choice((1, 2, 3), p=(0.25, 0.5, 0.25)))
    groups, of_group, out_of_group = _conv_channels(rng, large)
    n = int(rng.choice((0, 1, 2, 3), p=(0.02, 0.5, 0.3, 0.18)))
    axes = [_conv_axis(rng, ndim, large) for _ in range(ndim)]
    size, kernel, stride, padding, dilation = zip(*axes, strict=True)
    if index % 97 == 0:  # spatial axes of length zero live on padding alone
        size = (0, *size[1:])
        reach = dilation[0] * (kernel[0] - 1) + 1
        padding = ((reach, int(rng.integers(3))), *padding[1:])
    return ConvProblem(
        seed,
        index,
        (n, groups * of_group, *size),
        (groups * out_of_group, of_group, *kernel),
        stride,
        padding,
        dilation,
        groups,
        np.float64 if rng.random() < 0.15 else np.float32,
        tuple(pick_layout(rng) for _ in range(3)),
    )


def _conv_channels(rng, large):
    """(groups, input channels of a group, output channels of a group)."""
    kind = rng.choice(("dense", "depthwise", "grouped"), p=(0.6, 0.2, 0.2))
    top = 67 if large else 9
    if kind == "depthwise":
        return int(rng.integers(1, top + 1)), 1, int(rng.choice((1, 1, 2, 3)))
    if kind == "grouped":
        top = top // 4 + 1
        return int(rng.integers(2, 5)), *(int(c) for c in rng.integers(1, top + 1, 2))
    if not large and rng.random() < 0.03:  # no input channels: the bias alone; no output channels
        return (1, 0, 3) if rng.random() < 0.5 else (1, 3, 0)
    return 1, *(int(c) for c in rng.integers(1, top + 1, 2))


def _conv_axis(rng, ndim, large):
    """(size, kernel, stride, (low, high), dilation) of one axis, with at least one window."""
    top = {1: 200, 2: 24, 3: 9}[ndim] if large else {1: 24, 2: 9, 3: 6}[ndim]
    kernel = int(rng.choice((1, 2, 3, 4, 5, 7), p=(0.2, 0.1, 0.4, 0.1, 0.1, 0.1)))
    if ndim == 3:
        kernel = min(kernel, 4)
    stride = int(rng.choice((1, 2, 3, 4), p=(0.6, 0.25, 0.1, 0.05)))
    dilation = int(rng.choice((1, 2, 3), p=(0.75, 0.2, 0.05)))
    kind = rng.choice(("none", "half", "any", "wide"), p=(0.3, 0.35, 0.3, 0.05))
    low, high = {
        "none": (0, 0),
        "half": (kernel // 2, kernel // 2),
        "any": (int(rng.integers(4)), int(rng.integers(4))),
        "wide": (kernel * dilation + 1, kernel * dilation),  # windows that see padding alone
    }[str(kind)]
    reach = dilation * (kernel - 1) + 1
    size = max(int(rng.integers(1, top + 1)), reach - low - high, 1)
    return size, kernel, stride, (low, high), dilation


@dataclass(frozen=True)
class PoolProblem:
    """One pooling; `window` fits max pooling, without dilation it fits average pooling."""

    seed: int
    index: int
    input_shape: tuple
    kernel_size: tuple
    stride: tuple
    padding: tuple
    dilation: tuple
    ceil_mode: bool
    dtype: type
    layout: str

    @property
    def ndim(self):
        return len(self.stride)

    @property
    def window(self):
        return {
            "kernel_size": self.kernel_size,
            "stride": self.stride,
            "padding": self.padding,
            "dilation": self.dilation,
            "ceil_mode": self.ceil_mode,
        }

    @property
    def dense_window(self):
        return {name: value for name, value in self.window.items() if name != "dilation"}

    @property
    def output_shape(self):
        return (
            *self.input_shape[:2],
            *pool_output_size(
                self.input_shape[2:],
                self.kernel_size,
                self.stride,
                self.padding,
                self.dilation,
                self.ceil_mode,
            ),
        )

    def input(self):
        rng = rng_of(self.seed + 1, self.index)
        return lay_out(integers(rng, self.input_shape, self.dtype), self.layout, rng)

    def grad_output(self):
        rng = rng_of(self.seed + 2, self.index)
        return lay_out(integers(rng, self.output_shape, self.dtype), pick_layout(rng), rng)

    def __str__(self):
        return (
            f"pool_problem(seed={self.seed}, index={self.index})  # input {self.input_shape} "
            f"kernel {self.kernel_size} stride {self.stride} padding {self.padding} dilation "
            f"{self.dilation} ceil_mode {self.ceil_mode} {np.dtype(self.dtype)} {self.layout}"
        )


def pool_problem(seed, index, *, dilated):
    """The pooling problem of that number, with dilations above 1 only if asked for."""
    rng = rng_of(seed, index)
    large = index % 4 == 3
    ndim = int(rng.choice((1, 2, 3), p=(0.25, 0.5, 0.25)))
    axes = [_pool_axis(rng, ndim, large, dilated) for _ in range(ndim)]
    size, kernel, stride, padding, dilation = zip(*axes, strict=True)
    n = int(rng.choice((0, 1, 2, 3), p=(0.02, 0.5, 0.3, 0.18)))
    channels = int(rng.integers(0 if index % 50 == 0 else 1, 40 if large else 10))
    return PoolProblem(
        seed,
        index,
        (n, channels, *size),
        kernel,
        stride,
        padding,
        dilation,
        bool(rng.random() < 0.4),
        np.float64 if rng.random() < 0.15 else np.float32,
        pick_layout(rng),
    )


def _pool_axis(rng, ndim, large, dilated):
    """(size, kernel, stride, (low, high), dilation), each window holding at least one pixel."""
    top = {1: 150, 2: 30, 3: 10}[ndim] if large else {1: 20, 2: 9, 3: 5}[ndim]
    kernel = int(rng.choice((1, 2, 3, 4, 5), p=(0.1, 0.35, 0.35, 0.1, 0.1)))
    stride = int(rng.choice((1, 2, 3, 4), p=(0.35, 0.4, 0.15, 0.1)))
    dilation = int(rng.choice((1, 2, 3), p=(0.6, 0.3, 0.1))) if dilated else 1
    reach = dilation * (kernel - 1) + 1
    low, high = (int(p) for p in rng.integers(0, kernel // 2 + 1, 2))
    # With dilation a window can step over a very short input and meet padding alone.
    least = max(reach - low - high, dilation, 1)
    return max(int(rng.integers(1, top + 1)), least), kernel, stride, (low, high), dilation
