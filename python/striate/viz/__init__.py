"""Pictures. Needs the extra `viz` (matplotlib) when something is drawn, not before."""

from .training_curve import plot_history, save_training_curve

__all__ = ["plot_history", "save_training_curve"]
