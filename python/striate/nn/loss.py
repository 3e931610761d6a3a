"""Losses as modules. Weights are buffers: `to` converts them and `state_dict` holds them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .. import ops
from .module import Module


class _Loss(Module):
    """What every loss has: its reduction."""

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        if reduction not in ("mean", "sum", "none"):
            raise ValueError(
                f"{type(self).__name__}: reduction must be 'mean', 'sum' or 'none', "
                f"got {reduction!r}"
            )
        self.reduction = reduction


class MSELoss(_Loss):
    """Mean squared error of two operands of one shape; see `striate.mse_loss`."""

    def forward(self, input: Any, target: Any) -> Any:
        return ops.mse_loss(input, target, self.reduction)


class L1Loss(_Loss):
    """Mean absolute error of two operands of one shape; see `striate.l1_loss`."""

    def forward(self, input: Any, target: Any) -> Any:
        return ops.l1_loss(input, target, self.reduction)


class HuberLoss(_Loss):
    """Squared near zero, linear beyond `delta`; see `striate.huber_loss`."""

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction)
        self.delta = delta

    def forward(self, input: Any, target: Any) -> Any:
        return ops.huber_loss(input, target, self.reduction, self.delta)


class SmoothL1Loss(_Loss):
    """Absolute error with its corner rounded; see `striate.smooth_l1_loss`."""

    def __init__(self, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction)
        self.beta = beta

    def forward(self, input: Any, target: Any) -> Any:
        return ops.smooth_l1_loss(input, target, self.reduction, self.beta)


class NLLLoss(_Loss):
    """Negative log-likelihood of log-probabilities; see `striate.nll_loss`."""

    def __init__(
        self, weight: Any = None, ignore_index: int = -100, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction)
        self.register_buffer("weight", weight)
        self.ignore_index = ignore_index

    def forward(self, input: Any, target: Any) -> Any:
        return ops.nll_loss(
            input, target, self.reduction, weight=self.weight, ignore_index=self.ignore_index
        )


class CrossEntropyLoss(_Loss):
    """Cross-entropy of class scores (N, C, ...) and class numbers or probabilities; see
    `striate.cross_entropy`."""

    def __init__(
        self,
        weight: Any = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(reduction)
        self.register_buffer("weight", weight)
        self.ignore_index, self.label_smoothing = ignore_index, label_smoothing

    def forward(self, input: Any, target: Any) -> Any:
        return ops.cross_entropy(
            input,
            target,
            self.reduction,
            weight=self.weight,
            ignore_index=self.ignore_index,
            label_smoothing=self.label_smoothing,
        )


class BCELoss(_Loss):
    """Cross-entropy of probabilities of yes; see `striate.binary_cross_entropy`."""

    def __init__(self, weight: Any = None, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.register_buffer("weight", weight)

    def forward(self, input: Any, target: Any) -> Any:
        return ops.binary_cross_entropy(input, target, self.reduction, weight=self.weight)


class BCEWithLogitsLoss(_Loss):
    """Cross-entropy of scores of yes; see `striate.binary_cross_entropy_with_logits`."""

    def __init__(self, weight: Any = None, reduction: str = "mean", pos_weight: Any = None) -> None:
        super().__init__(reduction)
        self.register_buffer("weight", weight)
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, input: Any, target: Any) -> Any:
        return ops.binary_cross_entropy_with_logits(
            input, target, self.reduction, weight=self.weight, pos_weight=self.pos_weight
        )


class KLDivLoss(_Loss):
    """Kullback-Leibler divergence; see `striate.kl_div`."""

    def __init__(self, reduction: str = "mean", log_target: bool = False) -> None:
        super().__init__(reduction)
        self.log_target = log_target

    def forward(self, input: Any, target: Any) -> Any:
        return ops.kl_div(input, target, self.reduction, self.log_target)


class MultiTaskLoss(Module):
    """The weighted sum of a loss for each head of a network; see `striate.multi_task_loss`.

    Parameters
    ----------
    losses : mapping of str to Module
        The loss of each task: of an output and a target.
    weights : mapping of str to float, optional
        1 for tasks that it does not name.
    """

    def __init__(
        self, losses: Mapping[str, Module], weights: Mapping[str, float] | None = None
    ) -> None:
        super().__init__()
        unknown = sorted(set(weights or {}) - set(losses))
        if not losses or unknown:
            raise ValueError(f"MultiTaskLoss: weights name {unknown}, losses are {sorted(losses)}")
        # before the modules, which are then refused these names
        self.tasks, self.weights = tuple(losses), dict(weights or {})
        for name, loss in losses.items():
            self.add_module(name, loss)

    def parts(self, input: Mapping[str, Any], target: Mapping[str, Any]) -> dict[str, Any]:
        """The loss of each task by itself, without its weight."""
        for name, given in (("input", input), ("target", target)):
            if set(given) != set(self.tasks):
                raise ValueError(
                    f"MultiTaskLoss: {name} has {sorted(given)}, needed are {sorted(self.tasks)}"
                )
        return {task: self._modules[task](input[task], target[task]) for task in self.tasks}

    def forward(self, input: Mapping[str, Any], target: Mapping[str, Any]) -> Any:
        return ops.multi_task_loss(self.parts(input, target), self.weights)
