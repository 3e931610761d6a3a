"""Vector kernels against the naive C++ references: runs check-reference, built with the harness."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OPS = (
    "relu",
    "leaky_relu",
    "sigmoid",
    "tanh",
    "elu",
    "clip",
    "hardsigmoid",
    "hardswish",
    "softplus",
    "logsigmoid",
    "silu",
    "gelu",
    "gelu_tanh",
    "mish",
    "absolute",
    "huber",
    "softmax",
    "log_softmax",
    "cross_entropy",
    "batch_norm",
    "group_norm",
)
ARITHMETIC = (
    "add",
    "subtract",
    "multiply",
    "divide",
    "add_relu",
    "prelu",
    "prelu_weight_terms",
)
UPDATES = ("sgd_update", "adam_update", "adagrad_update", "rmsprop_update")
EXACT = ("pad", "downsample", "upsample_zeros", "channel_sum", "max_pool_input_grad")
RUNS = ("copy", "take", "spread", "unfold", "fold", "max_unpool")
SAMPLING = ("grid_sample", "warp_affine", "grid_sample_input_grad", "grid_sample_grid_grad")
POOLING = ("max_pool", "max_pool_taps_grad", "avg_pool", "avg_pool_input_grad")


def find_program():
    """Beside $STRIATE_BENCH, else the newest check-reference under build/."""
    if named := os.environ.get("STRIATE_BENCH"):
        return Path(named).with_name("check-reference")
    built = [path for path in (ROOT / "build").glob("*/check-reference") if path.is_file()]
    return max(built, key=lambda path: path.stat().st_mtime, default=None)


PROGRAM = find_program()


@pytest.mark.skipif(
    PROGRAM is None, reason="no build/*/check-reference; configure with STRIATE_BENCH=ON and build"
)
def test_vector_kernels_agree_with_the_references(isas):
    result = subprocess.run([PROGRAM], capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stdout + result.stderr
    checked = {tuple(line.split()[:4]) for line in result.stdout.splitlines()}
    assert checked >= {
        ("ok", isa, dtype, op)
        for isa in isas
        for dtype in ("float32", "float64")
        for op in (*OPS, *(f"{op}_grad" for op in OPS), *ARITHMETIC, *EXACT, *RUNS, *POOLING)
        for op in (*OPS, *(f"{op}_grad" for op in OPS), *ARITHMETIC, *UPDATES, *EXACT, *POOLING)
        for op in (*OPS, *(f"{op}_grad" for op in OPS), *ARITHMETIC, *EXACT, *POOLING, *SAMPLING)
    }
