"""Batch normalisation."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _core
from ..autograd import is_recording, primitive
from .arguments import operand, real, same_dtype


@primitive(extra=("mean", "var", "gate"))
def _batch_norm_train(input: Any, weight: Any, bias: Any, eps: float, relu: bool) -> Any:
    return _core.batch_norm_train(input, weight, bias, eps, relu, None)


@primitive(extra=("gate",))
def _batch_norm_infer(
    input: Any, mean: Any, var: Any, weight: Any, bias: Any, eps: float, relu: bool
) -> Any:
    return _core.batch_norm_infer(input, mean, var, weight, bias, eps, relu, None)


@_batch_norm_train.vjp("input", "weight", "bias")
def _(grad: Any, input: Any, mean: Any, var: Any, weight: Any, gate: Any, eps: float) -> Any:
    return _core.batch_norm_grad(input, grad, mean, var, weight, gate, eps, True, None)


@_batch_norm_infer.vjp("input", "weight", "bias")
def _(grad: Any, input: Any, mean: Any, var: Any, weight: Any, gate: Any, eps: float) -> Any:
    return _core.batch_norm_grad(input, grad, mean, var, weight, gate, eps, False, None)


def check_running(op: str, name: str, running: Any, input: Any) -> None:
    """Refuse what training could not change in place, before any of it has moved."""
    if not isinstance(running, np.ndarray) or isinstance(running, (np.ma.MaskedArray, np.matrix)):
        raise TypeError(
            f"{op}: {name} must be a numpy.ndarray in training, which changes it in place, got "
            f"{type(running).__name__}"
        )
    if running.dtype.newbyteorder("=") != input.dtype:
        raise TypeError(f"{op}: input is {input.dtype}, but {name} is {running.dtype}")
    if not running.flags.writeable:
        raise ValueError(f"{op}: {name} is read-only, but training changes it in place")
    fits_channels(op, name, running, input)


def fits_channels(op: str, name: str, running: Any, input: Any) -> None:
    if np.shape(running) != (input.shape[1],):
        raise ValueError(
            f"{op}: input {input.shape} has {input.shape[1]} channels, but {name} has shape "
            f"{np.shape(running)}"
        )


def batch_norm(
    input: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    activation: str | None = None,
) -> Any:
    """Normalise every channel, then scale and shift it.

    ``y = (x - mean) / sqrt(var + eps) * weight + bias``. In training, mean and (biased) variance
    are the batch's, over all axes but the channel's; otherwise the running ones.

    Parameters
    ----------
    input : array_like or Tensor, shape (N, C) or (N, C, spatial...), float32 or float64
    running_mean, running_var : ndarray, shape (C,), or None in training
        In training they are changed in place, as by `instance_norm` and by nothing else here:
        ``running = (1 - momentum) * running + momentum * batch``, with the unbiased variance.
    weight, bias : array_like or Tensor, shape (C,), optional
    training : bool
    momentum, eps : float
    activation : {None, "relu"}
        "relu" takes ``max(y, 0)`` in the same pass, forward and backward.

    Returns
    -------
    ndarray, or Tensor where an operand is one
        Of the input's shape.

    Raises
    ------
    TypeError, ValueError
        Operands of other or different dtypes, shapes that do not fit, one value a channel in
        training, no running statistics outside of it, eps that is negative, an activation that is
        not known; in training, running statistics that are no writeable ndarrays. None of the
        operands has changed then.

    References
    ----------
    Lectures 000 and 003; Ioffe and Szegedy 2015.
    """
    op = "batch_norm"
    input = operand(op, "input", input)
    weight = None if weight is None else operand(op, "weight", weight)
    bias = None if bias is None else operand(op, "bias", bias)
    same_dtype(op, input=input, weight=weight, bias=bias)
    eps, momentum = real(op, "eps", eps), real(op, "momentum", momentum)
    if not eps >= 0:
        raise ValueError(f"{op}: eps must not be negative, got {eps}")
    if activation is not None and not (isinstance(activation, str) and activation == "relu"):
        raise ValueError(f"{op}: activation must be None or 'relu', got {activation!r}")
    relu = activation is not None
    if (running_mean is None) != (running_var is None) or not (
        training or running_mean is not None
    ):
        raise ValueError(f"{op}: give running_mean and running_var, or in training neither")
    if len(input.shape) < 2:
        raise ValueError(f"{op}: input must be (N, C, ...), got shape {input.shape}")
    channels = input.shape[1]
    if running_mean is not None:
        for name, running in (("running_mean", running_mean), ("running_var", running_var)):
            (check_running if training else fits_channels)(op, name, running, input)
    if not training:
        mean = operand(op, "running_mean", running_mean)
        var = operand(op, "running_var", running_var)
        same_dtype(op, input=input, running_mean=mean, running_var=var)
        if is_recording(input, weight, bias):  # a later call in training moves the arrays
            mean, var = (np.copy(v) if isinstance(v, np.ndarray) else v for v in (mean, var))
        return _batch_norm_infer(input, mean, var, weight, bias, eps, relu)[0]
    count = int(np.prod(input.shape)) // max(channels, 1)
    if count < 2 and channels:
        raise ValueError(
            f"{op}: training needs more than one value a channel, input has shape {input.shape}"
        )
    output, mean, var, _ = _batch_norm_train(input, weight, bias, eps, relu)
    if running_mean is not None:
        for running, batch in ((running_mean, mean), (running_var, var * (count / (count - 1)))):
            running *= 1.0 - momentum
            running += momentum * batch
    return output
