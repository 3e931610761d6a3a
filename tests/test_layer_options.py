"""Layers refuse impossible options when they are made, not at the first call."""

import numpy as np
import pytest
from striate import nn


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: nn.GELU("foo"), ValueError, "GELU: approximate must be 'none' or 'tanh'"),
        (lambda: nn.LeakyReLU(0.0), ValueError, "LeakyReLU: negative_slope must be positive"),
        (lambda: nn.LayerNorm(4, eps="a"), TypeError, "LayerNorm: eps must be a number"),
        (lambda: nn.GroupNorm(1, 2, eps=-1), ValueError, "GroupNorm: eps must be finite"),
        (lambda: nn.BatchNorm2d(2, momentum="a"), TypeError, "momentum must be a number"),
        (lambda: nn.InstanceNorm2d(-1), ValueError, "InstanceNorm2d: num_features must not be"),
        (lambda: nn.CrossEntropyLoss(reduction="avg"), ValueError, "CrossEntropyLoss: reduction"),
        (lambda: nn.Dropout(True), TypeError, "Dropout: p must be a number, got True"),
    ],
)
def test_impossible_options_are_refused_at_once(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_instance_norm_without_momentum_keeps_its_statistics():
    norm = nn.InstanceNorm2d(3, momentum=None, track_running_stats=True)
    norm(np.random.default_rng(0).standard_normal((2, 3, 4, 4)).astype(np.float32))
    assert not norm.running_mean.any() and (norm.running_var == 1).all()
