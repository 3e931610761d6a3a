"""Gradients of pooling alone, with the shapes that kernels are written for, bit for bit.

The taps that won are made here, not by the pool. Results go into the middle of a larger array:
vectors may run over the ends of rows and pixels, but not over the end of the result.
"""

import numpy as np
import pytest
import reference as ref
import striate
from problems import integers
from striate import _core

# kernel, stride, padding
MAXIMA = {
    "2x2 squares": (2, 2, 0),
    "3x3 every second": (3, 2, 0),
    "3x3 every second, padded": (3, 2, 1),
    "3x3 every one": (3, 1, 1),
    "5x5 every one": (5, 1, 2),
}
MEANS = {"2x2 squares": (2, 2, 0), "apart": (3, 3, 0), "with gaps": (2, 3, 1)}
CHANNELS = (1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 33, 64, 67)
LAYOUTS = pytest.mark.parametrize("layout", ("contiguous", "channels_last"))
DTYPES = pytest.mark.parametrize("dtype", (np.float32, np.float64))
GUARD = 64


def guarded(shape, layout, dtype):
    """An array in `layout` and the memory around it."""
    stored = shape if layout == "contiguous" else (shape[0], *shape[2:], shape[1])
    size = int(np.prod(shape))
    memory = np.full(size + 2 * GUARD, np.nan, dtype)
    array = memory[GUARD : GUARD + size].reshape(stored)
    return (array if layout == "contiguous" else np.moveaxis(array, -1, 1)), memory


def fill(values, layout, dtype):
    array, _ = guarded(values.shape, layout, dtype)
    array[...] = values
    return array


def shapes(kernel):
    """Every tail of channels and of widths up to 67, and one that is worth several threads."""
    for i, channels in enumerate(CHANNELS):
        yield 1 + i % 3, channels, kernel + i * 5 % 8, kernel + i * 9 % 14
        yield 1, 1 + i % 4, kernel + i % 5, kernel + (i * 19 + 3) % (68 - kernel)
    yield 3, 67, 24, 46


def run_guarded(wrong, label, run, shape, want, layout, dtype):
    out, memory = guarded(shape, layout, dtype)
    run(out)
    beside = np.concatenate((memory[:GUARD], memory[-GUARD:]))
    if not np.array_equal(out, want) or not np.isnan(beside).all():
        wrong.append(label)


@DTYPES
@LAYOUTS
@pytest.mark.parametrize("window", MAXIMA)
def test_gradient_of_maxima_from_taps(window, layout, dtype, machines):
    kernel, stride, padding = MAXIMA[window]
    form = ((kernel,) * 2, (stride,) * 2, ((padding, padding),) * 2, (1, 1), False)
    rng = np.random.default_rng(kernel * stride + padding)
    wrong = []
    for shape in shapes(kernel):
        x = rng.integers(-9, 10, shape)
        _, indices = ref.max_pool(
            x, kernel_size=form[0], stride=form[1], padding=form[2], dilation=(1, 1)
        )
        rows, columns = np.ogrid[: indices.shape[2], : indices.shape[3]]
        down = indices // shape[3] - (rows * stride - padding)
        taps = down * kernel + indices % shape[3] - (columns * stride - padding)
        taps = np.ascontiguousarray(np.moveaxis(taps.astype(np.uint8), 1, -1))
        taps = np.moveaxis(taps, -1, 1)
        if layout == "contiguous":
            taps = np.ascontiguousarray(taps)
        g = integers(rng, indices.shape, dtype)
        want = ref.scatter_add(shape, indices, g)
        grad = fill(g, layout, dtype)
        for machine in machines:
            run_guarded(
                wrong,
                f"{shape} {machine}",
                lambda out, taps=taps, grad=grad, shape=shape: _core.max_pool_taps_grad(
                    "max_pool2d", shape, taps, grad, *form, layout, out
                ),
                shape,
                want,
                layout,
                dtype,
            )
    assert not wrong, "\n".join(wrong[:10])


@DTYPES
@LAYOUTS
@pytest.mark.parametrize("window", [*MEANS, "whole planes"])
def test_gradient_of_means_that_do_not_overlap(window, layout, dtype, machines):
    """A pixel has one share or none, so it is one rounded quotient."""
    rng = np.random.default_rng(7)
    wrong = []
    for shape in shapes(3):
        kernel, stride, padding = MEANS.get(window, (shape[2:], shape[2:], 0))
        form = {
            "kernel_size": tuple(np.broadcast_to(kernel, 2).tolist()),
            "stride": tuple(np.broadcast_to(stride, 2).tolist()),
            "padding": ((padding, padding),) * 2,
        }
        g = integers(
            rng,
            (*shape[:2], *ref.pool_output_size(shape[2:], *form.values(), (1, 1), False)),
            dtype,
        )
        count = int(np.prod(form["kernel_size"]))
        want = ref.avg_pool_input_grad(shape, g / dtype(count), **form, divisor_override=1)
        form |= {"divisor_override": count, "memory_format": layout}
        grad = fill(g, layout, dtype)
        for machine in machines:
            run_guarded(
                wrong,
                f"{shape} {machine}",
                lambda out, grad=grad, shape=shape, form=form: striate.avg_pool2d_input_grad(
                    shape, grad, **form, out=out
                ),
                shape,
                want,
                layout,
                dtype,
            )
    assert not wrong, "\n".join(wrong[:10])
