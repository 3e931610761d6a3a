"""Modules that hold other modules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from .module import Module


class _Numbered(Module):
    """Children named "0", "1", ..., with the manners of a list."""

    def append(self, module: Module) -> None:
        self.add_module(str(len(self)), module)

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._modules.values())

    def __getitem__(self, index: int | slice) -> Any:
        modules = list(self._modules.values())[index]
        return modules if isinstance(index, int) else self._from(modules)

    def __setitem__(self, index: int, module: Module) -> None:
        setattr(self, list(self._modules)[index], module)

    def _from(self, modules: Iterable[Module]) -> _Numbered:
        raise NotImplementedError


class Sequential(_Numbered):
    """`modules` called one after the other, each on the result of the one before.

    The first takes what this is called with, of any shape; the last one's result is returned.
    """

    def __init__(self, *modules: Module) -> None:
        super().__init__()
        for module in modules:
            self.append(module)

    def forward(self, input: Any) -> Any:
        for module in self:
            input = module(input)
        return input

    def _from(self, modules: Iterable[Module]) -> Sequential:
        return Sequential(*modules)


class ModuleList(_Numbered):
    """A list of `modules` that their owner calls as it likes."""

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        super().__init__()
        for module in modules:
            self.append(module)

    def _from(self, modules: Iterable[Module]) -> ModuleList:
        return ModuleList(modules)
