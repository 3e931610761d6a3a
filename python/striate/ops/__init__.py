"""Functions of arrays and Tensors: NumPy arrays in give an ndarray, any Tensor in gives a Tensor.

Names, argument order and shapes are PyTorch's: (N, C, spatial...), weights (O, C / groups, ...).
Nothing is upcast, nothing is modified, and no function knows a layer or an optimiser.
"""

from ..autograd import concatenate, stack
from .avg_pool import (
    avg_pool1d,
    avg_pool1d_input_grad,
    avg_pool2d,
    avg_pool2d_input_grad,
    avg_pool3d,
    avg_pool3d_input_grad,
    global_avg_pool,
)
from .conv import conv1d, conv2d, conv3d
from .conv_grad import (
    conv1d_input_grad,
    conv1d_weight_grad,
    conv2d_input_grad,
    conv2d_weight_grad,
    conv3d_input_grad,
    conv3d_weight_grad,
    conv_bias_grad,
)
from .conv_transpose import conv_transpose1d, conv_transpose2d, conv_transpose3d
from .explain import explain
from .layout import from_nhwc, hwio_to_oihw, oihw_to_hwio, to_nhwc
from .linear import linear
from .loss import cross_entropy, mse_loss, nll_loss
from .max_pool import (
    global_max_pool,
    max_pool1d,
    max_pool1d_input_grad,
    max_pool2d,
    max_pool2d_input_grad,
    max_pool3d,
    max_pool3d_input_grad,
)
from .norm import batch_norm
from .pointwise import add_relu, dropout, leaky_relu, log_softmax, relu, sigmoid, softmax, tanh
from .resample import downsample, interpolate, interpolate_input_grad, pad, upsample_zeros
from .sample import affine_grid, affine_matrices, grid_sample, warp_affine
from .threads import get_num_threads, num_threads, set_num_threads
from .workspace import get_workspace_limit, set_workspace_limit

__all__ = [
    "add_relu",
    "affine_grid",
    "affine_matrices",
    "avg_pool1d",
    "avg_pool1d_input_grad",
    "avg_pool2d",
    "avg_pool2d_input_grad",
    "avg_pool3d",
    "avg_pool3d_input_grad",
    "batch_norm",
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
    "cross_entropy",
    "downsample",
    "dropout",
    "explain",
    "from_nhwc",
    "get_num_threads",
    "get_workspace_limit",
    "global_avg_pool",
    "global_max_pool",
    "grid_sample",
    "hwio_to_oihw",
    "interpolate",
    "interpolate_input_grad",
    "leaky_relu",
    "linear",
    "log_softmax",
    "max_pool1d",
    "max_pool1d_input_grad",
    "max_pool2d",
    "max_pool2d_input_grad",
    "max_pool3d",
    "max_pool3d_input_grad",
    "mse_loss",
    "nll_loss",
    "num_threads",
    "oihw_to_hwio",
    "pad",
    "relu",
    "set_num_threads",
    "set_workspace_limit",
    "sigmoid",
    "softmax",
    "stack",
    "tanh",
    "to_nhwc",
    "upsample_zeros",
    "warp_affine",
]
