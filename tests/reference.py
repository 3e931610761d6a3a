"""What every operation means, in plain NumPy: the oracles that the tests compare with.

Nothing here imports striate. The functions follow the dtype of their input: integers in, exact
int64 out; floats in, float64 arithmetic. Arguments are in their strict form, one entry a spatial
axis and `padding` a (low, high) pair an axis; shapes are (N, C, spatial...) with any number of
spatial axes. Speed is of no concern, being obviously right is: each convolution is a loop over the
taps of its kernel, and `multiply_adds` spells the definition out one product at a time to check
even that.
"""

import itertools
import math

import numpy as np


def ones(ndim):
    return (1,) * ndim


def no_padding(ndim):
    return ((0, 0),) * ndim


def conv_output_size(size, kernel, stride, padding, dilation):
    """Windows that fit on each axis: floor((size + low + high - extent) / stride) + 1."""
    return tuple(
        (n + low + high - (d * (k - 1) + 1)) // s + 1
        for n, k, s, (low, high), d in zip(size, kernel, stride, padding, dilation, strict=True)
    )


def _exact(*arrays):
    """The dtype to compute in: int64 for integers, float64 for floats."""
    return np.result_type(np.int64, *arrays)


def _pad(x, padding, value=0):
    return np.pad(x, ((0, 0), (0, 0), *padding), constant_values=value)


def _crop(x, padding, size):
    inside = tuple(slice(low, low + n) for (low, _), n in zip(padding, size, strict=True))
    return x[(..., *inside)]


def _taps(kernel, stride, dilation, out_size):
    """For each tap of the kernel, the slices of the padded input it meets, window by window."""
    for tap in itertools.product(*map(range, kernel)):
        yield (
            tap,
            (
                ...,
                *(
                    slice(t * d, t * d + (m - 1) * s + 1, s)
                    for t, d, m, s in zip(tap, dilation, out_size, stride, strict=True)
                ),
            ),
        )


