"""The libraries that striate is compared with; each module maps a problem to calls, as `ours` does.

A module has NAME, `prepare(threads)`, `calls(problem, direction, memory, operands)` (an empty
dict where the library does not have the op) and `result(value)` (an ndarray).
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

NAMES = ("pytorch", "onnxruntime", "openvino")
FORWARD_ONLY = {"onnxruntime", "openvino"}


def load(name: str) -> ModuleType:
    """Import a peer, and with it the library; ImportError where that is not installed."""
    return import_module(f"{__name__}.on_{name}")
