"""What the operations that move, pool or lay out elements mean, in plain NumPy.

As in `reference`, whose conventions hold here: nothing imports striate, integers give exact
integers, arguments have one entry a spatial axis. Positions are walked one by one.
"""

import itertools
import math

import numpy as np
import reference as ref

# ---- padding -------------------------------------------------------------------------------


def pad_position(k, n, mode):
    """Where position k of an axis of n elements, perhaps outside, is read."""
    if mode == "reflect":
        while not 0 <= k < n:
            k = -k if k < 0 else 2 * (n - 1) - k
    elif mode == "replicate":
        k = min(max(k, 0), n - 1)
    elif mode == "circular":
        k %= n
    return k


def pad(x, padding, mode):
    """By mirror, edge or wrapping; a negative entry crops."""
    for axis, (low, high) in enumerate(padding, start=2):
        n = x.shape[axis]
        x = np.take(x, [pad_position(k, n, mode) for k in range(-low, n + high)], axis)
    return x


def pad_grad(input_shape, g, padding, mode):
    """Every element of g goes to where it was read."""
    for axis, (low, high) in reversed(list(enumerate(padding, start=2))):
        n = input_shape[axis]
        grad = np.zeros((*g.shape[:axis], n, *g.shape[axis + 1 :]), g.dtype)
        for to, k in enumerate(range(-low, n + high)):
            at = (slice(None),) * axis
            grad[(*at, pad_position(k, n, mode))] += g[(*at, to)]
        g = grad
    return g


# ---- pools ---------------------------------------------------------------------------------


def windows(x, kernel_size, stride, padding, ceil_mode):
    """Yield (position in the result, window cut to the input, its start before the cut)."""
    size, dense = x.shape[2:], ref.ones(len(kernel_size))
    out = ref.pool_output_size(size, kernel_size, stride, padding, dense, ceil_mode)
    for at in np.ndindex(*out):
        start = [i * s - low for i, s, (low, _) in zip(at, stride, padding, strict=True)]
        cut = tuple(
            slice(max(b, 0), min(b + k, n))
            for b, k, n in zip(start, kernel_size, size, strict=True)
        )
        yield at, x[(..., *cut)], start, out


def _reduced(x, function, **rules):
    result = None
    for at, window, start, out in windows(x, **rules):
        value = function(window, start)
        if result is None:
            result = np.zeros((*x.shape[:2], *out), value.dtype)
        result[(..., *at)] = value
    return result


def _space(window):
    return tuple(range(2, window.ndim))


def sum_pool(x, **rules):
    return _reduced(x, lambda window, _: window.sum(_space(window)), **rules)


def lp_pool(x, p, *, kernel_size, stride, ceil_mode):
    """The root of the mean power times the whole window's size, as PyTorch counts it."""
    taps = math.prod(kernel_size)
    return _reduced(
        np.asarray(x, float),
        lambda window, _: ((window**p).mean(_space(window)) * taps) ** (1 / p),
        kernel_size=kernel_size,
        stride=stride,
        padding=ref.no_padding(len(kernel_size)),
        ceil_mode=ceil_mode,
    )


def weighted_pool(x, *, kernel_size, stride, padding, sigma, count_include_pad):
    weights = np.zeros(kernel_size)
    for tap in np.ndindex(*kernel_size):
        distance = math.dist(tap, [(k - 1) / 2 for k in kernel_size])
        weights[tap] = math.exp(-(distance**2) / (2 * sigma**2))
    weights /= weights.sum()

    def average(window, start):
        cut = tuple(
            slice(max(-b, 0), max(-b, 0) + n) for b, n in zip(start, window.shape[2:], strict=True)
        )
        inside = weights[cut]
        total = (window * inside).sum(_space(window))
        return total if count_include_pad else total / inside.sum()

    rules = {"kernel_size": kernel_size, "stride": stride, "padding": padding}
    return _reduced(np.asarray(x, float), average, **rules, ceil_mode=False)


def channel_max_pool(x, k):
    return np.stack([x[:, c : c + k].max(1) for c in range(0, x.shape[1], k)], 1)


def max_unpool(x, indices, size):
    """Written one after the other: of equal indices the last stays."""
    y = np.zeros((*x.shape[:2], math.prod(size)), x.dtype)
    for at in np.ndindex(*x.shape):
        y[at[0], at[1], indices[at]] = x[at]
    return y.reshape(*x.shape[:2], *size)


