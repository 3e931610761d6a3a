"""An epoch of training beside PyTorch: Lecture 003's network on Fashion-MNIST, whole steps.

Both sides have the same network, initial weights, optimizer, and the same augmented batches in the
same order, one batch each in turn (A B C, then C B A), so that whatever else the machine does hits
both. A step is forward, loss, backward, Adam. The median step times the batches of an epoch is what
is told; loading and augmenting a batch, which is striate's for both, is timed by itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np

from . import ours
from .timing import SETTLE

BATCH_SIZE, LEARNING_RATE = 128, 1e-3
WARM_UP = 3  # batches that are trained on and not counted

Step = Callable[[np.ndarray, np.ndarray], float]


def report(threads: int, batches: int) -> str:
    from striate.cli.recipe import PRESETS
    from striate.data import DataLoader, fashion_mnist

    ours.prepare(threads)
    train, _ = fashion_mnist()
    transform = PRESETS["lecture003_cnn"].transform
    loader = DataLoader(train, BATCH_SIZE, shuffle=True, drop_last=True, transform=transform, rng=0)
    steps = sides(threads)
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    losses: dict[str, list[float]] = {name: [] for name in steps}
    loading = []
    start = time.perf_counter()
    for number, (images, labels) in enumerate(loader):
        loading.append(time.perf_counter() - start)
        for name in list(steps) if number % 2 == 0 else reversed(list(steps)):
            time.sleep(SETTLE)
            start = time.perf_counter()
            losses[name].append(steps[name](images, labels))
            seconds[name].append(time.perf_counter() - start)
        if number + 1 == batches + WARM_UP:
            break
        start = time.perf_counter()
    typical = {name: median(times[WARM_UP:]) for name, times in seconds.items()}
    peer = min(value for name, value in typical.items() if name != "striate")
    lines = [
        f"{batches} batches of {BATCH_SIZE}, {threads} threads, {len(loader)} batches an epoch; "
        f"loading and augmenting {median(loading[WARM_UP:]) * 1e3:.1f} ms a batch",
        "",
        "| Side | ms a step, median | s an epoch | fastest peer / this | mean loss |",
        "|---|---|---|---|---|",
    ]
    for name, value in typical.items():
        loss = float(np.mean(losses[name][WARM_UP:]))
        lines.append(
            f"| {name} | {value * 1e3:.1f} | {value * len(loader):.1f} | {peer / value:.2f} | "
            f"{loss:.3f} |"
        )
    return "\n".join(lines)


def sides(threads: int) -> dict[str, Step]:
    """A training step by each side, from the same weights; their first scores agree."""
    import torch
    from striate.models import lecture003_cnn

    torch.set_num_threads(threads)
    model = lecture003_cnn(rng=0)
    steps = {"striate": striate_step(model)}
    probe = np.random.default_rng(0).standard_normal((4, 1, 28, 28), np.float32)
    want = model.eval()(probe).numpy()
    model.train()
    for name, memory_format in (
        ("pytorch", torch.contiguous_format),
        ("pytorch channels_last", torch.channels_last),
    ):
        peer = torch_network()
        state = {key: torch.from_numpy(value) for key, value in model.state_dict().items()}
        peer.load_state_dict(state)
        with torch.no_grad():
            found = peer.eval()(torch.from_numpy(probe)).numpy()
        np.testing.assert_allclose(found, want, rtol=1e-3, atol=1e-4)
        peer.train().to(memory_format=memory_format)
        steps[name] = torch_step(peer, memory_format)
    return steps


def striate_step(model: Any) -> Step:
    from striate import nn, optim

    optimizer, loss = optim.Adam(model.parameters(), LEARNING_RATE), nn.CrossEntropyLoss()

    def step(images: np.ndarray, labels: np.ndarray) -> float:
        value = loss(model(images), labels)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        return float(value.item())

    return step


def torch_step(model: Any, memory_format: Any) -> Step:
    import torch

    optimizer, loss = (
        torch.optim.Adam(model.parameters(), LEARNING_RATE),
        torch.nn.CrossEntropyLoss(),
    )

    def step(images: np.ndarray, labels: np.ndarray) -> float:
        inputs = torch.from_numpy(images).contiguous(memory_format=memory_format)
        value = loss(model(inputs), torch.from_numpy(labels))
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        return float(value.item())

    return step


def torch_network() -> Any:
    """`striate.models.lecture003_cnn` in PyTorch's words; the state's names are the same."""
    from striate.models.lecture003 import CONV_DROPOUT, DENSE_DROPOUT
    from torch import nn

    def block(a: int, b: int) -> Any:
        return nn.Sequential(
            nn.Conv2d(a, b, 3, padding=1),
            nn.ReLU(),
            nn.BatchNorm2d(b),
            nn.Conv2d(b, b, 3, padding=1),
            nn.ReLU(),
            nn.BatchNorm2d(b),
            nn.MaxPool2d(2),
            nn.Dropout(CONV_DROPOUT),
        )

    return nn.Sequential(
        block(1, 32),
        block(32, 64),
        nn.Flatten(),
        nn.Linear(3136, 512),
        nn.ReLU(),
        nn.BatchNorm1d(512),
        nn.Dropout(DENSE_DROPOUT),
        nn.Linear(512, 10),
    )
