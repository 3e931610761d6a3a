"""Every example runs as its docstring says, and the number that it prints shows that it learned."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import striate

EXAMPLES = Path(__file__).parent.parent / "examples"
DATA = {"digits.py"}  # imported by others

# For each example, what precedes the number and the bounds that it must lie in; chance and what the
# example is compared with lie well outside.
LEARNED = {
    "autoencoder.py": [(r"numbers explain", 0.75, 1.0)],
    "bounding_boxes.py": [
        (r"accuracy of the shape", 0.95, 1.0),
        (r"mean overlap of the boxes", 0.65, 1.0),
    ],
    "causal_dilated.py": [
        (r"dense    field  6: unexplained part of the signal", 0.9, 1.2),
        (r"dilated  field 32: unexplained part of the signal", 0.0, 0.05),
    ],
    "cross_validation.py": [(r"7 networks on ten crops: test accuracy", 0.7, 1.0)],
    "fashion_mnist.py": [(r"^test accuracy", 0.8, 1.0)],
    "keypoints.py": [(r"within 2 pixels:", 0.85, 1.0), (r"median error", 0.0, 1.0)],
    "lenet_digits.py": [
        (r"LeNet-5 has", 61_706, 61_706),
        (r"accuracy before training", 0.0, 0.3),
        (r"^test accuracy(?= [\d.]+$)", 0.97, 1.0),
    ],
    "plain_against_residual.py": [
        (r"shortcuts lower the training loss of 44 layers by", 0.2, 2.0),
    ],
    "spectrograms.py": [(r"test accuracy", 0.95, 1.0)],
    "transfer_learning.py": [
        (r"fine-tuned: test accuracy", 0.8, 1.0),
        (r"transfer gains", 0.03, 1.0),
    ],
    "transform_invariant_digits.py": [
        (r"plain filters.*on turned ones", 0.0, 0.55),
        (r"turning filters.*on turned ones", 0.65, 1.0),
    ],
}


def test_every_example_is_in_the_table_and_short():
    files = {path.name: path for path in EXAMPLES.glob("*.py")}
    assert files.keys() - DATA == LEARNED.keys()
    for path in files.values():
        assert len(path.read_text().splitlines()) < 100, path.name


@pytest.mark.slow
@pytest.mark.parametrize("name", LEARNED)
def test_an_example_learns(tmp_path, name):
    package = str(Path(striate.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / name)],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=tmp_path,  # where the checkpoint goes
        env={**os.environ, "PYTHONPATH": package},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for words, low, high in LEARNED[name]:
        found = re.search(rf"{words} (-?[\d.,]*\d)", done.stdout, re.MULTILINE)
        assert found, done.stdout
        assert low <= float(found[1].replace(",", "")) <= high, done.stdout
