"""`striate train`: teach the default network to tell clothes apart."""

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
    from striate.training import EpochRecord, Evaluation, History

    from .recipe import Run

EPOCHS = {"sample": 12, "fashion-mnist": 5}
BATCH_SIZE = 64
LEARNING_RATE = 0.05

OUTPUT = Path("striate-output")
CHECKPOINT = "checkpoint.safetensors"
PICTURE = "training-curve.png"


def add_command(commands: Any) -> None:
    parser: argparse.ArgumentParser = commands.add_parser(
        "train",
        help="train the default network on Fashion-MNIST",
        description="Train a small CNN on Fashion-MNIST. Leaves a checkpoint after every epoch "
        "and, where matplotlib is installed, a picture of the training curve.",
    )
    parser.set_defaults(run=run, usage_error=parser.error)
    add = parser.add_argument
    add(
        "--data",
        choices=list(EPOCHS),
        default="sample",
        help="the 6,000 images that ship with striate (default), or all 70,000",
    )
    add(
        "--data-dir",
        type=Path,
        metavar="DIR",
        help="folder of all the images; else STRIATE_DATA, Debian's package, cache, download",
    )
    defaults = ", ".join(f"{epochs} for {data}" for data, epochs in EPOCHS.items())
    add("--epochs", type=positive_int, metavar="N", help=f"default: {defaults}")
    add(
        "--batch-size",
        type=positive_int,
        metavar="N",
        default=BATCH_SIZE,
        help="default: %(default)s",
    )
    add(
        "--lr",
        type=positive_float,
        default=LEARNING_RATE,
        help="peak of the one-cycle schedule (default: %(default)s)",
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
        help="folder for checkpoint and picture (default: %(default)s)",
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

    from .recipe import Recipe, Run
    from .screen import open_console

    started = time.perf_counter()
    if arguments.threads is not None:
        striate.set_num_threads(arguments.threads)
    console = open_console(json=arguments.json, quiet=arguments.quiet)
    arguments.output.mkdir(parents=True, exist_ok=True)  # fail now rather than after an epoch
    recipe = Recipe(
        epochs=arguments.epochs or EPOCHS[arguments.data],
        batch_size=arguments.batch_size,
        learning_rate=arguments.lr,
        seed=arguments.seed,
    )
    training = Run(recipe, *load_data(arguments, console))
    checkpoint = arguments.output / CHECKPOINT
    history, evaluation = watch(training, checkpoint, console)
    picture, why_none = draw(history, arguments.output / PICTURE)

    seconds = time.perf_counter() - started
    if arguments.json:
        result = {
            "command": "train",
            "version": striate.__version__,
            "data": arguments.data,
            "train_images": len(training.train.dataset),
            "test_images": len(training.test.dataset),
            "seed": arguments.seed,
            "threads": striate.get_num_threads(),
            **describe(history, evaluation),
            "checkpoint": str(checkpoint),
            "picture": picture and str(picture),
            "seconds": seconds,
        }
        print(json.dumps(result))
    else:
        report(evaluation, seconds, {"checkpoint": checkpoint, "picture": picture or why_none})


def load_data(arguments: argparse.Namespace, console: Console) -> tuple[ArrayDataset, ArrayDataset]:
    from striate.data import ArrayDataset, fashion_mnist, fashion_mnist_sample

    if arguments.data == "sample":
        train, test = fashion_mnist_sample()
    else:
        train, test = fashion_mnist(arguments.data_dir, report=console.print)
    limit = slice(arguments.limit)
    return ArrayDataset(*train[limit]), ArrayDataset(*test[limit])


def watch(training: Run, checkpoint: Path, console: Console) -> tuple[History, Evaluation]:
    """Let the run learn while showing how far it is; on Ctrl-C say what is left of it."""
    import striate

    from .recipe import ARCHITECTURE
    from .screen import progress_bar

    epochs = training.recipe.epochs
    console.print(
        f"{ARCHITECTURE}, {training.parameters:,} parameters; "
        f"{len(training.train.dataset):,} training and {len(training.test.dataset):,} test images; "
        f"{striate.get_num_threads()} threads"
    )
    finished = 0
    with progress_bar(console) as progress:
        task = progress.add_task("training", total=training.steps)

        def on_batch(batch: int, batches: int) -> None:
            progress.update(task, advance=1, description=f"epoch {finished + 1}/{epochs}")

        def on_epoch(record: EpochRecord) -> None:
            nonlocal finished
            finished = record.epoch
            console.print(epoch_line(record, epochs))

        try:
            return training.learn(checkpoint, on_batch, on_epoch)
        except KeyboardInterrupt:
            left = f"{checkpoint} holds epoch {finished}" if finished else "no epoch was finished"
            raise KeyboardInterrupt(f"interrupted; {left}") from None


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
