"""Activations made of a sigmoid: SiLU, GELU, Mish, softplus, and the hard ones made of lines.

At infinity each takes its limit, where PyTorch has NaN: ``silu(-inf)`` is 0.
"""

from __future__ import annotations

from typing import Any

from .arguments import destination, operand, real
from .curves import curve


def silu(input: Any, *, out: Any = None) -> Any:
    """``x * sigmoid(x)``, also known as swish. Source: Ramachandran, Zoph and Le 2017.

    Takes an array or Tensor of any shape; `out` is an ndarray to fill, which may be `input` itself.
    """
    input = operand("silu", "input", input)
    out = destination("silu", out, input)
    return curve("silu", "silu", input, 0.0, 0.0, out)


def gelu(input: Any, approximate: str = "none", *, out: Any = None) -> Any:
    """``x * P(normal < x)``, the Gaussian error linear unit.

    Parameters
    ----------
    input : array_like or Tensor, float32 or float64
    approximate : {"none", "tanh"}
        "none": ``x * (1 + erf(x / sqrt(2))) / 2``, with the relative accuracy of x in the left
        tail too. "tanh": ``x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x ** 3))) / 2``.
    out : ndarray, optional

    Returns
    -------
    ndarray, or Tensor for a Tensor
        Of the input's shape.

    Raises
    ------
    TypeError, ValueError
        Another dtype; an approximation that is not known.

    References
    ----------
    Hendrycks and Gimpel 2016.
    """
    input = operand("gelu", "input", input)
    if not isinstance(approximate, str) or approximate not in ("none", "tanh"):
        raise ValueError(f"gelu: approximate must be 'none' or 'tanh', got {approximate!r}")
    name = "gelu" if approximate == "none" else "gelu_tanh"
    return curve("gelu", name, input, 0.0, 0.0, destination("gelu", out, input))


def mish(input: Any, *, out: Any = None) -> Any:
    """``x * tanh(log(1 + exp(x)))``. Source: Misra 2019.

    Takes an array or Tensor of any shape; `out` is an ndarray to fill, which may be `input` itself.
    """
    input = operand("mish", "input", input)
    out = destination("mish", out, input)
    return curve("mish", "mish", input, 0.0, 0.0, out)


def hardsigmoid(input: Any, *, out: Any = None) -> Any:
    """``min(max(x + 3, 0), 6) / 6``, a sigmoid of three lines. Source: Howard et al. 2019.

    Takes an array or Tensor of any shape; `out` is an ndarray to fill, which may be `input` itself.
    """
    input = operand("hardsigmoid", "input", input)
    return curve(
        "hardsigmoid", "hardsigmoid", input, 0.0, 0.0, destination("hardsigmoid", out, input)
    )


def hardswish(input: Any, *, out: Any = None) -> Any:
    """``x * hardsigmoid(x)``. Source: Howard et al. 2019 (MobileNet v3).

    Takes an array or Tensor of any shape; `out` is an ndarray to fill, which may be `input` itself.
    """
    input = operand("hardswish", "input", input)
    out = destination("hardswish", out, input)
    return curve("hardswish", "hardswish", input, 0.0, 0.0, out)


def logsigmoid(input: Any, *, out: Any = None) -> Any:
    """``log(sigmoid(x))``, accurate where the sigmoid rounds to 0 or 1. Source: lecture 004.

    Takes an array or Tensor of any shape; `out` is an ndarray to fill, which may be `input` itself.
    """
    input = operand("logsigmoid", "input", input)
    out = destination("logsigmoid", out, input)
    return curve("logsigmoid", "logsigmoid", input, 0.0, 0.0, out)


def softplus(input: Any, beta: float = 1.0, threshold: float = 20.0, *, out: Any = None) -> Any:
    """``log(1 + exp(beta * x)) / beta``, a smooth ReLU; x itself where ``beta * x > threshold``.

    Parameters
    ----------
    input : array_like or Tensor, float32 or float64
    beta : float
        Positive and finite.
    threshold : float
    out : ndarray, optional

    Returns
    -------
    ndarray, or Tensor for a Tensor
        Of the input's shape.

    Raises
    ------
    TypeError, ValueError
        Another dtype; a beta that is no number, not positive or not finite.

    References
    ----------
    Glorot, Bordes and Bengio 2011; the ReLU family of lecture 000.
    """
    input = operand("softplus", "input", input)
    beta, threshold = real("softplus", "beta", beta), real("softplus", "threshold", threshold)
    return curve(
        "softplus", "softplus", input, beta, threshold, destination("softplus", out, input)
    )
