"""Typed view of the native extension: the contract between `striate.ops` and C++.

Conventions of every function here (`striate.ops` guarantees them, C++ checks the meaning):

- arrays are `numpy.ndarray`, float32 or float64, native byte order, aligned; any strides;
- shapes are (N, C, spatial...) with 1 to 3 spatial axes; every tuple has one entry a spatial axis;
- `padding` is ((low, high), ...), a pair a spatial axis;
- `memory_format` is None (keep the input's), "contiguous" or "channels_last";
- `out` is None or a writeable array of the result's shape and dtype that overlaps no input; it is
  filled and returned;
- a broken rule raises ValueError or TypeError that names the op, the values and the rule, before
  any work.
"""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating[Any]]
Ints = Sequence[int]
Pairs = Sequence[tuple[int, int]]
MemoryFormat = Literal["contiguous", "channels_last"]

__version__: str

# ---- machine and threads -------------------------------------------------------------------------

def cpu_info() -> dict[str, Any]: ...
def get_isa() -> str: ...
def set_isa(name: str) -> None: ...
def set_num_threads(count: int) -> None: ...
def get_num_threads() -> int: ...

# ---- memory --------------------------------------------------------------------------------------

def buffer_pool_stats() -> dict[str, int]: ...
def set_buffer_pool_limit(bytes: int) -> None: ...
def clear_buffer_pool() -> None: ...

class PackedWeights:
    """Forms that kernels made of one array, which must not change while this is in use."""

    forms: int
    bytes: int

def packed_weights_stats() -> dict[str, int]: ...
def set_packed_weights_limit(bytes: int) -> None: ...
def start_scratch_meter() -> None: ...
def stop_scratch_meter() -> int: ...
def memory_format(array: Array) -> Literal["contiguous", "channels_last", "other"]: ...

# ---- plans and scratch memory --------------------------------------------------------------------

def plan_cache_stats() -> dict[str, int]: ...
def clear_plan_cache() -> None: ...
def get_workspace_limit() -> int | None: ...
def set_workspace_limit(bytes: int | None) -> None: ...

# ---- convolution ---------------------------------------------------------------------------------
# input (N, C, ...), weight (O, C / groups, ...), bias (O,), residual of the result's shape
# `op` is the public name that error messages use ("conv2d", "linear", ...).
#
# `try_f` takes the same arguments as the user wrote them, and returns NotImplemented, before any
# work, where one is not ready: arrays must be plain, native, aligned ndarrays of float32 or
# float64; stride, padding and dilation an int or a tuple. Parameters are positional.

def conv_forward(
    op: str,
    rank: int,
    input: Array,
    weight: Array,
    bias: Array | None,
    residual: Array | None,
    activation: Literal["relu", "leaky_relu", "sigmoid", "tanh"] | None,
    stride: Ints,
    padding: Pairs,
    dilation: Ints,
    groups: int,
    exact: bool,
    workspace: int | None,
    memory_format: MemoryFormat | None,
    out: Array | None,
    packed: PackedWeights | None = None,
) -> Array: ...
def try_conv_forward(*args: Any) -> Any: ...
def conv_input_grad(
    op: str,
    rank: int,
    input_shape: Ints,
    weight: Array,
    grad_output: Array,
    bias: Array | None,
    stride: Ints,
    padding: Pairs,
    dilation: Ints,
    groups: int,
    exact: bool,
    workspace: int | None,
    memory_format: MemoryFormat | None,
    out: Array | None,
    packed: PackedWeights | None = None,
) -> Array: ...
def try_conv_input_grad(*args: Any) -> Any: ...
def conv_weight_grad(
    op: str,
    rank: int,
    input: Array,
    weight_shape: Ints,
    grad_output: Array,
    stride: Ints,
    padding: Pairs,
    dilation: Ints,
    groups: int,
    exact: bool,
    workspace: int | None,
    out: Array | None,
) -> Array: ...
def try_conv_weight_grad(*args: Any) -> Any: ...
def conv_weight_and_bias_grad(
    op: str,
    rank: int,
    input: Array,
    weight_shape: Ints,
    grad_output: Array,
    stride: Ints,
    padding: Pairs,
    dilation: Ints,
    groups: int,
    exact: bool,
    workspace: int | None,
) -> tuple[Array, Array]: ...
def channel_sum(op: str, grad_output: Array, out: Array | None) -> Array: ...
def explain_conv(
    op: str,
    rank: int,
    direction: Literal["forward", "input_grad", "weight_grad"],
    input_shape: Ints,
    weight_shape: Ints,
    dtype: Literal["float32", "float64"],
    stride: Ints,
    padding: Pairs,
    dilation: Ints,
    groups: int,
    exact: bool,
    workspace: int | None,
    memory_format: MemoryFormat | None,
    measure: bool,
) -> dict[str, Any]: ...

