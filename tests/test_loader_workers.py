"""Workers of a DataLoader: the same bits for any number, resume, errors, and a clean end."""

import gc
import threading
import time

import numpy as np
import pytest
from striate import data

IMAGES = np.random.default_rng(0).random((50, 3, 8, 8)).astype(np.float32)
LABELS = np.arange(50)
AUGMENT = data.Compose((data.Augment(translation=2.0), data.Cutout(2)))


def loader(workers, rng=7, transform=AUGMENT, **options):
    dataset = data.ArrayDataset(IMAGES, LABELS)
    options = {"shuffle": True, "transform": transform, "num_workers": workers, **options}
    return data.DataLoader(dataset, 8, rng=rng, **options)


def bits(batches):
    return [(images.tobytes(), labels.tolist()) for images, labels in batches]


def loader_threads():
    return [t for t in threading.enumerate() if t.name.startswith("striate-loader")]


@pytest.mark.parametrize("workers", (1, 2, 3, 5))
@pytest.mark.parametrize("prefetch", (1, 4))
def test_any_number_of_workers_gives_the_same_bits(workers, prefetch):
    plain, threaded = loader(0), loader(workers, prefetch=prefetch)
    for _ in range(2):
        assert bits(threaded) == bits(plain)
    assert threaded.rng.bit_generator.state == plain.rng.bit_generator.state
    assert not loader_threads()


def test_order_is_kept_when_batches_take_different_times():
    def slow_at_times(images, rng):
        time.sleep(0.02 * (rng.random() < 0.3))
        return images

    assert [y.tolist() for _, y in loader(4, transform=slow_at_times)] == [
        y.tolist() for _, y in loader(0, transform=slow_at_times)
    ]


@pytest.mark.parametrize("done", (0, 1, 4, 6, 7))
@pytest.mark.parametrize("before, after", ((2, 0), (0, 3), (2, 2)))
def test_resume_in_mid_epoch_whatever_was_prefetched(done, before, after):
    def endless(loader):
        while True:
            yield from loader

    first = loader(before)
    whole = endless(first)
    for _ in range(done):
        next(whole)
    state = first.state_dict()
    want = bits([next(whole) for _ in range(9)])
    second = loader(after, rng=99)
    second.load_state_dict(state)
    found = endless(second)
    assert bits([next(found) for _ in range(9)]) == want
    whole.close()
    found.close()
    assert not loader_threads()


def test_what_a_worker_raises_arrives_where_its_batch_was_due():
    class Broken(data.ArrayDataset):
        def __getitem__(self, index):
            if 20 in index:
                raise OSError("example 20 cannot be read")
            return super().__getitem__(index)

    broken = data.DataLoader(Broken(IMAGES, LABELS), 8, num_workers=3)
    seen = []
    with pytest.raises(OSError, match="example 20"):
        for _, labels in broken:
            seen += labels.tolist()
    assert seen == list(range(16))
    assert not loader_threads()


def test_workers_end_with_a_break_and_with_a_dropped_iterator():
    working = loader(3)
    for _ in working:
        break
    gc.collect()
    assert not loader_threads()
    iterator = iter(working)
    next(iterator)
    assert loader_threads()
    del iterator
    gc.collect()
    assert not loader_threads()


def test_a_superseded_epoch_ends_its_workers():
    working = loader(2)
    old = iter(working)
    next(old)
    bits(working)
    with pytest.raises(RuntimeError, match="superseded"):
        next(old)
    assert not loader_threads()


def test_no_more_than_asked_for_is_made_ahead():
    made = []

    def counting(images, rng):
        made.append(1)
        return images

    iterator = iter(loader(2, transform=counting, prefetch=1))
    next(iterator)
    time.sleep(0.1)
    assert len(made) <= 3
    iterator.close()


def test_two_workers_work_at_the_same_time():
    """Each batch waits for another one, which a single thread could not bring."""
    meeting = threading.Barrier(2, timeout=10)

    def meet(images, rng):
        meeting.wait()
        return images

    dataset = data.ArrayDataset(IMAGES[:48], LABELS[:48])
    assert len(list(data.DataLoader(dataset, 8, transform=meet, num_workers=2))) == 6


@pytest.mark.parametrize(
    "options, error",
    (
        ({"num_workers": -1}, ValueError),
        ({"num_workers": 1.5}, TypeError),
        ({"num_workers": True}, TypeError),
        ({"prefetch": 0}, ValueError),
    ),
)
def test_bad_numbers_of_workers(options, error):
    with pytest.raises(error, match=r"DataLoader: .*(num_workers|prefetch)"):
        data.DataLoader(data.ArrayDataset(IMAGES), **options)


def test_a_state_without_a_seed_cannot_go_on_with_a_transform():
    running = loader(0, transform=None)
    next(iter(running))
    with pytest.raises(ValueError, match="no seed"):
        loader(0).load_state_dict(running.state_dict())


@pytest.mark.parametrize("transform", (None, data.Normalize(0.5, 0.25)))
def test_a_batch_transform_gets_all_arrays_and_a_generator_of_its_batch(transform):
    images = np.random.default_rng(0).random((10, 1, 3, 3)).astype(np.float32)
    labels = np.arange(10) % 3

    def batches(workers):
        return data.DataLoader(
            data.ArrayDataset(images, labels),
            4,
            transform=transform,
            batch_transform=lambda x, y, rng: data.mixup(x, y, 3, 1.0, rng=rng),
            shuffle=True,
            rng=5,
            num_workers=workers,
        )

    alone = list(batches(0))
    assert [rows.shape for _, rows in alone] == [(4, 3), (4, 3), (2, 3)]
    assert all(np.allclose(rows.sum(axis=1), 1) for _, rows in alone)
    assert any((rows < 0.99).all(axis=1).any() for _, rows in alone)
    np.testing.assert_equal(list(batches(2)), alone)
    begun = batches(0)
    next(iter(begun))
    resumed = batches(2)
    resumed.load_state_dict(begun.state_dict())
    np.testing.assert_equal(list(resumed), alone[1:])
