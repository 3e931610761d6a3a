"""OpenVINO: forward convolutions, one compiled model each.

As for onnxruntime the weight is a constant and packed before anything is timed. The input tensor
shares our memory. Precision is held at float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import openvino as ov
from openvino import opset8 as ops

from ..arrays import Operands, input_shape
from ..cases import Problem
from ..ours import Call

NAME = "openvino"
_core = ov.Core()
_threads = 1


def prepare(threads: int) -> None:
    global _threads
    _threads = threads


def result(value: Any) -> np.ndarray:
    return value


def calls(
    problem: Problem, direction: str, memory: str, of: dict[str, Operands]
) -> dict[str, Call]:
    if problem.op != "conv" or direction != "FWD" or problem.mb == 0:
        return {}
    operands = of.get("nchw") or Operands(problem, "nchw")
    return {"nchw": _conv(problem, operands.x, operands.w)}


def _conv(p: Problem, x: np.ndarray, w: np.ndarray) -> Call:
    node = ops.parameter(input_shape(p), np.float32)
    ends = [max(axis.pad_end, 0) for axis in p.axes]
    form = (list(p.sizes("stride")), list(p.sizes("pad")), ends, list(p.sizes("dilation")))
    if p.g == 1:
        y = ops.convolution(node, ops.constant(w), *form)
    else:
        grouped = w.reshape(p.g, p.oc // p.g, *w.shape[1:])
        y = ops.group_convolution(node, ops.constant(grouped), *form)
    hints = {
        "INFERENCE_NUM_THREADS": _threads,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
    }
    request = _core.compile_model(ov.Model([y], [node]), "CPU", hints).create_infer_request()
    request.set_input_tensor(ov.Tensor(x, shared_memory=True))
    out = request.get_output_tensor().data

    def run() -> np.ndarray:
        request.start_async()
        request.wait()
        return out

    return run
