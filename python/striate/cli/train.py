"""`striate train`: teach a network to tell clothes apart."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .arguments import non_negative_int, positive_float, positive_int

if TYPE_CHECKING:
    from rich.console import Console

    from striate.data import ArrayDataset
    from striate.training import CheckpointFile, EpochRecord, Evaluation, History

    from .recipe import Run

DATA = ("sample", "fashion-mnist")
MODELS = ("fashion_cnn", "lecture003_cnn", "lecture003_mlp")  # recipe.PRESETS, unimported
SAVE_EVERY = 200

OUTPUT = Path("striate-output")
CHECKPOINT = "checkpoint.safetensors"
LOG = "log.jsonl"
PICTURE = "training-curve.png"


def add_command(commands: Any) -> None:
    parser: argparse.ArgumentParser = commands.add_parser(
        "train",
        help="train a network on Fashion-MNIST",
        description="Train a CNN on Fashion-MNIST. Leaves a checkpoint, from which --resume goes "
        "on, a log with a line of JSON for every epoch and, where matplotlib is installed, a "
        "picture of the training curve.",
    )
    parser.set_defaults(run=run, usage_error=parser.error)
    add = parser.add_argument
    add(
        "--model",
        choices=MODELS,
        default=MODELS[0],
        help="a small CNN (%(default)s, the default), or the CNN or MLP of Lecture 003",
    )
    add(
        "--data",
        choices=DATA,
        default="sample",
        help="the 6,000 images that ship with striate (default), or all 70,000",
    )
    add(
        "--data-dir",
        type=Path,
        metavar="DIR",
        help="folder of all the images; else STRIATE_DATA, Debian's package, cache, download",
    )
    add("--epochs", type=positive_int, metavar="N", help="default: the model's")
    add("--batch-size", type=positive_int, metavar="N", help="default: the model's")
    add(
        "--lr",
        type=positive_float,
        help="peak of the one-cycle schedule (default: the model's)",
    )
    add(
        "--seed",
        type=non_negative_int,
        metavar="S",
        default=0,
        help="of weights, order and augmentation (default: %(default)s)",
    )
    add("--threads", type=positive_int, metavar="N", help="default: all that this process may use")
    add(
        "--output",
        type=Path,
        metavar="DIR",
        default=OUTPUT,
        help="folder for checkpoint, log and picture (default: %(default)s)",
    )
    add(
        "--resume",
        action="store_true",
        help="go on from the checkpoint in the output folder, if there is one, bit for bit",
    )
    add(
        "--save-every",
        type=positive_int,
        metavar="N",
        default=SAVE_EVERY,
        help="batches between checkpoints (default: %(default)s); one more ends each epoch",
    )
    add("--json", action="store_true", help="print one JSON object on stdout, nothing else there")
    add("--quiet", action="store_true", help="no progress, only the result")
    trial = parser.add_argument_group("for trying things out")
    trial.add_argument(
        "--limit", type=positive_int, metavar="N", help="use only the first N images of each split"
    )


def run(arguments: argparse.Namespace) -> None:
    if arguments.data_dir is not None and arguments.data != "fashion-mnist":
        arguments.usage_error("--data-dir goes with --data fashion-mnist")
    import striate

    from .recipe import PRESETS, Recipe, Run
    from .screen import open_console

    started = time.perf_counter()
    if arguments.threads is not None:
        striate.set_num_threads(arguments.threads)
    console = open_console(json=arguments.json, quiet=arguments.quiet)
    arguments.output.mkdir(parents=True, exist_ok=True)  # fail now rather than after an epoch
    preset = PRESETS[arguments.model]
    recipe = Recipe(
        model=arguments.model,
        data=arguments.data,
        epochs=arguments.epochs or preset.epochs[arguments.data],
        batch_size=arguments.batch_size or preset.batch_size,
        learning_rate=arguments.lr or preset.learning_rate,
        seed=arguments.seed,
    )
    training = Run(recipe, *load_data(arguments, console))
    checkpoint, log = arguments.output / CHECKPOINT, arguments.output / LOG
    file = training.checkpoint_file(checkpoint, arguments.save_every, arguments.resume)
    history, evaluation = watch(training, file, log, console)
    picture, why_none = draw(history, arguments.output / PICTURE)

    seconds = time.perf_counter() - started
    if arguments.json:
        result = {
            "command": "train",
            "version": striate.__version__,
            "model": arguments.model,
            "data": arguments.data,
            "train_images": len(training.train.dataset),
            "test_images": len(training.test.dataset),
            "seed": arguments.seed,
            "threads": striate.get_num_threads(),
            **describe(history, evaluation),
            "checkpoint": str(checkpoint),
            "log": str(log),
            "picture": picture and str(picture),
            "seconds": seconds,
        }
        print(json.dumps(result))
    else:
        files = {"checkpoint": checkpoint, "log": log, "picture": picture or why_none}
        report(evaluation, seconds, files)


def load_data(arguments: argparse.Namespace, console: Console) -> tuple[ArrayDataset, ArrayDataset]:
    from striate.data import ArrayDataset, fashion_mnist, fashion_mnist_sample

    if arguments.data == "sample":
        train, test = fashion_mnist_sample()
    else:
        train, test = fashion_mnist(arguments.data_dir, report=console.print)
    limit = slice(arguments.limit)
    return ArrayDataset(*train[limit]), ArrayDataset(*test[limit])


def watch(
    training: Run, file: CheckpointFile, log: Path, console: Console
) -> tuple[History, Evaluation]:
    """Let the run learn while showing how far it is; on Ctrl-C say what is left of it."""
    import striate
    from striate.training import Callback, Loop, ProgressBar

    epochs = training.recipe.epochs
    console.print(
        f"{training.recipe.model}, {parameters(training)}; "
        f"{len(training.train.dataset):,} training and {len(training.test.dataset):,} test images; "
        f"{striate.get_num_threads()} threads"
    )

    class Lines(Callback):
        """A line for what was resumed, and one for every epoch."""

        def on_fit_start(self, loop: Loop) -> None:
            if file.saved is not None:
                console.print(f"resumed: {file.path} holds {kept(file.saved)}")

        def on_epoch_end(self, loop: Loop, record: EpochRecord) -> None:
            console.print(epoch_line(record, epochs))

    try:
        return training.learn(file, log, [ProgressBar(console), Lines()])
    except KeyboardInterrupt:
        left = "no epoch was finished"
        if file.saved is not None:
            left = f"{file.path} holds {kept(file.saved)}"
        raise KeyboardInterrupt(f"interrupted; {left}") from None


def parameters(training: Run) -> str:
    """How many numbers the model has, and how many of them are learnt where not all are."""
    if training.parameters == training.learnt:
        return f"{training.parameters:,} parameters"
    return f"{training.parameters:,} parameters, of which {training.learnt:,} trainable"


def kept(saved: tuple[int, int]) -> str:
    """`CheckpointFile.saved` in words."""
    epochs, batches = saved
    return f"epoch {epochs}" + (f" and {batches} batches of the next" if batches else "")


def draw(history: History, path: Path) -> tuple[Path | None, str]:
    """The picture of the curve, or the reason why there is none: it is an extra, not the result."""
    from striate.training import MissingExtraError
    from striate.viz import save_training_curve

    try:
        save_training_curve(history, path)
    except MissingExtraError as error:
        return None, f"none: {error}"
    return path, ""


def epoch_line(record: EpochRecord, epochs: int) -> str:
    width = len(str(epochs))
    return (
        f"epoch {record.epoch:{width}}/{epochs}"
        f"  loss {record.loss:.3f}  accuracy {record.accuracy:6.1%}"
        f"  test loss {record.test_loss:.3f}  test accuracy {record.test_accuracy:6.1%}"
        f"  {record.seconds:.1f} s"
    )


def describe(history: History, evaluation: Evaluation) -> dict[str, Any]:
    from striate.data import FASHION_MNIST_CLASSES

    return {
        "epochs": history.as_list(),
        "test_loss": evaluation.loss,
        "test_accuracy": evaluation.accuracy,
        "classes": list(FASHION_MNIST_CLASSES),
        "confusion": evaluation.confusion.tolist(),
    }


def report(evaluation: Evaluation, seconds: float, files: dict[str, Path | str]) -> None:
    from striate.data import FASHION_MNIST_CLASSES

    from .screen import confusion_table, open_console

    console = open_console(json=False, quiet=False)
    console.print(confusion_table(evaluation.confusion, FASHION_MNIST_CLASSES))
    accuracy = f"test accuracy  {evaluation.accuracy:.1%} after {seconds:.0f} s"
    console.print(accuracy, style="bold green")
    for name, where in files.items():
        console.print(f"{name:13}  {where}")
