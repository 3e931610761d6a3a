"""Optimisers and learning-rate schedules, with PyTorch's names, formulas and options.

Without PyTorch's `maximize`, `anneal_strategy`, `three_phase` and `last_epoch`.
"""

from .adam import Adam, AdamW
from .averaging import AveragedModel, get_ema_avg_fn, update_bn
from .clip import clip_grad_norm_, clip_grad_value_
from .decay import (
    ConstantLR,
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    DecaySchedule,
    ExponentialLR,
    LinearLR,
    MultiStepLR,
    StepLR,
)
from .optimizer import Optimizer
from .plateau import ReduceLROnPlateau
from .scaled import Adagrad, RMSprop
from .schedule import OneCycleLR, Scheduler
from .sequence import ChainedScheduler, SequentialLR
from .sgd import SGD

__all__ = [
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "AveragedModel",
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "DecaySchedule",
    "ExponentialLR",
    "LinearLR",
    "MultiStepLR",
    "OneCycleLR",
    "Optimizer",
    "RMSprop",
    "ReduceLROnPlateau",
    "Scheduler",
    "SequentialLR",
    "StepLR",
    "clip_grad_norm_",
    "clip_grad_value_",
    "get_ema_avg_fn",
    "update_bn",
]