# ---- linear --------------------------------------------------------------------------------------
# input (rows, in_features), weight (out_features, in_features), bias (out_features,)

def linear_forward(
    input: Array,
    weight: Array,
    bias: Array | None,
    out: Array | None,
    packed: PackedWeights | None = None,
) -> Array: ...
def try_linear_forward(*args: Any) -> Any: ...
def linear_input_grad(weight: Array, grad_output: Array, out: Array | None) -> Array: ...
def linear_weight_grad(input: Array, grad_output: Array, out: Array | None) -> Array: ...

# ---- pooling -------------------------------------------------------------------------------------
# indices: int64, flat over the spatial axes of the input, as in PyTorch; taps: their numbers in the
# window, row-major, or indices where the gradient is no faster from taps

def max_pool_forward(
    op: str,
    input: Array,
    kernel_size: Ints,
    stride: Ints,
    padding: Pairs,
    dilation: Ints,
    ceil_mode: bool,
    return_indices: bool,
    memory_format: MemoryFormat | None,
    out: Array | None,
) -> tuple[Array, npt.NDArray[np.int64] | None]: ...
def try_max_pool_forward(*args: Any) -> Any: ...
def max_pool_with_taps(
    op: str,
    input: Array,
    kernel_size: Ints,
    stride: Ints,
    padding: Pairs,
    dilation: Ints,
    ceil_mode: bool,
    memory_format: MemoryFormat | None,
    out: Array | None,
) -> tuple[Array, npt.NDArray[np.uint8] | npt.NDArray[np.int64]]: ...
def max_pool_taps_grad(
    op: str,
    input_shape: Ints,
    taps: npt.NDArray[np.uint8],
    grad_output: Array,
    kernel_size: Ints,
    stride: Ints,
    padding: Pairs,
    dilation: Ints,
    ceil_mode: bool,
    memory_format: MemoryFormat | None,
    out: Array | None,
) -> Array: ...
def max_pool_input_grad(
    op: str,
    input_shape: Ints,
    indices: npt.NDArray[np.int64],
    grad_output: Array,
    memory_format: MemoryFormat | None,
    out: Array | None,
) -> Array: ...
def max_unpool(
    op: str,
    input: Array,
    indices: npt.NDArray[np.int64],
    output_shape: Ints,
    memory_format: MemoryFormat | None,
    out: Array | None,
) -> Array: ...
def adaptive_max_pool(
    op: str, input: Array, output_size: Ints
) -> tuple[Array, npt.NDArray[np.int64]]: ...
def pick(op: str, input: Array, indices: npt.NDArray[np.int64]) -> Array: ...
def avg_pool_forward(
    op: str,
    input: Array,
    kernel_size: Ints,
    stride: Ints,
    padding: Pairs,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
    memory_format: MemoryFormat | None,
    out: Array | None,
) -> Array: ...
def try_avg_pool_forward(*args: Any) -> Any: ...
def avg_pool_input_grad(
    op: str,
    input_shape: Ints,
    grad_output: Array,
    kernel_size: Ints,
    stride: Ints,
    padding: Pairs,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
    memory_format: MemoryFormat | None,
    out: Array | None,
) -> Array: ...
def try_avg_pool_input_grad(*args: Any) -> Any: ...

# ---- rearranging ---------------------------------------------------------------------------------
# take: tables hold, for each spatial axis of the result, positions in the input; -1 gives 0. spread
# is its transpose, of `shape`. unfold's result is contiguous.

