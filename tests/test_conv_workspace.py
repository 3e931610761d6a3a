"""Workspace: no call takes more scratch memory than `explain` foretells, with one thread."""

import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import striate
from problems import conv_problem, lay_out
from striate import _core

sys.path.append(str(Path(__file__).parent.parent))

from bench.compare import cases

WAYS = ("", "_input_grad", "_weight_grad")


def check(rank, input_shape, weight_shape, dtype, window):
    """All directions in both formats; how much of what was foretold was taken, for each."""
    striate.set_num_threads(1)
    forward, input_grad, weight_grad = (getattr(striate, f"conv{rank}d{way}") for way in WAYS)
    w = np.zeros(weight_shape, dtype)
    shares = []
    for format in ("contiguous", "channels_last"):
        x = lay_out(np.zeros(input_shape, dtype), format, None)
        y = forward(x, w, **window, memory_format=format)
        calls = (
            partial(forward, x, w, out=y),
            partial(input_grad, input_shape, w, y, out=x),
            partial(weight_grad, x, weight_shape, y, out=w),
        )
        for way, call in zip(WAYS, calls, strict=True):
            op, shapes = f"conv{rank}d{way}", (input_shape, weight_shape)
            told = striate.explain(
                op, *shapes, **window, dtype=np.dtype(dtype).name, memory_format=format
            )
            row = next(row for row in told["candidates"] if row["name"] == told["chosen"])
            _core.start_scratch_meter()
            call(**window)
            got = _core.stop_scratch_meter()
            if row["name"] != "reference":
                where = f"{op} {shapes} {window} {format} {np.dtype(dtype)} {told['isa']}"
                assert got <= row["workspace"], f"{where}: {row['name']} took {got} of {row}"
                shares.append(got / row["workspace"])
    return shares


def networks(step):
    """The layers of all case files at their smallest batch, every one in `step`."""
    problems = [p for p in cases.read_cases(cases.default_files()) if p.op == "conv"]
    least = {}
    for problem in problems:
        key = (problem.ic, problem.oc, problem.g, problem.axes)
        least[key] = min(least.get(key, problem), problem, key=lambda p: p.mb)
    return list(least.values())[::step]


def test_layers_of_networks_take_what_was_foretold(isas):
    for isa in isas:
        _core.set_isa(isa)
        shares = []
        for p in networks(4 if isa == "baseline" else 1):
            window = {
                "stride": tuple(a.stride for a in p.axes),
                "padding": tuple((a.pad, max(a.pad_end, 0)) for a in p.axes),
                "dilation": tuple(a.dilation for a in p.axes),
                "groups": p.g,
            }
            weight = (p.oc, p.ic // p.g, *(a.kernel for a in p.axes))
            image = (p.mb, p.ic, *(a.input for a in p.axes))
            shares += check(p.rank, image, weight, np.float32, window)
        assert 0.05 < np.median(shares)  # nor is it a bound of no use


@pytest.mark.parametrize("seed", range(4))
def test_all_sorts_of_problems_take_what_was_foretold(isas, seed):
    for index in range(150):
        p = conv_problem(100 + seed, index)
        if 0 in (*p.input_shape, *p.weight_shape):
            continue
        for isa in isas:
            _core.set_isa(isa)
            for exact in (False, True):
                check(p.ndim, p.input_shape, p.weight_shape, p.dtype, {**p.window, "exact": exact})


def test_a_large_batch_takes_what_was_foretold():
    """Parts of a gradient, batches of tiles and shared slabs are at their largest."""
    for image, weight, stride in (
        ((8, 128, 56, 56), (256, 128, 3, 3), 1),
        ((8, 64, 56, 56), (64, 64, 3, 3), 1),
        ((8, 256, 28, 28), (512, 256, 3, 3), 2),
        ((8, 256, 28, 28), (128, 256, 1, 1), 1),
        ((8, 3, 128, 128), (64, 3, 7, 7), 2),
        ((1, 256, 7, 100), (128, 256, 7, 7), 1),
        ((1, 8, 64, 64), (512, 8, 11, 11), 1),
    ):
        padding = weight[2] // 2
        window = {"stride": stride, "padding": padding, "dilation": 1, "groups": 1}
        check(2, image, weight, np.float32, window)
