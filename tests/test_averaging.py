"""Averaged models keep their promises about buffers, and `update_bn` those about statistics."""

import numpy as np
import pytest
from striate import nn, optim

BATCH = np.random.default_rng(0).standard_normal((4, 3, 2, 2)).astype(np.float32) + 1


def normed():
    model = nn.Sequential(nn.BatchNorm2d(3))
    model(BATCH)
    return model


def test_update_bn_leaves_frozen_norms_alone():
    model = nn.Sequential(nn.BatchNorm2d(3), nn.BatchNorm2d(3))
    model(BATCH)
    model[0].freeze()
    before = [model[0].state_dict(), model[1].running_mean.copy()]
    optim.update_bn([BATCH * 2], model)
    np.testing.assert_equal(model[0].state_dict(), before[0])
    assert not np.array_equal(model[1].running_mean, before[1])
    assert model[1].num_batches_tracked == 1


def failing():
    yield BATCH * 2
    raise OSError("lost")


def test_update_bn_restores_the_statistics_where_it_fails():
    model = normed().eval()
    before = model.state_dict()
    with pytest.raises(OSError, match="lost"):
        optim.update_bn(failing(), model)
    np.testing.assert_equal(model.state_dict(), before)
    optim.update_bn([], model)
    np.testing.assert_equal(model.state_dict(), before)
    assert model[0].momentum == 0.1 and not model.training and not model[0].training


def test_averages_take_the_buffers_of_the_last_model():
    model = normed()
    average = optim.AveragedModel(model)
    for _ in range(3):
        model(BATCH * 3)
        average.update_parameters(model)
        for name, buffer in average.module.named_buffers():
            np.testing.assert_array_equal(buffer, dict(model.named_buffers())[name])


@pytest.mark.parametrize("use_buffers", [False, True])
def test_a_model_of_other_buffers_is_refused_and_changes_nothing(use_buffers):
    average = optim.AveragedModel(nn.BatchNorm2d(3), use_buffers=use_buffers)
    other = nn.BatchNorm2d(3, track_running_stats=False)
    other.weight.assign(np.full(3, 7, np.float32))
    before = average.state_dict()
    with pytest.raises(ValueError, match="AveragedModel: the model has other buffers"):
        average.update_parameters(other)
    np.testing.assert_equal(average.state_dict(), before)