def empty(op: str, shape: Ints, like: Array, memory_format: MemoryFormat | None) -> Array: ...
def copy(op: str, input: Array, out: Array) -> Array: ...
def take(
    op: str,
    input: Array,
    tables: Sequence[Ints],
    memory_format: MemoryFormat | None,
    out: Array | None,
) -> Array: ...
def spread(
    op: str,
    shape: Ints,
    input: Array,
    tables: Sequence[Ints],
    memory_format: MemoryFormat | None,
) -> Array: ...
def unfold(
    input: Array,
    kernel_size: Ints,
    dilation: Ints,
    padding: Pairs,
    stride: Ints,
    out: Array | None,
) -> Array: ...
def fold(
    input: Array,
    image_shape: Ints,
    kernel_size: Ints,
    dilation: Ints,
    padding: Pairs,
    stride: Ints,
    memory_format: MemoryFormat | None,
    out: Array | None,
) -> Array: ...

# ---- resampling and padding ----------------------------------------------------------------------
# downsample keeps positions 0, f, 2f, ...; upsample_zeros writes them back into zeros of
# `output_size`.

def downsample(
    input: Array, factor: Ints, memory_format: MemoryFormat | None, out: Array | None
) -> Array: ...
def upsample_zeros(
    input: Array,
    factor: Ints,
    output_size: Ints,
    memory_format: MemoryFormat | None,
    out: Array | None,
) -> Array: ...

InterpolationMode = Literal["nearest", "nearest-exact", "linear", "cubic", "area", "area-sum"]

def interpolate_forward(
    input: Array,
    output_size: Ints,
    scale: Sequence[float] | None,
    mode: InterpolationMode,
    align_corners: bool,
    antialias: bool,
    memory_format: MemoryFormat | None,
    out: Array | None,
) -> Array: ...
def interpolate_input_grad(
    input_shape: Ints,
    grad_output: Array,
    scale: Sequence[float] | None,
    mode: InterpolationMode,
    align_corners: bool,
    antialias: bool,
    memory_format: MemoryFormat | None,
    out: Array | None,
) -> Array: ...
def pad(
    input: Array,
    padding: Pairs,
    value: float,
    memory_format: MemoryFormat | None,
    out: Array | None,
) -> Array: ...  # a negative pad crops: the gradient of a pad is the pad of the opposite sign

# ---- sampling ------------------------------------------------------------------------------------
# Grids are (N, spatial..., rank) of points in -1..1, x first; matrices map output to input pixels.

SampleMode = Literal["nearest", "bilinear", "bicubic"]
SamplePadding = Literal["zeros", "border", "reflection"]

def grid_sample_forward(
    input: Array,
    grid: Array,
    mode: SampleMode,
    padding_mode: SamplePadding,
    align_corners: bool,
    memory_format: MemoryFormat | None,
    out: Array | None,
) -> Array: ...
def grid_sample_input_grad(
    input_shape: Ints,
    grad_output: Array,
    grid: Array,
    mode: SampleMode,
    padding_mode: SamplePadding,
    align_corners: bool,
    memory_format: MemoryFormat | None,
) -> Array: ...
def grid_sample_grid_grad(
    input: Array,
    grad_output: Array,
    grid: Array,
    mode: SampleMode,
    padding_mode: SamplePadding,
    align_corners: bool,
) -> Array: ...
def warp_affine(
    input: Array,
    matrices: Array,
    size: Ints,
    mode: SampleMode,
    padding_mode: SamplePadding,
    fill: Array | None,
    memory_format: MemoryFormat | None,
    out: Array | None,
) -> Array: ...
def warp_affine_input_grad(
    input_shape: Ints,
    grad_output: Array,
    matrices: Array,
    mode: SampleMode,
    padding_mode: SamplePadding,
    memory_format: MemoryFormat | None,
) -> Array: ...

# ---- normalisation -------------------------------------------------------------------------------

# `relu`: max(output, 0); then `gate` (2, C) is what the gradient needs of the forward pass, else
# None.

def batch_norm_train(
    input: Array,
    weight: Array | None,
    bias: Array | None,
    eps: float,
    relu: bool,
    out: Array | None,
) -> tuple[Array, Array, Array, Array | None]: ...  # output, mean (C,), biased variance (C,), gate
def batch_norm_infer(
    input: Array,
    mean: Array,
    var: Array,
    weight: Array | None,
    bias: Array | None,
    eps: float,
    relu: bool,
    out: Array | None,
) -> tuple[Array, Array | None]: ...  # output, gate
def batch_norm_grad(
    input: Array,
    grad_output: Array,
    mean: Array,
    var: Array,
    weight: Array | None,
    gate: Array | None,
    eps: float,
    training: bool,
    out: Array | None,
) -> tuple[Array, Array, Array]: ...  # grads of input, weight, bias
def group_norm(
    op: str,
    input: Array,
    groups: int,
    weight: Array | None,
    bias: Array | None,
    eps: float,
    out: Array | None,
) -> tuple[Array, Array, Array]: ...  # output, mean and biased variance (N, groups)
def group_norm_grad(
    op: str,
    input: Array,
    grad_output: Array,
    groups: int,
    mean: Array,
    var: Array,
    weight: Array | None,
    eps: float,
) -> tuple[Array, Array, Array]: ...  # grads of input, weight, bias

