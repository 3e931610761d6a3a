"""onnxruntime: forward convolutions, one Conv node a session.

The weight is a constant of the model, so it is packed once, before anything is timed; striate packs
in every call. Input and output are bound to memory of ours. Threads do not spin between calls: that
would slow down whoever runs next.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from ..arrays import Operands, input_shape, output_shape
from ..cases import Problem
from ..ours import Call

NAME = "onnxruntime"
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
    pads = [*p.sizes("pad"), *(max(axis.pad_end, 0) for axis in p.axes)]
    attributes = {
        "strides": p.sizes("stride"),
        "dilations": p.sizes("dilation"),
        "pads": pads,
        "group": p.g,
    }
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"], **attributes)],
        "conv",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, input_shape(p))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, output_shape(p))],
        [numpy_helper.from_array(w, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = _threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    y = np.empty(output_shape(p), np.float32)
    bound = session.io_binding()
    bound.bind_cpu_input("x", x)
    value = onnxruntime.OrtValue.ortvalue_from_numpy(y)
    bound.bind_ortvalue_output("y", value)

    def run() -> np.ndarray:
        session.run_with_iobinding(bound)
        return y

    return run
