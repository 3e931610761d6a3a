"""What denormal inputs cost: the same calls on arrays of denormals and of ordinary numbers.

A core may take over a hundred cycles for an operation on denormals. Convolution, normalisation and
average pooling flush them to zero for the length of a call. Max pooling keeps them: it compares,
which costs the same for all numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import ours
from .timing import compare

SECONDS = 1.0
SHAPE = (8, 64, 28, 28)
DENORMAL = 1e-40


def report(threads: int) -> str:
    ours.prepare(threads)
    lines = []
    for title, of in calls().items():
        times = compare(of, SECONDS, False)
        normal, denormal = times["normal"].best, times["denormal"].best
        lines.append(
            f"{title}: normal {normal * 1e6:.1f} us, denormal {denormal * 1e6:.1f} us; "
            f"{denormal / normal:.2f} times as long"
        )
    return "\n".join(lines)


def calls() -> dict[str, dict[str, Any]]:
    """For each op a call on ordinary numbers, and one where all its arrays are denormal."""
    rng = np.random.default_rng(0)
    normal = {
        "x": rng.standard_normal(SHAPE, np.float32),
        "dy": rng.standard_normal(SHAPE, np.float32),
        "w": rng.standard_normal((SHAPE[1], SHAPE[1], 3, 3), np.float32),
        "small_dy": rng.standard_normal((*SHAPE[:2], 14, 14), np.float32),
    }
    denormal = {name: array * np.float32(DENORMAL) for name, array in normal.items()}
    for name, array in denormal.items():
        if not 0.9 < np.mean((array != 0) & (abs(array) < np.finfo(np.float32).tiny)):
            raise ValueError(f"{name} is not denormal here: something flushes outside of calls")
    both = _of(**normal), _of(**denormal)
    return {title: {"normal": both[0][title], "denormal": both[1][title]} for title in both[0]}


def _of(x: Any, dy: Any, w: Any, small_dy: Any) -> dict[str, Any]:
    import striate
    from striate import _core

    scale, shift = np.ones(SHAPE[1], np.float32), np.zeros(SHAPE[1], np.float32)
    _, mean, var, gate = _core.batch_norm_train(x, scale, shift, ours.EPS, True, None)
    _, winners = striate.max_pool2d(x, 2, return_indices=True)
    out = np.empty_like(x)
    half = np.empty_like(small_dy)
    return {
        "conv2d 3x3, direct": lambda: striate.conv2d(x, w, None, 1, 1, exact=True, out=out),
        "conv2d 3x3": lambda: striate.conv2d(x, w, None, 1, 1, out=out),
        "conv2d 3x3, input gradient": lambda: striate.conv2d_input_grad(
            x.shape, w, dy, 1, 1, out=out
        ),
        "conv2d 3x3, weight gradient": lambda: striate.conv2d_weight_grad(x, w.shape, dy, 1, 1),
        "max pooling 2x2": lambda: striate.max_pool2d(x, 2, out=half),
        "max pooling 2x2, gradient": lambda: striate.max_pool2d_input_grad(
            x.shape, winners, small_dy, out=out
        ),
        "average pooling 2x2": lambda: striate.avg_pool2d(x, 2, out=half),
        "average pooling 2x2, gradient": lambda: striate.avg_pool2d_input_grad(
            x.shape, small_dy, 2, out=out
        ),
        "batch norm + ReLU, training": lambda: _core.batch_norm_train(
            x, scale, shift, ours.EPS, True, out
        ),
        "batch norm + ReLU, gradient": lambda: _core.batch_norm_grad(
            x, dy, mean, var, scale, gate, ours.EPS, True, out
        ),
    }
