"""Functions of arrays and Tensors: NumPy arrays in give an ndarray, any Tensor in gives a Tensor.

Names, argument order and shapes are PyTorch's: (N, C, spatial...), weights (O, C / groups, ...);
but `reduction` is the third argument of every loss that has weights too, and `rng` the fourth of
dropout. Nothing is upcast, nothing is modified but the running statistics of `batch_norm` and
`instance_norm` and what is given as `out`, and no function knows a layer or an optimiser.
"""

from ..autograd import concatenate, stack
from .adaptive_pool import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    adaptive_max_pool3d,
)
from .avg_pool import (
    avg_pool1d,
    avg_pool1d_input_grad,
    avg_pool2d,
    avg_pool2d_input_grad,
    avg_pool3d,
    avg_pool3d_input_grad,
    global_avg_pool,
)
from .channel_pool import channel_max_pool
from .class_loss import cross_entropy, nll_loss
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
from .convolve import SparseMatrix, conv_matrix, convolve
from .dropout import dropout, dropout1d, dropout2d, dropout3d
from .explain import explain
from .group_norm import group_norm, instance_norm, layer_norm
from .layout import from_nhwc, hwio_to_oihw, oihw_to_hwio, to_nhwc
from .linear import linear
from .logistic import sigmoid, tanh
from .loss import multi_task_loss
from .lp_pool import lp_pool1d, lp_pool2d, lp_pool3d, sum_pool1d, sum_pool2d, sum_pool3d
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
from .pad import pad
from .probability_loss import binary_cross_entropy, binary_cross_entropy_with_logits, kl_div
from .rectifiers import add_relu, elu, leaky_relu, prelu, relu, relu6, selu
from .regression_loss import huber_loss, l1_loss, mse_loss, smooth_l1_loss
from .resample import downsample, interpolate, interpolate_input_grad, upsample_zeros
from .response_norm import local_response_norm, normalize
from .sample import affine_grid, affine_matrices, grid_sample, warp_affine
from .shuffle import channel_shuffle, pixel_shuffle, pixel_unshuffle
from .sigmoids import gelu, hardsigmoid, hardswish, logsigmoid, mish, silu, softplus
from .softmax import log_softmax, softmax
from .threads import get_num_threads, num_threads, set_num_threads
from .unfold import fold, unfold
from .unpool import max_unpool1d, max_unpool2d, max_unpool3d
from .weighted_pool import weighted_pool1d, weighted_pool2d, weighted_pool3d
from .workspace import get_workspace_limit, set_workspace_limit

__all__ = [
    "SparseMatrix",
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool2d",
    "adaptive_max_pool3d",
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
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "channel_max_pool",
    "channel_shuffle",
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
    "conv_matrix",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "convolve",
    "cross_entropy",
    "downsample",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "elu",
    "explain",
    "fold",
    "from_nhwc",
    "gelu",
    "get_num_threads",
    "get_workspace_limit",
    "global_avg_pool",
    "global_max_pool",
    "grid_sample",
    "group_norm",
    "hardsigmoid",
    "hardswish",
    "huber_loss",
    "hwio_to_oihw",
    "instance_norm",
    "interpolate",
    "interpolate_input_grad",
    "kl_div",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "linear",
    "local_response_norm",
    "log_softmax",
    "logsigmoid",
    "lp_pool1d",
    "lp_pool2d",
    "lp_pool3d",
    "max_pool1d",
    "max_pool1d_input_grad",
    "max_pool2d",
    "max_pool2d_input_grad",
    "max_pool3d",
    "max_pool3d_input_grad",
    "max_unpool1d",
    "max_unpool2d",
    "max_unpool3d",
    "mish",
    "mse_loss",
    "multi_task_loss",
    "nll_loss",
    "normalize",
    "num_threads",
    "oihw_to_hwio",
    "pad",
    "pixel_shuffle",
    "pixel_unshuffle",
    "prelu",
    "relu",
    "relu6",
    "selu",
    "set_num_threads",
    "set_workspace_limit",
    "sigmoid",
    "silu",
    "smooth_l1_loss",
    "softmax",
    "softplus",
    "stack",
    "sum_pool1d",
    "sum_pool2d",
    "sum_pool3d",
    "tanh",
    "to_nhwc",
    "unfold",
    "upsample_zeros",
    "warp_affine",
    "weighted_pool1d",
    "weighted_pool2d",
    "weighted_pool3d",
]
