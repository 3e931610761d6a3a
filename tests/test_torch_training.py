"""The network of Lecture 003 beside PyTorch: the same losses from the same weights."""

import sys
from pathlib import Path

import numpy as np
import pytest
from striate import models, nn
from striate.data import FASHION_MNIST_NORMALIZE, fashion_mnist_sample

torch = pytest.importorskip("torch")
sys.path.insert(0, str(Path(__file__).parents[1]))
from bench.compare.epoch import striate_step, torch_network, torch_step  # noqa: E402


def test_lecture_003_network_learns_as_pytorchs_does():
    """Without dropout, which both draw differently."""
    ours, peer = models.lecture003_cnn(rng=0), torch_network()
    for module in [*ours.modules(), *peer.modules()]:
        if isinstance(module, (nn.Dropout, torch.nn.Dropout)):
            module.p = 0.0
    peer.load_state_dict({k: torch.from_numpy(v) for k, v in ours.state_dict().items()})
    images, labels = fashion_mnist_sample()[0][:96]
    images = FASHION_MNIST_NORMALIZE(images)
    step, other = striate_step(ours), torch_step(peer, torch.contiguous_format)
    losses = []
    for start in range(0, 96, 32):
        batch = images[start : start + 32], labels[start : start + 32]
        losses.append((step(*batch), other(*batch)))
    losses = np.array(losses)
    np.testing.assert_allclose(losses[:, 0], losses[:, 1], rtol=2e-3)
    assert losses[-1, 0] < losses[0, 0]
    found, want = ours.state_dict(), peer.state_dict()
    assert found.keys() == want.keys()
    for name, value in found.items():
        np.testing.assert_allclose(value, want[name].numpy(), rtol=0.02, atol=5e-3, err_msg=name)
