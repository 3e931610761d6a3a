"""Winograd's input gradient rounds little, since it sums over channels in chains.

See ops/conv_winograd.cc. The errors are root mean squares, as multiples of the results' and of half
a unit in the last place of 1; summed in one go they are 13 to 19 with AVX2.
"""

import numpy as np
import pytest
import striate
from striate import _core


@pytest.mark.parametrize(("channels", "most"), ((64, 11.5), (128, 14), (200, 15)))
def test_input_gradient_sums_in_chains(channels, most, isas, record_property):
    rng = np.random.default_rng(9)
    shape = (2, channels, 32, 32)
    w = rng.standard_normal((channels, channels, 3, 3), dtype=np.float32)
    dy = rng.standard_normal(shape, dtype=np.float32)
    want = striate.conv2d_input_grad(shape, w.astype(np.float64), dy.astype(np.float64), padding=1)
    for isa in isas:
        _core.set_isa(isa)
        plan = striate.explain("conv2d_input_grad", shape, w.shape, padding=1)
        assert plan["chosen"] == "winograd4", isa
        got = striate.conv2d_input_grad(shape, w, dy, padding=1)
        error = np.sqrt(np.mean((got - want) ** 2) / np.mean(want**2)) / 2**-24
        record_property(isa, error)
        assert 0 < error <= most, (isa, error)
