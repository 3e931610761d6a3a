"""Where results live: out=, the pool of big buffers, and no memory lost over many calls."""

import gc
import os
import threading
from pathlib import Path

import numpy as np
import pytest
import striate
from striate import _core

RNG = np.random.default_rng(14)
X = RNG.integers(-3, 4, (2, 6, 8, 8)).astype(np.float32)
W = RNG.integers(-3, 4, (8, 6, 3, 3)).astype(np.float32)
G = RNG.integers(-3, 4, (2, 8, 6, 6)).astype(np.float32)
HALF = RNG.integers(-3, 4, (2, 6, 4, 4)).astype(np.float32)

OPS = {
    "conv2d": lambda **k: striate.conv2d(X, W, **k),
    "conv2d_input_grad": lambda **k: striate.conv2d_input_grad(X.shape, W, G, **k),
    "conv2d_weight_grad": lambda **k: striate.conv2d_weight_grad(X, W.shape, G, **k),
    "conv_bias_grad": lambda **k: striate.conv_bias_grad(G, **k),
    "conv_transpose2d": lambda **k: striate.conv_transpose2d(G, W, **k),
    "max_pool2d": lambda **k: striate.max_pool2d(X, 2, **k),
    "avg_pool2d": lambda **k: striate.avg_pool2d(X, 2, **k),
    "max_pool2d_input_grad": lambda **k: striate.max_pool2d_input_grad(
        X.shape, np.zeros(HALF.shape, np.int64), HALF, **k
    ),
    "avg_pool2d_input_grad": lambda **k: striate.avg_pool2d_input_grad(X.shape, HALF, 2, **k),
    "linear": lambda **k: striate.linear(X.reshape(2, -1), np.ones((5, 384), np.float32), **k),
}


def layouts_of(shape):
    """Arrays of that shape full of NaN, in layouts that an `out` may have."""
    yield np.full(shape, np.nan, np.float32)
    yield np.full(shape[::-1], np.nan, np.float32).T
    yield np.full((*shape[:-1], shape[-1] * 2), np.nan, np.float32)[..., ::2]
    if len(shape) > 1:
        yield np.full(shape, np.nan, np.float32)[:, ::-1]
    if len(shape) > 2:
        last = np.full((shape[0], *shape[2:], shape[1]), np.nan, np.float32)
        yield np.moveaxis(last, -1, 1)


@pytest.mark.parametrize("op", OPS)
def test_out_is_filled_and_returned(op):
    want = OPS[op]()
    for out in layouts_of(want.shape):
        strides = out.strides
        got = OPS[op](out=out)
        assert got is out and out.strides == strides
        np.testing.assert_array_equal(out, want)


@pytest.mark.parametrize("op", OPS)
def test_out_touches_nothing_else(op):
    """A window of a larger array is filled to its edge and not past it."""
    want = OPS[op]()
    room = np.full([n + 2 for n in want.shape], 77, np.float32)
    inside = tuple(slice(1, -1) for _ in want.shape)
    OPS[op](out=room[inside])
    np.testing.assert_array_equal(room[inside], want)
    room[inside] = 77
    assert (room == 77).all()


# ---- the pool --------------------------------------------------------------------------

BIG_SHAPE = (4, 16, 128, 128)


@pytest.fixture
def pool():
    """An empty pool of 256 MiB, given back its former limit afterwards."""
    limit = _core.buffer_pool_stats()["limit_bytes"]
    gc.collect()
    _core.set_buffer_pool_limit(2**28)
    _core.clear_buffer_pool()
    yield
    _core.clear_buffer_pool()
    _core.set_buffer_pool_limit(limit)


def big_result(value=1.0):
    return striate.relu(np.full(BIG_SHAPE, value, np.float32))


def test_a_dropped_result_is_used_again(pool):
    first = big_result()
    address = first.ctypes.data
    del first
    assert _core.buffer_pool_stats()["held_bytes"] >= 4 * np.prod(BIG_SHAPE)
    hits = _core.buffer_pool_stats()["hits"]
    again = big_result(2.0)
    assert again.ctypes.data == address
    assert _core.buffer_pool_stats()["hits"] == hits + 1
    assert (again == 2).all()


def test_a_view_keeps_its_buffer_alive(pool):
    """The memory returns to the pool with the last view, not with the first name."""
    corner = big_result(3.0)[0, 0, 0, :2]
    for _ in range(4):
        big_result(9.0)
    assert (corner == 3).all()


def test_the_limit_bounds_what_is_kept(pool):
    results = [big_result() for _ in range(6)]
    _core.set_buffer_pool_limit(results[0].nbytes * 3)
    del results
    assert 0 < _core.buffer_pool_stats()["held_bytes"] <= 4 * np.prod(BIG_SHAPE) * 3
    _core.set_buffer_pool_limit(0)
    assert _core.buffer_pool_stats()["held_bytes"] == 0
    big_result()
    assert _core.buffer_pool_stats()["held_bytes"] == 0


def test_clear_gives_everything_back(pool):
    big_result()
    _core.clear_buffer_pool()
    stats = _core.buffer_pool_stats()
    assert stats["held_bytes"] == stats["held_buffers"] == 0


def test_threads_share_the_pool(pool):
    """No buffer is ever in two hands: each thread's result keeps the thread's number."""
    wrong = []

    def work(number):
        for _ in range(25):
            y = big_result(float(number))
            if not (y == number).all():
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(1, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


# ---- leaks -----------------------------------------------------------------------------


def resident_bytes():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def test_memory_is_flat_over_a_hundred_thousand_calls():
    x, w = X[:1, :2, :4, :4].copy(), W[:2, :2].copy()
    indices = striate.max_pool2d(x, 2, return_indices=True)[1]

    def calls(count):
        for _ in range(count // 5):
            y = striate.conv2d(x, w)
            striate.conv2d_input_grad(x.shape, w, y)
            striate.conv2d_weight_grad(x, w.shape, y)
            striate.max_pool2d_input_grad(x.shape, indices, indices.astype(np.float32))
            try:
                striate.conv2d(x, w, stride=0)
            except ValueError:
                pass

    calls(5000)
    gc.collect()
    before = resident_bytes()
    calls(100_000)
    gc.collect()
    assert resident_bytes() - before < 2**20  # a leak of 11 bytes a call would show


def test_big_results_do_not_pile_up(pool):
    big_result()
    before = resident_bytes()
    for _ in range(100):
        big_result()
    assert resident_bytes() - before < 3 * 4 * np.prod(BIG_SHAPE)
