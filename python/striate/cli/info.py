"""`striate info`: what striate found on this machine. Needs no extra."""

from __future__ import annotations

import argparse
import json
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

EXTRAS = {"cli": ("rich", "safetensors", "pillow"), "viz": ("matplotlib",)}


def add_command(commands: Any) -> None:
    parser: argparse.ArgumentParser = commands.add_parser(
        "info",
        help="show versions, CPU, threads, extras and data",
        description="Show what striate found on this machine.",
    )
    parser.set_defaults(run=run)
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(arguments: argparse.Namespace) -> None:
    facts = gather()
    if arguments.json:
        print(json.dumps(facts))
        return
    for name, value in facts.items():
        nested = value.items() if isinstance(value, dict) else [("", value)]
        for index, (key, item) in enumerate(nested):
            print(f"{'' if index else name:8}  {f'{key}: ' if key else ''}{show(item)}")


def gather() -> dict[str, Any]:
    import numpy as np

    import striate

    return {
        "striate": striate.__version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "cpu": striate.cpu_info(),
        "extras": {
            f"{package} ({extra})": installed(package)
            for extra, packages in EXTRAS.items()
            for package in packages
        },
        "data": find_data(),
    }


def installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def find_data() -> dict[str, str | None]:
    from striate.data import find_fashion_mnist
    from striate.data.fashion import SAMPLE_FOLDER

    try:
        full = find_fashion_mnist()
    except OSError as error:  # a folder is named but unusable: that, too, is information
        return {"sample": str(SAMPLE_FOLDER), "fashion-mnist": None, "problem": str(error)}
    return {"sample": str(SAMPLE_FOLDER), "fashion-mnist": str(full) if full else None}


def show(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return str(value)
