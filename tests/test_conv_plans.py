"""Plans of convolution: what explain tells is what happens; workspace limits; the cache."""

import gc
import os
import threading
from pathlib import Path

import numpy as np
import pytest
import striate
from striate import _core

RNG = np.random.default_rng(23)
SHAPES = {"conv2d": ((2, 64, 28, 28), (64, 64, 3, 3)), "deep": ((1, 32, 8, 8), (32, 1, 3, 3))}


@pytest.fixture
def limit():
    """The process's workspace limit is given back."""
    before = striate.get_workspace_limit()
    yield
    striate.set_workspace_limit(before)


def told(op="conv2d", shapes=SHAPES["conv2d"], **options):
    return striate.explain(op, *shapes, padding=1, **options)


def candidates(plan):
    return {row["name"]: row for row in plan["candidates"]}


@pytest.mark.parametrize("op", ["conv2d", "conv2d_input_grad", "conv2d_weight_grad"])
def test_the_cheapest_that_applies_is_chosen(op, isas):
    for isa in isas:
        _core.set_isa(isa)
        plan = told(op)
        rows = candidates(plan)
        assert plan["isa"] == isa and list(rows)[-1] == "reference"
        costs = {
            n: r["predicted"] for n, r in rows.items() if r["declined"] is None and r["predicted"]
        }
        assert plan["chosen"] == min(costs, key=costs.get)
        assert all(row["measured"] is None for row in rows.values())


def test_the_choice_does_not_depend_on_threads_or_on_when_it_is_made():
    plans = []
    for threads in (1, 2, 3):
        striate.set_num_threads(threads)
        plans.append(told())
    assert plans[0] == plans[1] == plans[2]


def test_measured_candidates_are_those_that_apply():
    plan = told(measure=True, shapes=((1, 8, 8, 8), (8, 8, 3, 3)))
    for row in plan["candidates"]:
        assert (row["measured"] is None) == (row["declined"] is not None)
        assert row["measured"] is None or row["measured"] > 0
        assert (row["packed"] is None) == (row["measured"] is None)
        assert (row["measured_packed"] is None) == (not row["packed"])
    rows = candidates(plan)
    assert rows["tiles"]["packed"] >= 8 * 8 * 9 * 4 and rows["reference"]["packed"] == 0


def test_exact_excludes_algorithms_that_round():
    rows = candidates(told(exact=True))
    inexact = ("winograd2", "winograd4")  # of those that serve this problem
    rounded = [name for name in inexact if candidates(told())[name]["declined"] is None]
    assert rounded
    for name in rounded:
        assert "exact=True" in rows[name]["declined"]
    assert told(exact=True)["chosen"] == "tiles"


def test_formats_are_part_of_the_question():
    for memory_format in (None, "contiguous", "channels_last"):
        assert told(memory_format=memory_format)["chosen"] in candidates(told())


def test_workspace_of_a_call_declines_what_needs_more():
    plan = told()
    need = candidates(plan)[plan["chosen"]]["workspace"]
    assert told(workspace=need)["chosen"] == plan["chosen"]
    less = candidates(told(workspace=need - 1))[plan["chosen"]]["declined"]
    assert f"{need} bytes" in less and str(need - 1) in less
    assert told(workspace=0)["chosen"] == "reference"


def test_workspace_of_the_process_holds_where_a_call_says_nothing(limit):
    free = told()["chosen"]
    striate.set_workspace_limit(0)
    assert striate.get_workspace_limit() == 0
    assert told()["chosen"] == "reference"
    assert told(workspace=2**40)["chosen"] == free
    striate.set_workspace_limit(None)
    assert striate.get_workspace_limit() is None
    assert told()["chosen"] == free


def test_limited_calls_give_the_same_sums(limit):
    x = RNG.integers(-2, 3, (2, 3, 9, 8)).astype(np.float32)
    w = RNG.integers(-2, 3, (5, 3, 3, 3)).astype(np.float32)
    y = striate.conv2d(x, w)
    dx, dw = striate.conv2d_input_grad(x.shape, w, y), striate.conv2d_weight_grad(x, w.shape, y)
    for workspace in (0, 600_000, None):
        assert np.array_equal(striate.conv2d(x, w, workspace=workspace), y)
        assert np.array_equal(striate.conv2d_input_grad(x.shape, w, y, workspace=workspace), dx)
        assert np.array_equal(striate.conv2d_weight_grad(x, w.shape, y, workspace=workspace), dw)
        assert np.array_equal(striate.conv_transpose2d(y, w, workspace=workspace), dx)


@pytest.mark.parametrize(
    "bad, error", [(-1, ValueError), (1.5, TypeError), ("1", TypeError), (True, TypeError)]
)
def test_bad_limits_are_refused(bad, error, limit):
    x, w = np.zeros((1, 1, 3, 3), np.float32), np.zeros((1, 1, 3, 3), np.float32)
    with pytest.raises(error, match=r"conv2d: workspace must"):
        striate.conv2d(x, w, workspace=bad)
    with pytest.raises(error, match=r"set_workspace_limit: bytes must"):
        striate.set_workspace_limit(bad)


# ---- choices remembered ----------------------------------------------------------------


def call(width, **options):
    return striate.conv2d(
        np.ones((1, 1, 4, width), np.float32), np.ones((1, 1, 3, 3), np.float32), **options
    )


def test_a_choice_is_made_once():
    _core.clear_plan_cache()
    for _ in range(10):
        call(7)
    stats = _core.plan_cache_stats()
    assert (stats["held"], stats["hits"], stats["misses"]) == (1, 9, 1)
    call(7, exact=True)  # another question
    call(7, workspace=10**9)
    assert _core.plan_cache_stats()["held"] == 3


def test_the_cache_is_bounded_and_forgets_with_the_instruction_set():
    capacity = _core.plan_cache_stats()["capacity"]
    for width in range(4, capacity + 500):
        call(width)
    assert capacity / 2 < _core.plan_cache_stats()["held"] <= capacity
    _core.set_isa(_core.get_isa())
    assert _core.plan_cache_stats()["held"] == 0


def test_threads_may_ask_at_once():
    want = [call(width) for width in range(4, 40)]
    wrong = []

    def work():
        for _ in range(20):
            for width, expected in zip(range(4, 40), want, strict=True):
                if not np.array_equal(call(width), expected):
                    wrong.append(width)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


# ---- many shapes -----------------------------------------------------------------------


def resident_bytes():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.slow
def test_memory_is_flat_over_ten_thousand_shapes():
    """Each call has its own shape, with results of up to megabytes; what is kept is bounded."""

    def calls(first, last):
        for number in range(first, last):
            rng = np.random.default_rng([24, number])
            n, c, o = (int(rng.integers(1, high)) for high in (4, 33, 33))
            h, w = (int(size) for size in rng.integers(5, 80, 2))
            x, k = np.ones((n, c, h, w), np.float32), np.ones((o, c, 3, 3), np.float32)
            y = striate.conv2d(x, k, padding=1)
            striate.conv2d_input_grad(x.shape, k, y, padding=1)
            striate.conv2d_weight_grad(x, k.shape, y, padding=1)

    pool = _core.buffer_pool_stats()["limit_bytes"]
    _core.set_buffer_pool_limit(32 * 2**20)
    try:
        calls(0, 2000)
        gc.collect()
        before = resident_bytes()
        calls(2000, 12_000)
        gc.collect()
        assert resident_bytes() - before < 16 * 2**20
        assert _core.buffer_pool_stats()["held_bytes"] <= 32 * 2**20
    finally:
        _core.set_buffer_pool_limit(pool)