def _adaptive(x, output_size):
    for at in np.ndindex(*output_size):
        cut = tuple(
            slice(i * n // m, -(-(i + 1) * n // m))
            for i, n, m in zip(at, x.shape[2:], output_size, strict=True)
        )
        yield at, cut, x[(..., *cut)]


def adaptive_avg_pool(x, output_size):
    y = np.zeros((*x.shape[:2], *output_size))
    for at, _, window in _adaptive(x, output_size):
        y[(..., *at)] = window.mean(_space(window))
    return y


def adaptive_max_pool(x, output_size):
    """Maxima and their flat positions in the input; the first wins."""
    y = np.zeros((*x.shape[:2], *output_size), x.dtype)
    indices = np.zeros(y.shape, np.int64)
    flat = np.arange(math.prod(x.shape[2:])).reshape(x.shape[2:])
    for at, cut, window in _adaptive(x, output_size):
        rows = window.reshape(*x.shape[:2], -1)
        y[(..., *at)] = rows.max(-1)
        indices[(..., *at)] = flat[cut].ravel()[rows.argmax(-1)]
    return y, indices


# ---- shuffles ------------------------------------------------------------------------------


def pixel_shuffle(x, factor):
    """Channel (c, u, v) of pixel (i, j) becomes pixel (i r + u, j r + v) of channel c."""
    taps = math.prod(factor)
    size = tuple(n * r for n, r in zip(x.shape[2:], factor, strict=True))
    y = np.zeros((x.shape[0], x.shape[1] // taps, *size), x.dtype)
    for number, tap in enumerate(np.ndindex(*factor)):
        to = tuple(slice(t, None, r) for t, r in zip(tap, factor, strict=True))
        y[(..., *to)] = x[:, number::taps]
    return y


def pixel_unshuffle(x, factor):
    taps = math.prod(factor)
    size = tuple(n // r for n, r in zip(x.shape[2:], factor, strict=True))
    y = np.zeros((x.shape[0], x.shape[1] * taps, *size), x.dtype)
    for number, tap in enumerate(np.ndindex(*factor)):
        y[:, number::taps] = x[
            (..., *(slice(t, None, r) for t, r in zip(tap, factor, strict=True)))
        ]
    return y


def channel_shuffle(x, groups):
    of_group = x.shape[1] // groups
    return x[:, [i * of_group + k for k in range(of_group) for i in range(groups)]]


# ---- windows as columns ----------------------------------------------------------------------


def _column_taps(size, kernel, dilation, padding, stride):
    """Yield (number of the tap, of the window, pixel, whether it lies inside)."""
    out = ref.conv_output_size(size, kernel, stride, padding, dilation)
    for (number, tap), (window, at) in itertools.product(
        enumerate(np.ndindex(*kernel)), list(enumerate(np.ndindex(*out)))
    ):
        pixel = tuple(
            i * s + t * d - low
            for i, s, t, d, (low, _) in zip(at, stride, tap, dilation, padding, strict=True)
        )
        if all(0 <= p < n for p, n in zip(pixel, size, strict=True)):
            yield number, window, pixel


def unfold(x, *, kernel_size, dilation, padding, stride):
    rules = (kernel_size, dilation, padding, stride)
    out = ref.conv_output_size(x.shape[2:], kernel_size, stride, padding, dilation)
    taps = math.prod(kernel_size)
    y = np.zeros((x.shape[0], x.shape[1], taps, math.prod(out)), x.dtype)
    for tap, window, pixel in _column_taps(x.shape[2:], *rules):
        y[:, :, tap, window] = x[(..., *pixel)]
    return y.reshape(x.shape[0], x.shape[1] * taps, math.prod(out))


def fold(columns, size, *, kernel_size, dilation, padding, stride):
    taps = math.prod(kernel_size)
    n, rows, count = columns.shape
    split = columns.reshape(n, rows // taps, taps, count)
    x = np.zeros((*split.shape[:2], *size), columns.dtype)
    for tap, window, pixel in _column_taps(size, kernel_size, dilation, padding, stride):
        x[(..., *pixel)] += split[:, :, tap, window]
    return x