# ---- pointwise and softmax (any rank) ------------------------------------------------------------
# `out` of an activation, a gradient of one or arithmetic may be an operand itself.
# Arithmetic: one operand has the shape of the result, the other may repeat to it as in NumPy.

def add(input: Array, other: Array, out: Array | None) -> Array: ...
def subtract(input: Array, other: Array, out: Array | None) -> Array: ...
def multiply(input: Array, other: Array, out: Array | None) -> Array: ...
def divide(input: Array, other: Array, out: Array | None) -> Array: ...
def add_relu(input: Array, other: Array, out: Array | None) -> Array: ...
def relu(input: Array, out: Array | None) -> Array: ...
def leaky_relu(input: Array, negative_slope: float, out: Array | None) -> Array: ...
def sigmoid(input: Array, out: Array | None) -> Array: ...
def tanh(input: Array, out: Array | None) -> Array: ...
def prelu(input: Array, slope: Array, out: Array | None) -> Array: ...
def prelu_weight_terms(input: Array, grad_output: Array, out: Array | None) -> Array: ...
def prelu_grad(input: Array, slope: Array, grad_output: Array, out: Array | None) -> Array: ...
def curve(
    op: str, name: str, input: Array, first: float, second: float, out: Array | None
) -> Array: ...  # the names and settings are in csrc/kernels/pointwise/curve.h
def curve_grad(
    op: str,
    name: str,
    input: Array,
    grad_output: Array,
    first: float,
    second: float,
    out: Array | None,
) -> Array: ...
def relu_grad(output: Array, grad_output: Array, out: Array | None) -> Array: ...
def leaky_relu_grad(
    output: Array, grad_output: Array, negative_slope: float, out: Array | None
) -> Array: ...
def sigmoid_grad(output: Array, grad_output: Array, out: Array | None) -> Array: ...
def tanh_grad(output: Array, grad_output: Array, out: Array | None) -> Array: ...
def softmax(input: Array, axis: int, out: Array | None) -> Array: ...
def log_softmax(input: Array, axis: int, out: Array | None) -> Array: ...
def softmax_grad(output: Array, grad_output: Array, axis: int, out: Array | None) -> Array: ...
def log_softmax_grad(output: Array, grad_output: Array, axis: int, out: Array | None) -> Array: ...

# ---- loss ----------------------------------------------------------------------------------------
# input (N, C, ...), target (N, ...) int64, C-contiguous; `kept` (2, N, ...) is for the gradient.

def cross_entropy_forward(
    op: str, input: Array, target: npt.NDArray[np.int64]
) -> tuple[Array, Array]: ...  # losses (N, ...), kept
def cross_entropy_grad(
    input: Array,
    target: npt.NDArray[np.int64],
    kept: Array,
    grad_output: Array,
    out: Array | None,
) -> Array: ...

# ---- optimisers ----------------------------------------------------------------------------------
# `value` and the state arrays change in place; all have the shape and dtype of `value`.

def sgd_update(
    value: Array,
    grad: Array,
    momentum_buffer: Array | None,
    lr: float,
    momentum: float,
    dampening: float,
    weight_decay: float,
    nesterov: bool,
    first: bool,
) -> None: ...
def adam_update(
    value: Array,
    grad: Array,
    exp_avg: Array,
    exp_avg_sq: Array,
    max_exp_avg_sq: Array | None,
    step: int,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    decoupled: bool,
) -> None: ...
def adagrad_update(
    value: Array, grad: Array, sum: Array, rate: float, eps: float, weight_decay: float
) -> None: ...
def rmsprop_update(
    value: Array,
    grad: Array,
    square_avg: Array,
    grad_avg: Array | None,
    momentum_buffer: Array | None,
    lr: float,
    alpha: float,
    eps: float,
    weight_decay: float,
    momentum: float,
) -> None: ...
