"""`Module`: a function with parameters, made of other such functions.

Assigning a `Parameter` or a `Module` to an attribute registers it; `register_buffer` does so for an
array that is saved but not learnt. The names of all three, joined by dots, are the keys of
`state_dict`, as in PyTorch, so that converted weights load.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from .parameter import Parameter

Self = TypeVar("Self", bound="Module")
State = dict[str, npt.NDArray[Any]]


class LoadReport(NamedTuple):
    """What `load_state_dict(strict=False)` passed over."""

    missing: list[str]
    unexpected: list[str]


class Module:
    """Base of all layers and networks; a subclass defines `forward`."""

    training: bool
    frozen = False  # whether `train` leaves this module in evaluation mode

    def __init__(self) -> None:
        self.__dict__.update(_parameters={}, _buffers={}, _modules={}, training=True)

    # ---- registration ----------------------------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        if "_parameters" not in self.__dict__:
            raise AttributeError(
                f"{type(self).__name__}: call super().__init__() before setting {name!r}"
            )
        registries = (self._parameters, self._buffers, self._modules)
        if isinstance(value, Parameter):
            home = self._parameters
        elif isinstance(value, Module):
            home = self._modules
        else:
            home = next((registry for registry in registries if name in registry), self.__dict__)
            if home is self._parameters and value is not None:
                raise TypeError(
                    f"{type(self).__name__}.{name} is a parameter; "
                    "change its value with .assign(), or set another Parameter or None"
                )
        for registry in (*registries, self.__dict__):
            if registry is not home:
                registry.pop(name, None)
        home[name] = value

    def __getattr__(self, name: str) -> Any:
        for registry in ("_parameters", "_buffers", "_modules"):
            found = self.__dict__.get(registry, {})
            if name in found:
                return found[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __delattr__(self, name: str) -> None:
        for registry in (self._parameters, self._buffers, self._modules):
            if registry.pop(name, self) is not self:
                return
        super().__delattr__(name)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._parameters, *self._buffers, *self._modules]

    def register_buffer(self, name: str, value: Any) -> None:
        """Keep an array (or None) that `state_dict` holds and no optimiser changes."""
        self._check_name(name)
        self._buffers[name] = None if value is None else np.array(value)

    def register_parameter(self, name: str, value: Parameter | None) -> None:
        """Register a parameter, or None for one that this layer could have but has not."""
        self._check_name(name)
        self._parameters[name] = value

    def add_module(self, name: str, module: Module) -> None:
        """Register a module under a name that is not an identifier, such as a number."""
        self._check_name(name)
        if not isinstance(module, Module):
            raise TypeError(f"{type(self).__name__}: {module!r} is not a Module")
        self._modules[name] = module

    def _check_name(self, name: str) -> None:
        if not name or "." in name:
            raise ValueError(f"{type(self).__name__}: {name!r} cannot name a part of a module")
        if hasattr(self, name):
            raise ValueError(f"{type(self).__name__} has an attribute {name!r} already")

    # ---- the call --------------------------------------------------------------------------------

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} defines no forward()")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.forward(*args, **kwargs)

    # ---- walks -----------------------------------------------------------------------------------

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """(name, module) for this module and all below it, each once."""
        seen: set[int] = set()
        for name, module in self._named_modules(prefix):
            if id(module) not in seen:
                seen.add(id(module))
                yield name, module

    def _named_modules(self, prefix: str) -> Iterator[tuple[str, Module]]:
        """As `named_modules`, shared modules under each of their names."""
        yield prefix, self
        for name, child in self._modules.items():
            if child is not None:
                yield from child._named_modules(f"{prefix}.{name}" if prefix else name)

    def modules(self) -> Iterator[Module]:
        return (module for _, module in self.named_modules())

    def children(self) -> Iterator[Module]:
        return (child for child in self._modules.values() if child is not None)

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """(dotted name, parameter), each parameter once, in the order of registration."""
        seen: set[int] = set()
        for name, value in self._named_state():
            if isinstance(value, Parameter) and id(value) not in seen:
                seen.add(id(value))
                yield name, value

    def parameters(self) -> Iterator[Parameter]:
        return (parameter for _, parameter in self.named_parameters())

    def named_buffers(self) -> Iterator[tuple[str, npt.NDArray[Any]]]:
        return ((n, value) for n, value in self._named_state() if not isinstance(value, Parameter))

    def buffers(self) -> Iterator[npt.NDArray[Any]]:
        return (value for _, value in self.named_buffers())

    def _named_state(self) -> Iterator[tuple[str, Any]]:
        """(dotted name, parameter or buffer), shared ones under each of their names."""
        for prefix, module in self._named_modules(""):
            for name, value in (*module._parameters.items(), *module._buffers.items()):
                if value is not None:
                    yield f"{prefix}.{name}" if prefix else name, value

    # ---- state -----------------------------------------------------------------------------------

    def state_dict(self) -> State:
        """Copies of all parameters and buffers by their dotted names, in C order."""
        return {
            name: np.array(value.data if isinstance(value, Parameter) else value, order="C")
            for name, value in self._named_state()
        }

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True) -> LoadReport:
        """Copy the arrays of `state` into the parameters and buffers of the same names.

        Parameters
        ----------
        state : mapping of str to array_like
            Floating arrays are converted to the dtype that is there, others must have it.
        strict : bool
            Whether a name on one side only is an error; shapes and dtypes must always fit.

        Returns
        -------
        LoadReport
            The names passed over with ``strict=False``.

        Raises
        ------
        ValueError
            Naming every missing, unexpected and misfitting key; nothing has been changed then.
        """
        own = dict(self._named_state())
        missing = [name for name in own if name not in state]
        unexpected = [name for name in state if name not in own]
        given = {name: np.asarray(state[name]) for name in own if name in state}
        problems = []
        if strict and missing:
            problems.append(f"missing: {', '.join(missing)}")
        if strict and unexpected:
            problems.append(f"unexpected: {', '.join(unexpected)}")
        for name, value in given.items():
            there = own[name]
            if value.shape != there.shape:
                problems.append(f"{name}: shape {value.shape}, but {there.shape} is needed")
            elif value.dtype.kind != there.dtype.kind:
                problems.append(f"{name}: dtype {value.dtype}, but {there.dtype} is needed")
        if problems:
            raise ValueError(
                f"{type(self).__name__}.load_state_dict:" + "".join(f"\n  {p}" for p in problems)
            )
        for name, value in given.items():
            there = own[name]
            if isinstance(there, Parameter):
                there.assign(value)
            else:
                np.copyto(there, value, casting="same_kind")
        return LoadReport(missing, unexpected)

    def train(self: Self, mode: bool = True) -> Self:
        """Set the training mode (dropout drops, batch norm uses the batch) here and below.

        Frozen modules stay in evaluation mode.
        """
        for module in self.modules():
            module.training = mode and not module.frozen
        return self

    def eval(self: Self) -> Self:
        """Leave the training mode."""
        return self.train(False)

    def requires_grad_(self: Self, requires_grad: bool = True) -> Self:
        """Set whether gradients are computed for the parameters here and below."""
        for parameter in self.parameters():
            parameter.requires_grad = requires_grad
            if not requires_grad:
                parameter.grad = None
        return self

    def freeze(self: Self, frozen: bool = True) -> Self:
        """Keep everything here and below as it is while other parts are trained.

        Parameters get no gradients, and `train` leaves the modules in evaluation mode: batch norms
        use and keep their running statistics, dropout drops nothing. ``freeze(False)`` undoes it
        and puts the modules into training mode.

        References
        ----------
        Lecture 003 (transfer learning).
        """
        for module in self.modules():
            module.frozen, module.training = frozen, not frozen
        return self.requires_grad_(not frozen)

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for parameter in self.parameters():
            parameter.grad = None

    def apply(self: Self, fn: Callable[[Module], Any]) -> Self:
        """Call `fn` on every module below this one, then on this one."""
        for module in reversed(list(self.modules())):
            fn(module)
        return self

    def to(self: Self, dtype: Any = None, memory_format: str | None = None) -> Self:
        """Convert parameters and floating buffers in place to a dtype, a memory format or both.

        A memory format concerns parameters with spatial axes; see `striate.memory_format`.
        """
        if dtype is not None and np.dtype(dtype) not in (np.float32, np.float64):
            raise TypeError(f"Module.to: dtype must be float32 or float64, got {np.dtype(dtype)}")
        for parameter in self.parameters():
            data = parameter.data.astype(dtype or parameter.dtype, copy=False)
            parameter._replace(arranged(data, memory_format))
            parameter.grad = None
        for module in self.modules():
            for name, buffer in module._buffers.items():
                if dtype is not None and buffer is not None and buffer.dtype.kind == "f":
                    module._buffers[name] = buffer.astype(dtype)
        return self

    # ---- display ---------------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """What stands between the parentheses of the repr, before the children."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr()
        children = [
            f"({name}): " + repr(child).replace("\n", "\n  ")
            for name, child in self._modules.items()
        ]
        if not children:
            return f"{type(self).__name__}({extra})"
        lines = [extra, *children] if extra else children
        return f"{type(self).__name__}(\n  " + "\n  ".join(lines) + "\n)"


def arranged(array: npt.NDArray[Any], memory_format: str | None) -> npt.NDArray[Any]:
    """`array` (N, C, spatial...) with the strides of a memory format; others as they are."""
    if memory_format not in (None, "contiguous", "channels_last"):
        raise ValueError(
            "Module.to: memory_format must be None, 'contiguous' or 'channels_last', "
            f"got {memory_format!r}"
        )
    if memory_format is None or array.ndim < 3:
        return array
    if memory_format == "contiguous":
        return np.ascontiguousarray(array)
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(array, 1, -1)), -1, 1)
