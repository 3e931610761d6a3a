"""What all optimisers share: parameter groups, state, and its plain form for checkpoints."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ..nn import Module, Parameter
from ..ops.arguments import real

Array = npt.NDArray[Any]

_NOT_NEGATIVE = (
    "lr",
    "momentum",
    "weight_decay",
    "eps",
    "lr_decay",
    "initial_accumulator_value",
    "alpha",
)
_NUMBERS = (*_NOT_NEGATIVE, "dampening")


class Optimizer:
    """Base class; a subclass defines `_update`, the change of one parameter.

    Parameters
    ----------
    params : iterable of Parameter, or of dict
        A dict is a group: its "params", and options that differ from the defaults.
    defaults : mapping
        Options and their values. They are read at every step, so a schedule may change them.

    Attributes
    ----------
    param_groups : list of dict
        Each with "params" and every option, as in PyTorch.
    """

    # What `_update` may keep for a parameter: int for a count, ndarray for an array like the
    # parameter. None: a subclass that does not say.
    _slots: ClassVar[Mapping[str, type] | None] = None
    # Slots that only some options need: they may be there or not, as options change between steps.
    _optional_slots: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, params: Iterable[Any], defaults: Mapping[str, Any]) -> None:
        name = type(self).__name__
        if isinstance(params, (Module, Parameter)) or not isinstance(params, Iterable):
            raise TypeError(
                f"{name}: params must be an iterable of Parameter or of dict, "
                f"got {type(params).__name__}"
            )
        groups = list(params)
        if not groups:
            raise ValueError(f"{name}: there are no parameters")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        self.defaults = dict(defaults)
        self.param_groups: list[dict[str, Any]] = []
        self._parameters: list[Parameter] = []
        self.state: list[dict[str, Any]] = []
        self._first_lrs: list[float] = []
        for group in groups:
            self.add_param_group(group)

    def add_param_group(self, group: Mapping[str, Any]) -> None:
        """Take up parameters later, such as layers that were frozen: "params" and own options.

        Raises
        ------
        TypeError, ValueError
            No Parameter, one that is there already, options unknown or impossible; nothing has
            changed then.
        """
        name = type(self).__name__
        if not isinstance(group, Mapping):
            raise TypeError(f"{name}: a group must be a dict, got {type(group).__name__}")
        unknown = set(group) - set(self.defaults) - {"params"}
        if unknown:
            raise ValueError(f"{name}: unknown options {sorted(unknown)}")
        if "params" not in group:
            raise ValueError(f'{name}: a group must have "params", got {sorted(group)}')
        given = group["params"]
        if isinstance(given, Module) or not isinstance(given, Iterable | Parameter):
            raise TypeError(
                f'{name}: "params" of a group must be an iterable of Parameter, '
                f"got {type(given).__name__}"
            )
        members = [given] if isinstance(given, Parameter) else list(given)
        options = {**self.defaults, **{k: v for k, v in group.items() if k != "params"}}
        self._check(**options)
        for parameter in members:
            if not isinstance(parameter, Parameter):
                raise TypeError(f"{name}: {type(parameter).__name__} is not a Parameter")
        everyone = [*self._parameters, *members]
        if len({id(parameter) for parameter in everyone}) < len(everyone):
            raise ValueError(f"{name}: a parameter was given twice")
        self.param_groups.append({**options, "params": members})
        self._parameters = everyone
        self.state.extend({} for _ in members)

    def first_lrs(self) -> list[float]:
        """The learning rate of each group as the first schedule found it.

        Schedules that are made one after another begin with the same rates, though the first may
        have set its own already.
        """
        known = len(self._first_lrs)
        self._first_lrs += [float(group["lr"]) for group in self.param_groups[known:]]
        return list(self._first_lrs)

    def _check(self, **options: Any) -> None:
        """Raise TypeError for options that are no numbers, ValueError for those out of range."""
        own = type(self).__name__
        for name in _NUMBERS:
            number = real(own, name, options.get(name, 0.0))
            if name in _NOT_NEGATIVE and not number >= 0.0:
                raise ValueError(f"{own}: {name} must not be negative, got {number}")
            if math.isnan(number):
                raise ValueError(f"{own}: {name} must not be nan")

    def _update(
        self, value: Array, grad: Array, state: dict[str, Any], options: Mapping[str, Any]
    ) -> None:
        """Change `value` and the arrays of `state` in place; `grad` is like `value`, read only."""
        raise NotImplementedError(f"{type(self).__name__} defines no _update()")

    def step(self) -> None:
        """Change every parameter that has a gradient."""
        states = iter(self.state)
        for group in self.param_groups:
            for parameter in group["params"]:
                state = next(states)
                if parameter.grad is None:
                    continue
                for slot, kept in state.items():  # the parameter has changed its dtype since
                    if isinstance(kept, np.ndarray) and kept.dtype != parameter.dtype:
                        state[slot] = kept.astype(parameter.dtype)
                grad = np.require(parameter.grad, parameter.dtype, "A")
                with parameter.writing() as value:
                    self._update(value, grad, state, group)

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for parameter in self._parameters:
            parameter.grad = None

    def state_dict(self) -> dict[str, Any]:
        """Copies of the state, in lists, dicts, arrays and numbers only.

        Returns
        -------
        dict
            "state": for each parameter, in order, its arrays and numbers. "param_groups": for each
            group its options; pairs of numbers are lists.
        """
        return {
            "state": [
                {k: v.copy() if isinstance(v, np.ndarray) else v for k, v in state.items()}
                for state in self.state
            ],
            "param_groups": [
                {k: list(v) if isinstance(v, tuple) else v for k, v in group.items()}
                for group in (
                    {k: v for k, v in group.items() if k != "params"} for group in self.param_groups
                )
            ],
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take up what `state_dict` returned, for parameters of the same shapes in the same order.

        Raises
        ------
        ValueError
            If the numbers of parameters or groups, the options or the shapes differ, or a value
            is not one that this optimiser could have; nothing has been changed then.
        """
        name = type(self).__name__
        missing = sorted({"state", "param_groups"} - set(state_dict))
        if missing:
            raise ValueError(f"{name}: the saved state has no {' and no '.join(missing)}")
        states, groups = state_dict["state"], state_dict["param_groups"]
        if len(states) != len(self.state) or len(groups) != len(self.param_groups):
            raise ValueError(
                f"{name}: the saved state has {len(states)} parameters in {len(groups)} groups, "
                f"there are {len(self.state)} in {len(self.param_groups)}"
            )
        for position, (state, parameter) in enumerate(zip(states, self._parameters, strict=True)):
            self._check_slots(position, state, parameter)
            for key, value in state.items():
                if isinstance(value, np.ndarray) and value.shape not in ((), parameter.shape):
                    raise ValueError(
                        f"{name}: saved {key} of parameter {position} has shape {value.shape}, "
                        f"the parameter has {parameter.shape}"
                    )
        for position, (group, saved) in enumerate(zip(self.param_groups, groups, strict=True)):
            if set(saved) != set(group) - {"params"}:
                raise ValueError(
                    f"{name}: saved group {position} has options {sorted(saved)}, "
                    f"needed are {sorted(set(group) - {'params'})}"
                )
            try:
                self._check(**self._options(saved))
            except (TypeError, ValueError) as error:
                raise ValueError(
                    f"{name}: saved group {position} is impossible: {error}"
                ) from error
        self.state = [
            {
                key: self._like(value, parameter) if isinstance(value, np.ndarray) else value
                for key, value in state.items()
            }
            for state, parameter in zip(states, self._parameters, strict=True)
        ]
        for group, saved in zip(self.param_groups, groups, strict=True):
            group.update(self._options(saved))

    @staticmethod
    def _options(saved: Mapping[str, Any]) -> dict[str, Any]:
        """Options as `param_groups` has them, from their plain form."""
        return {k: tuple(v) if isinstance(v, list) else v for k, v in saved.items()}

    def _check_slots(self, position: int, state: Mapping[str, Any], parameter: Parameter) -> None:
        """Raise ValueError unless `_update` could have left `state` behind."""
        if self._slots is None or not state:
            return
        where = f"{type(self).__name__}: saved state of parameter {position}"
        needed = set(self._slots) - self._optional_slots
        if not needed <= set(state) <= set(self._slots):
            also = f", possible {sorted(self._optional_slots)}" if self._optional_slots else ""
            raise ValueError(f"{where} has {sorted(state)}, needed are {sorted(needed)}{also}")
        for key, value in state.items():
            kind = self._slots[key]
            if kind is int:
                if not isinstance(value, Integral) or value < 0:
                    raise ValueError(f"{where}: {key} must be a count, got {value!r}")
            elif not isinstance(value, np.ndarray):
                raise ValueError(f"{where}: {key} must be an array, got {value!r}")
            elif not np.can_cast(value.dtype, parameter.dtype, "same_kind"):
                raise ValueError(
                    f"{where}: {key} has dtype {value.dtype}, the parameter {parameter.dtype}"
                )

    @staticmethod
    def _like(value: Array, parameter: Parameter) -> Array:
        """A copy of a saved array with the parameter's dtype and strides."""
        copy = np.empty_like(parameter.data)
        np.copyto(copy, value, casting="same_kind")
        return copy
