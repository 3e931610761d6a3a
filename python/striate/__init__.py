"""Striate: convolutional networks on the CPU, on NumPy arrays.

``import striate`` brings the functions (`striate.conv2d` and its like) and `striate.Tensor`; the
rooms built on them, such as `striate.nn` and `striate.optim`, are imported when first named.
"""

from importlib import import_module as _import_module
from typing import Any as _Any

from . import _load as _load  # first: before anything else imports _core
from . import autograd, ops
from ._core import (
    __version__,
    buffer_pool_stats,
    clear_buffer_pool,
    cpu_info,
    get_isa,
    memory_format,
    set_buffer_pool_limit,
    set_isa,
)
from .autograd import Tensor, grad, gradcheck, no_grad
from .ops import (
    avg_pool1d,
    avg_pool1d_input_grad,
    avg_pool2d,
    avg_pool2d_input_grad,
    avg_pool3d,
    avg_pool3d_input_grad,
    batch_norm,
    concatenate,
    conv1d,
    conv1d_input_grad,
    conv1d_weight_grad,
    conv2d,
    conv2d_input_grad,
    conv2d_weight_grad,
    conv3d,
    conv3d_input_grad,
    conv3d_weight_grad,
    conv_bias_grad,
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
    cross_entropy,
    downsample,
    dropout,
    explain,
    get_num_threads,
    global_avg_pool,
    global_max_pool,
    interpolate,
    interpolate_input_grad,
    linear,
    log_softmax,
    max_pool1d,
    max_pool1d_input_grad,
    max_pool2d,
    max_pool2d_input_grad,
    max_pool3d,
    max_pool3d_input_grad,
    mse_loss,
    nll_loss,
    num_threads,
    pad,
    relu,
    set_num_threads,
    sigmoid,
    softmax,
    stack,
    tanh,
    upsample_zeros,
)

_LAZY = ("cli", "data", "models", "nn", "optim", "training", "viz")

__all__ = [
    "Tensor",
    "__version__",
    "autograd",
    "avg_pool1d",
    "avg_pool1d_input_grad",
    "avg_pool2d",
    "avg_pool2d_input_grad",
    "avg_pool3d",
    "avg_pool3d_input_grad",
    "batch_norm",
    "buffer_pool_stats",
    "clear_buffer_pool",
    "cli",
    "concatenate",
    "conv1d",
    "conv1d_input_grad",
    "conv1d_weight_grad",
    "conv2d",
    "conv2d_input_grad",
    "conv2d_weight_grad",
    "conv3d",
    "conv3d_input_grad",
    "conv3d_weight_grad",
    "conv_bias_grad",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "cpu_info",
    "cross_entropy",
    "data",
    "downsample",
    "dropout",
    "explain",
    "get_isa",
    "get_num_threads",
    "global_avg_pool",
    "global_max_pool",
    "grad",
    "gradcheck",
    "interpolate",
    "interpolate_input_grad",
    "linear",
    "log_softmax",
    "max_pool1d",
    "max_pool1d_input_grad",
    "max_pool2d",
    "max_pool2d_input_grad",
    "max_pool3d",
    "max_pool3d_input_grad",
    "memory_format",
    "models",
    "mse_loss",
    "nll_loss",
    "nn",
    "no_grad",
    "num_threads",
    "ops",
    "optim",
    "pad",
    "relu",
    "set_buffer_pool_limit",
    "set_isa",
    "set_num_threads",
    "sigmoid",
    "softmax",
    "stack",
    "tanh",
    "training",
    "upsample_zeros",
    "viz",
]


def __getattr__(name: str) -> _Any:
    if name in _LAZY:
        return _import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
