"""Training: the loop and its callbacks, what they record, checkpoints, and ways to evaluate."""

from striate._extras import MissingExtraError

from .callbacks import Callback, ClipGradients, EarlyStopping, EpochSchedule, JsonLog
from .checkpoint import Checkpoint, CheckpointError, load_checkpoint, save_checkpoint
from .evaluation import Ensemble, MultiCrop, ten_crop
from .history import EpochRecord, History
from .loop import Loop, fit
from .metrics import (
    Evaluation,
    confusion_matrix,
    count_correct,
    evaluate,
    precision,
    predictions,
    recall,
    top_k_correct,
)
from .progress import ProgressBar
from .resume import CheckpointFile

__all__ = [
    "Callback",
    "Checkpoint",
    "CheckpointError",
    "CheckpointFile",
    "ClipGradients",
    "EarlyStopping",
    "Ensemble",
    "EpochRecord",
    "EpochSchedule",
    "Evaluation",
    "History",
    "JsonLog",
    "Loop",
    "MissingExtraError",
    "MultiCrop",
    "ProgressBar",
    "confusion_matrix",
    "count_correct",
    "evaluate",
    "fit",
    "load_checkpoint",
    "precision",
    "predictions",
    "recall",
    "save_checkpoint",
    "ten_crop",
    "top_k_correct",
]