def _split(channels_axis, groups, x):
    """View axis `channels_axis` as (groups, channels of a group)."""
    shape = list(x.shape)
    shape[channels_axis : channels_axis + 1] = [groups, shape[channels_axis] // groups]
    return x.reshape(shape)


# ---- convolution ---------------------------------------------------------------------------


def conv_forward(x, w, bias=None, *, stride, padding, dilation, groups=1):
    """y[n, o, p] = bias[o] + sum over c, t of x[n, c, p stride + t dilation - low] w[o, c, t]."""
    kernel = w.shape[2:]
    out_size = conv_output_size(x.shape[2:], kernel, stride, padding, dilation)
    padded = _split(1, groups, _pad(x, padding))
    weight = _split(0, groups, w)
    y = np.zeros((x.shape[0], groups, w.shape[0] // groups, *out_size), _exact(x, w))
    for tap, met in _taps(kernel, stride, dilation, out_size):
        y += np.einsum("ngc...,goc->ngo...", padded[met], weight[(..., *tap)])
    y = y.reshape(x.shape[0], w.shape[0], *out_size)
    return y if bias is None else y + bias.reshape(-1, *ones(len(kernel)))


def conv_input_grad(input_shape, w, g, *, stride, padding, dilation, groups=1):
    """Each product of the forward pass sends grad_output times its weight back to its pixel."""
    kernel, out_size = w.shape[2:], g.shape[2:]
    size = tuple(n + low + high for n, (low, high) in zip(input_shape[2:], padding, strict=True))
    grad = np.zeros((input_shape[0], groups, input_shape[1] // groups, *size), _exact(w, g))
    weight, grad_output = _split(0, groups, w), _split(1, groups, g)
    for tap, met in _taps(kernel, stride, dilation, out_size):
        grad[met] += np.einsum("ngo...,goc->ngc...", grad_output, weight[(..., *tap)])
    return _crop(grad.reshape(*input_shape[:2], *size), padding, input_shape[2:])


def conv_weight_grad(x, weight_shape, g, *, stride, padding, dilation, groups=1):
    """Each product of the forward pass sends grad_output times its pixel back to its weight."""
    kernel, out_size = weight_shape[2:], g.shape[2:]
    padded, grad_output = _split(1, groups, _pad(x, padding)), _split(1, groups, g)
    grad = np.zeros((groups, weight_shape[0] // groups, *weight_shape[1:]), _exact(x, g))
    space = "xyz"[: len(kernel)]
    for tap, met in _taps(kernel, stride, dilation, out_size):
        grad[(..., *tap)] = np.einsum(f"ngc{space},ngo{space}->goc", padded[met], grad_output)
    return grad.reshape(weight_shape)


def conv_bias_grad(g):
    return g.sum(axis=(0, *range(2, g.ndim)), dtype=_exact(g))


def conv_transpose(x, w, bias=None, *, stride, padding, output_padding, dilation, groups=1):
    """The adjoint of the convolution with that weight, (C_in, C_out / groups, ...), plus bias."""
    size = tuple(
        (n - 1) * s - low - high + d * (k - 1) + 1 + extra
        for n, k, s, (low, high), extra, d in zip(
            x.shape[2:], w.shape[2:], stride, padding, output_padding, dilation, strict=True
        )
    )
    shape = (x.shape[0], w.shape[1] * groups, *size)
    # Pixels that no window reaches (output_padding) stay zero, as they do in an input gradient.
    y = conv_input_grad(
        shape, w, x, stride=stride, padding=padding, dilation=dilation, groups=groups
    )
    return y if bias is None else y + bias.reshape(-1, *ones(len(size)))


def multiply_adds(input_shape, weight_shape, *, stride, padding, dilation, groups=1):
    """Yield (index into x, into w, into y) of every product in a convolution: the six loops.

    forward y[iy] += x[ix] w[iw]; input gradient x[ix] += w[iw] y[iy]; weight gradient
    w[iw] += x[ix] y[iy]. Slow, and the definition itself.
    """
    size, kernel = input_shape[2:], weight_shape[2:]
    out_size = conv_output_size(size, kernel, stride, padding, dilation)
    of_group = weight_shape[0] // groups
    for n in range(input_shape[0]):
        for o in range(weight_shape[0]):
            for c in range(weight_shape[1]):
                for p in np.ndindex(*out_size):
                    for t in np.ndindex(*kernel):
                        pixel = tuple(
                            pi * s + ti * d - low
                            for pi, s, ti, d, (low, _) in zip(
                                p, stride, t, dilation, padding, strict=True
                            )
                        )
                        if all(0 <= i < m for i, m in zip(pixel, size, strict=True)):
                            channel = o // of_group * weight_shape[1] + c
                            yield (n, channel, *pixel), (o, c, *t), (n, o, *p)


# ---- pooling -------------------------------------------------------------------------------


def pool_output_size(size, kernel, stride, padding, dilation, ceil_mode):
    """As PyTorch: in ceil_mode a last window counts if it starts in the input or left padding."""
    result = []
    for n, k, s, (low, high), d in zip(size, kernel, stride, padding, dilation, strict=True):
        room = n + low + high - (d * (k - 1) + 1)
        if not ceil_mode:
            result.append(room // s + 1)
            continue
        m = -(-room // s) + 1
        result.append(m - 1 if (m - 1) * s >= n + low else m)
    return tuple(result)


def _reach(size, kernel, stride, padding, dilation, out_size):
    """The padding which lets every window of ceil_mode fit."""
    return tuple(
        (low, max(high, (m - 1) * s + d * (k - 1) + 1 - n - low))
        for n, k, s, (low, high), d, m in zip(
            size, kernel, stride, padding, dilation, out_size, strict=True
        )
    )


def max_pool(x, *, kernel_size, stride, padding, dilation, ceil_mode=False):
    """Maximum and its flat index in the input's spatial axes; the first maximum wins a tie.

    As in PyTorch a NaN beats everything, a later NaN an earlier one; padding never wins.
    """
    size = x.shape[2:]
    out_size = pool_output_size(size, kernel_size, stride, padding, dilation, ceil_mode)
    reach = _reach(size, kernel_size, stride, padding, dilation, out_size)
    flat = np.arange(math.prod(size)).reshape(1, 1, *size)
    padded, positions = _pad(x, reach), _pad(flat, reach, -1)
    best = np.zeros((*x.shape[:2], *out_size), x.dtype)
    indices = np.full(best.shape, -1)
    for _, met in _taps(kernel_size, stride, dilation, out_size):
        value, position = padded[met], np.broadcast_to(positions[met], best.shape)
        wins = (position >= 0) & ((indices < 0) | (value > best) | (value != value))
        best, indices = np.where(wins, value, best), np.where(wins, position, indices)
    return best, indices


def scatter_add(input_shape, indices, g):
    """Send every entry of g to the pixel that its index names: the gradient of max pooling."""
    grad = np.zeros((*input_shape[:2], math.prod(input_shape[2:])), _exact(g))
    for n, c in np.ndindex(*input_shape[:2]):
        np.add.at(grad[n, c], indices[n, c].ravel(), g[n, c].ravel())
    return grad.reshape(input_shape)


def _avg_divisors(size, kernel, stride, padding, out_size, include_pad, override):
    """How much each window's sum is divided by; padding past `high` is never counted."""
    counts = np.ones((), np.int64)
    for n, k, s, (low, high), m in zip(size, kernel, stride, padding, out_size, strict=True):
        start = np.arange(m) * s - low
        end = np.minimum(start + k, n + high)
        if not include_pad:
            start, end = np.maximum(start, 0), np.minimum(end, n)
        counts = np.multiply.outer(counts, np.maximum(end - start, 0))
    return np.maximum(counts, 1) if override is None else np.full_like(counts, override)


def avg_pool(
    x,
    *,
    kernel_size,
    stride,
    padding,
    ceil_mode=False,
    count_include_pad=True,
    divisor_override=None,
):
    """Mean of every window as PyTorch counts it; a float64 result, integers included."""
    size, dense = x.shape[2:], ones(x.ndim - 2)
    out_size = pool_output_size(size, kernel_size, stride, padding, dense, ceil_mode)
    padded = _pad(x, _reach(size, kernel_size, stride, padding, dense, out_size))
    total = np.zeros((*x.shape[:2], *out_size), _exact(x))
    for _, met in _taps(kernel_size, stride, dense, out_size):
        total += padded[met]
    return total / _avg_divisors(
        size, kernel_size, stride, padding, out_size, count_include_pad, divisor_override
    )


def avg_pool_input_grad(
    input_shape,
    g,
    *,
    kernel_size,
    stride,
    padding,
    ceil_mode=False,
    count_include_pad=True,
    divisor_override=None,
):
    """Every pixel of a window receives an equal share of the window's gradient."""
    size, out_size, dense = input_shape[2:], g.shape[2:], ones(g.ndim - 2)
    reach = _reach(size, kernel_size, stride, padding, dense, out_size)
    share = g / _avg_divisors(
        size, kernel_size, stride, padding, out_size, count_include_pad, divisor_override
    )
    padded_size = (n + low + high for n, (low, high) in zip(size, reach, strict=True))
    grad = np.zeros((*input_shape[:2], *padded_size))
    for _, met in _taps(kernel_size, stride, dense, out_size):
        grad[met] += share
    return _crop(grad, reach, size)


# ---- resampling and padding ----------------------------------------------------------------


def downsample(x, factor):
    return x[(..., *(slice(None, None, f) for f in factor))]


def upsample_zeros(x, factor, output_size):
    y = np.zeros((*x.shape[:2], *output_size), x.dtype)
    y[(..., *(slice(None, None, f) for f in factor))] = x
    return y


def interpolation_matrix(n, m, mode, align_corners=False, scale_factor=None):
    """The (m, n) matrix that resamples one axis of n pixels to m, as PyTorch defines it."""
    matrix, target = np.zeros((m, n)), np.arange(m)
    step = 1 / scale_factor if scale_factor is not None else n / m
    if mode == "nearest":
        matrix[target, np.minimum(np.floor(target * step).astype(int), n - 1)] = 1
        return matrix
    if align_corners:
        source = target * ((n - 1) / (m - 1) if m > 1 else 0.0)
    else:
        source = np.maximum(step * (target + 0.5) - 0.5, 0.0)
    left = np.minimum(np.floor(source).astype(int), n - 1)
    right = np.minimum(left + 1, n - 1)
    fraction = source - left
    np.add.at(matrix, (target, left), 1 - fraction)
    np.add.at(matrix, (target, right), fraction)
    return matrix


def _along_axes(x, matrices):
    for axis, matrix in enumerate(matrices, start=2):
        x = np.moveaxis(np.tensordot(matrix, x, axes=(1, axis)), 0, axis)
    return x


def interpolate(x, output_size, mode, align_corners=False, scale_factor=None):
    """Nearest or (bi-, tri-) linear interpolation, one matrix an axis."""
    scales = scale_factor or (None,) * len(output_size)
    return _along_axes(
        x,
        [
            interpolation_matrix(n, m, mode, align_corners, s)
            for n, m, s in zip(x.shape[2:], output_size, scales, strict=True)
        ],
    )


def interpolate_input_grad(input_shape, g, mode, align_corners=False, scale_factor=None):
    """The same matrices, transposed."""
    scales = scale_factor or (None,) * (g.ndim - 2)
    return _along_axes(
        g,
        [
            interpolation_matrix(n, m, mode, align_corners, s).T
            for n, m, s in zip(input_shape[2:], g.shape[2:], scales, strict=True)
        ],
    )


def pad(x, padding, value=0):
    """Constant padding; a negative entry crops."""
    grown = _pad(x, [(max(low, 0), max(high, 0)) for low, high in padding], value)
    inside = (
        slice(max(-low, 0), n - max(-high, 0))
        for (low, high), n in zip(padding, grown.shape[2:], strict=True)
    )
    return grown[(..., *inside)]


# ---- the rest ------------------------------------------------------------------------------


def linear(x, w, bias=None):
    y = x @ w.T
    return y if bias is None else y + bias


def _per_channel(v, ndim):
    return v.reshape(1, -1, *ones(ndim - 2))


def batch_statistics(x):
    """Mean and biased variance of every channel."""
    axes = (0, *range(2, x.ndim))
    return x.mean(axis=axes), x.var(axis=axes)


def batch_norm(x, mean, var, weight, bias, eps):
    mean, var, weight, bias = (_per_channel(v, x.ndim) for v in (mean, var, weight, bias))
    return (x - mean) / np.sqrt(var + eps) * weight + bias


def batch_norm_grad(x, g, mean, var, weight, eps, training):
    """Gradients of input, weight and bias; in training the statistics depend on the input too."""
    axes = (0, *range(2, x.ndim))
    inverse = 1 / np.sqrt(var + eps)
    normal = (x - _per_channel(mean, x.ndim)) * _per_channel(inverse, x.ndim)
    grad_weight, grad_bias = (g * normal).sum(axis=axes), g.sum(axis=axes)
    inner = g
    if training:
        count = x.size // x.shape[1]
        inner = (
            g
            - _per_channel(grad_bias / count, x.ndim)
            - normal * _per_channel(grad_weight / count, x.ndim)
        )
    return inner * _per_channel(weight * inverse, x.ndim), grad_weight, grad_bias


def relu(x):
    return np.where(x != x, x, np.maximum(x, 0))


def leaky_relu(x, slope):
    return np.where(x > 0, x, slope * x)


def sigmoid(x):
    small = np.exp(-np.abs(x))  # no cancellation, no overflow
    return np.where(x >= 0, 1, small) / (1 + small)


def log_softmax(x, axis):
    shifted = x - x.max(axis=axis, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True))


def softmax(x, axis):
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def cross_entropy(logits, target):
    """Mean over the rows of minus the log-probability of the target class."""
    return -log_softmax(logits, 1)[np.arange(len(target)), target].mean()
