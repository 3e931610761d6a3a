"""The answers of both sides against float64.

A part of the result is computed again in float64: one image and a few channels, or a few channels
of the weight, which costs little and covers every tap and every edge; of batch norm, all. Errors
are the largest difference over the largest value. The rest of the result is then compared between
the sides, whose rounding differs.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from .arrays import Operands
from .cases import Problem
from .ours import EPS

TOLERANCE = 1e-4  # of a right answer; Winograd comes to some 1e-6
_FEW = 3


def error(result: np.ndarray, problem: Problem, direction: str, of: Operands) -> float:
    """The scaled error of a result in the part that `expected` tells."""
    part, want = expected(problem, direction, of)
    return difference(result[part], want)


def difference(got: np.ndarray, want: np.ndarray) -> float:
    """max |got - want| / max |want|; infinite where the shapes differ or a value is not finite.

    Where `want` is masked, either answer is right.
    """
    if got.shape != want.shape:
        return float("inf")
    if want.size == 0:
        return 0.0
    distance = float(np.max(np.abs(got - want)))
    scale = float(np.max(np.abs(want)))
    return distance / (scale or 1.0) if np.isfinite(distance) else float("inf")


def expected(p: Problem, direction: str, of: Operands) -> tuple[Any, np.ndarray]:
    """(index of a part of the result, this part in float64)."""
    return {"conv": _conv, "pool": _pool, "bnorm": _bnorm}[p.op](p, direction, of)


# ---- windows -------------------------------------------------------------------------------------


def _padded(p: Problem, x: np.ndarray, value: float = 0.0) -> np.ndarray:
    ends = [(axis.pad, max(axis.pad_end, 0)) for axis in p.axes]
    return np.pad(x.astype(np.float64), [(0, 0), (0, 0), *ends], constant_values=value)


def _cropped(p: Problem, padded: np.ndarray) -> np.ndarray:
    inner = tuple(slice(axis.pad, axis.pad + axis.input) for axis in p.axes)
    return padded[(..., *inner)]


def _taps(p: Problem) -> list[tuple[tuple[int, ...], tuple[Any, ...]]]:
    """(tap, where it lies in the padded image for every output)."""
    return [
        (
            tap,
            (
                ...,
                *(
                    slice(u * a.dilation, u * a.dilation + (a.output - 1) * a.stride + 1, a.stride)
                    for u, a in zip(tap, p.axes, strict=True)
                ),
            ),
        )
        for tap in product(*(range(axis.kernel) for axis in p.axes))
    ]


# ---- ops -----------------------------------------------------------------------------------------


def _conv(p: Problem, direction: str, of: Operands) -> tuple[Any, np.ndarray]:
    """All within the last group and, but for the weight's gradient, the last image."""
    ics, ocs = p.ic // p.g, p.oc // p.g
    first_ic, first_oc = p.ic - ics, p.oc - ocs
    few_ic, few_oc = slice(p.ic - min(ics, _FEW), p.ic), slice(p.oc - min(ocs, _FEW), p.oc)
    image = slice(p.mb - 1, p.mb)
    if direction == "FWD":
        x = _padded(p, of.x[image, first_ic:])
        w = of.w[few_oc].astype(np.float64)
        y = sum(np.einsum("ncs,oc->nos", _flat(x[at]), w[(..., *tap)]) for tap, at in _taps(p))
        return (image, few_oc), y.reshape(1, -1, *p.sizes("output"))
    if direction == "BWD_D":
        few = slice(ics - min(ics, _FEW), ics)
        w = of.w[first_oc:, few].astype(np.float64)
        dy = of.dy[image, first_oc:].astype(np.float64)
        dx = _padded(p, np.zeros_like(of.x[image, few_ic]))
        for tap, at in _taps(p):
            part = np.einsum("nos,oc->ncs", _flat(dy), w[(..., *tap)])
            dx[at] += part.reshape(dx[at].shape)
        return (image, few_ic), _cropped(p, dx)
    x = _padded(p, of.x[:, few_ic])
    dy = _flat(of.dy[:, few_oc].astype(np.float64))
    few = slice(ics - min(ics, _FEW), ics)
    dw = np.empty((dy.shape[1], x.shape[1], *p.sizes("kernel")))
    for tap, at in _taps(p):
        # BLAS over all images at once, not one product an image
        columns = np.moveaxis(_flat(x[at]), 1, 0).reshape(x.shape[1], -1)
        rows = np.moveaxis(dy, 1, 0).reshape(dy.shape[1], -1)
        dw[(..., *tap)] = rows @ columns.T
    return (few_oc, few), dw


def _flat(x: np.ndarray) -> np.ndarray:
    return x.reshape(*x.shape[:2], -1)


def _pool(p: Problem, direction: str, of: Operands) -> tuple[Any, np.ndarray]:
    part = (slice(p.mb - 1, p.mb), slice(p.ic - min(p.ic, _FEW), p.ic))
    is_max = p.alg == "max"
    x = _padded(p, of.x[part], -np.inf if is_max else 0.0)
    windows = np.stack([x[at] for _, at in _taps(p)])
    if is_max:
        share = np.arange(len(windows)).reshape(-1, *[1] * x.ndim) == windows.argmax(0)
        y = windows.max(0)
    else:
        inside = _padded(p, np.ones_like(of.x[part]))
        if p.alg == "avg_p":  # the given padding counts, what ceil_mode adds does not
            inside[...] = 1.0
            for i, axis in enumerate(p.axes):
                np.moveaxis(inside, 2 + i, 0)[axis.input + 2 * axis.pad :] = 0.0
        share = np.ones(windows.shape) / sum(inside[at] for _, at in _taps(p))
        y = windows.sum(0) * share[0]
    if direction == "FWD":
        return part, y
    dx = np.zeros(x.shape)
    for (_, at), part_of_tap in zip(_taps(p), share, strict=True):
        dx[at] += of.dy[part] * part_of_tap
    return part, _cropped(p, dx)


def _bnorm(p: Problem, direction: str, of: Operands) -> tuple[Any, np.ndarray]:
    part = (slice(None), slice(None))
    axes = (0, *range(2, 2 + p.rank))
    x = of.x[part].astype(np.float64)
    w = np.linspace(0.5, 1.5, p.ic)[part[1]].reshape(-1, *[1] * p.rank)
    deviation = np.sqrt(x.var(axes, keepdims=True) + EPS)
    normal = (x - x.mean(axes, keepdims=True)) / deviation
    z = normal * w + 0.1
    if direction == "FWD":
        return part, np.maximum(z, 0)
    dz = of.dy[part] * (z > 0)
    mean = dz.mean(axes, keepdims=True)
    along = (dz * normal).mean(axes, keepdims=True)
    dx = (dz - mean - normal * along) * w / deviation
    # Rounding decides on which side of ReLU's step a value next to it falls.
    return part, np.ma.array(dx, mask=np.abs(z) < 1e-5)
