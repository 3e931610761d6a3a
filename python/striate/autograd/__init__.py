"""Reverse-mode differentiation: `Tensor`, the tape, and how to register a gradient rule.

Read `tape` first; it is the idea. `arithmetic` holds the primitives of the operators, `tensor` what
users touch, `finite_differences` their proof, `arrays` what is accepted as an array.
"""

from .arithmetic import concatenate, stack
from .arrays import as_array
from .finite_differences import gradcheck
from .jacobian import jacobian
from .tape import Primitive, is_recording, no_grad, primitive
from .tensor import Tensor, grad

__all__ = [
    "Primitive",
    "Tensor",
    "as_array",
    "concatenate",
    "grad",
    "gradcheck",
    "is_recording",
    "jacobian",
    "no_grad",
    "primitive",
    "stack",
]
