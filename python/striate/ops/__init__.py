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
from .dropout import dropout, dropout1d, dropout2d, dropout3d
from .explain import explain
from .group_norm import group_norm, instance_norm, layer_norm
from .linear import linear
from .logistic import sigmoid, tanh
from .loss import multi_task_loss
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
from .probability_loss import binary_cross_entropy, binary_cross_entropy_with_logits, kl_div
from .rectifiers import add_relu, elu, leaky_relu, prelu, relu, relu6, selu
from .regression_loss import huber_loss, l1_loss, mse_loss, smooth_l1_loss
from .resample import downsample, interpolate, interpolate_input_grad, pad, upsample_zeros
from .response_norm import local_response_norm, normalize
from .sigmoids import gelu, hardsigmoid, hardswish, logsigmoid, mish, silu, softplus
from .softmax import log_softmax, softmax
from .threads import get_num_threads, num_threads, set_num_threads
from .workspace import get_workspace_limit, set_workspace_limit

__all__ = [
    "add_relu",
    "avg_pool1d",
    "avg_pool1d_input_grad",
    "avg_pool2d",
    "avg_pool2d_input_grad",
    "avg_pool3d",
    "avg_pool3d_input_grad",
    "batch_norm",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
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
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "elu",
    "explain",
    "gelu",
    "get_num_threads",
    "get_workspace_limit",
    "global_avg_pool",
    "global_max_pool",
    "group_norm",
    "hardsigmoid",
    "hardswish",
    "huber_loss",
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
    "max_pool1d",
    "max_pool1d_input_grad",
    "max_pool2d",
    "max_pool2d_input_grad",
    "max_pool3d",
    "max_pool3d_input_grad",
    "mish",
    "mse_loss",
    "multi_task_loss",
    "nll_loss",
    "normalize",
    "num_threads",
    "pad",
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
    "tanh",
    "upsample_zeros",
]
