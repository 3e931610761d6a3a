"""Training: the loop, what it records, and checkpoints."""

from striate._extras import MissingExtraError

from .checkpoint import Checkpoint, CheckpointError, load_checkpoint, save_checkpoint
from .history import EpochRecord, Evaluation, History
from .loop import confusion_matrix, evaluate, fit

__all__ = [
    "Checkpoint",
    "CheckpointError",
    "EpochRecord",
    "Evaluation",
    "History",
    "MissingExtraError",
    "confusion_matrix",
    "evaluate",
    "fit",
    "load_checkpoint",
    "save_checkpoint",
]
