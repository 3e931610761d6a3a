"""What kept weights gain: the same layers at batch 1 with a parameter and with a plain tensor.

Both are called inside `no_grad`. A parameter keeps its weight packed from call to call; a tensor,
whose memory others may write to, has it packed on every call.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from . import ours
from .timing import compare

SECONDS = 1.2


class Layer(NamedTuple):
    title: str
    input: tuple[int, ...]
    weight: tuple[int, ...]
    stride: int = 1
    padding: int = 0


LAYERS = (
    Layer("LeNet conv1, 28x28", (1, 1, 28, 28), (6, 1, 5, 5), 1, 2),
    Layer("LeNet conv2, 14x14", (1, 6, 14, 14), (16, 6, 5, 5)),
    Layer("LeNet 400 to 120", (1, 400), (120, 400)),
    Layer("LeNet 120 to 84", (1, 120), (84, 120)),
    Layer("7x7 s2, 3 to 64, 224x224", (1, 3, 224, 224), (64, 3, 7, 7), 2, 3),
    Layer("3x3, 64, 56x56", (1, 64, 56, 56), (64, 64, 3, 3), 1, 1),
    Layer("3x3 s2, 64 to 128, 56x56", (1, 64, 56, 56), (128, 64, 3, 3), 2, 1),
    Layer("3x3, 128, 28x28", (1, 128, 28, 28), (128, 128, 3, 3), 1, 1),
    Layer("3x3 s2, 128 to 256, 28x28", (1, 128, 28, 28), (256, 128, 3, 3), 2, 1),
    Layer("3x3, 256, 14x14", (1, 256, 14, 14), (256, 256, 3, 3), 1, 1),
    Layer("3x3 s2, 256 to 512, 14x14", (1, 256, 14, 14), (512, 256, 3, 3), 2, 1),
    Layer("1x1 s2, 256 to 512, 14x14", (1, 256, 14, 14), (512, 256, 1, 1), 2),
    Layer("3x3, 512, 7x7", (1, 512, 7, 7), (512, 512, 3, 3), 1, 1),
    Layer("1x1, 2048 to 512, 7x7", (1, 2048, 7, 7), (512, 2048, 1, 1)),
    Layer("linear 512 to 1000", (1, 512), (1000, 512)),
    Layer("linear 4096 to 4096", (1, 4096), (4096, 4096)),
)


def report(threads: int) -> str:
    import striate

    ours.prepare(threads)
    lines = [
        "| Layer | layout | packed every time, ms | kept, ms | ratio | kept / weights, MB |",
        "|---|---|---|---|---|---|",
    ]
    with striate.no_grad():
        for layer in LAYERS:
            for channels_last in (False, True) if len(layer.input) == 4 else (False,):
                calls, parameter = of(layer, channels_last)
                times = compare(calls, SECONDS, False)
                every, kept = times["tensor"].best * 1e3, times["parameter"].best * 1e3
                size, weights = parameter.packed_weights().bytes, parameter.data.nbytes
                lines.append(
                    f"| {layer.title} | {'NHWC' if channels_last else 'NCHW'} | {every:.3g} | "
                    f"{kept:.3g} | {every / kept:.2f} | {size / 1e6:.3g} / {weights / 1e6:.3g} |"
                )
    return "\n".join(lines)


def of(layer: Layer, channels_last: bool) -> tuple[dict[str, Any], Any]:
    """A call with each kind of weight, and the parameter."""
    import striate
    from striate import nn

    rng = np.random.default_rng(0)
    x = rng.standard_normal(layer.input, np.float32)
    if channels_last:
        x = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    weight = rng.standard_normal(layer.weight, np.float32)
    tensor, parameter = striate.Tensor(weight), nn.Parameter(weight)

    def call(w: Any) -> Any:
        if len(layer.input) == 2:
            return striate.linear(x, w)
        return striate.conv2d(x, w, None, layer.stride, layer.padding)

    if not np.array_equal(call(tensor).data, call(parameter).data):
        raise ValueError(f"{layer.title}: other results with packed weights")
    return {"tensor": lambda: call(tensor), "parameter": lambda: call(parameter)}, parameter
