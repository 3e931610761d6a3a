"""Winograd's input gradient rounds hardly more than direct summation in one go.

It sums over channels in chains (ops/conv_winograd.cc); without them its error is twice as large.
"""

import numpy as np
import pytest
import striate
from striate import _core


@pytest.mark.parametrize("channels", (64, 128, 200))
def test_input_gradient_rounds_like_direct_summation(channels, isas, record_property):
    rng = np.random.default_rng(9)
    shape = (2, channels, 32, 32)
    w = rng.standard_normal((channels, channels, 3, 3), dtype=np.float32)
    dy = rng.standard_normal(shape, dtype=np.float32)
    want = striate.conv2d_input_grad(shape, w.astype(np.float64), dy.astype(np.float64), padding=1)
    for isa in isas:
        _core.set_isa(isa)
        plan = striate.explain("conv2d_input_grad", shape, w.shape, padding=1)
        assert plan["chosen"] == "winograd4", isa
        error, direct = (
            np.sqrt(
                np.mean((striate.conv2d_input_grad(shape, w, dy, padding=1, exact=e) - want) ** 2)
            )
            for e in (False, True)
        )
        record_property(isa, error / direct)
        assert 0 < error <= 1.45 * direct, (isa, error / direct)
