"""Optimisers and learning-rate schedules, with PyTorch's names, formulas and options."""

from .adam import Adam, AdamW
from .optimizer import Optimizer
from .schedule import OneCycleLR, Scheduler, StepLR
from .sgd import SGD

__all__ = ["SGD", "Adam", "AdamW", "OneCycleLR", "Optimizer", "Scheduler", "StepLR"]
