"""A packed weight is never that of an old value: a parameter is changed by every road there is.

After each, the results are compared with those of plain arrays, which nobody keeps packed.
"""

import copy
import os
import pickle
import threading

import numpy as np
import pytest
import striate
from packed_layers import LAYERS, Layer, conv_layer, forms, values, write
from problems import lay_out
from striate import Tensor, _core, nn, no_grad, optim

MOST_FORMS = 4


def step(kind):
    def change(layer):
        optimizer = kind(layer.module.parameters(), lr=0.1)
        striate.Tensor.sum(layer.module(layer.x)).backward()
        optimizer.step()

    return change


def load(layer):
    state = layer.module.state_dict()
    layer.module.load_state_dict({name: value + 1 for name, value in state.items()})


def write_some(layer):
    with layer.module.weight.writing() as data:
        data[0] += 1
        data.reshape(-1)[-1] = 5


def write_by_ufunc(layer):
    with layer.module.weight.writing() as data:
        np.add(data, 1, out=data)
        striate.relu(data.copy(), out=data)


def write_and_fail(layer):
    with pytest.raises(ZeroDivisionError), layer.module.weight.writing() as data:
        data += 1
        _ = 1 / 0


def write_through_a_view(layer):
    """A tensor on the same memory, made while the parameter could be written to, writes later."""
    weight = layer.module.weight
    with no_grad(), weight.writing():
        view = weight.reshape(-1)
    before = layer.check()
    with view.writing() as data:
        data += 1
        layer.check()  # what the block has done so far, and ...
        data += 1
        layer.check()  # ... what it did since
    assert not np.array_equal(layer.check(), before)


def replace(layer):
    layer.module.weight = nn.Parameter(layer.module.weight.data + 1)


def swap(layer):
    """Between two parameters: each has forms of its own."""
    first, second = layer.module.weight, nn.Parameter(layer.module.weight.data + 1)
    for weight in (second, first, second):
        layer.module.weight = weight
        layer.check()


ROADS = {
    "assign": lambda layer: layer.module.weight.assign(layer.module.weight.data[::-1] + 1),
    "assign a number": lambda layer: layer.module.weight.assign(0.5),
    "in place": write,
    "in place, a part": write_some,
    "in place, by ufunc": write_by_ufunc,
    "in place, with an error": write_and_fail,
    "through a view": write_through_a_view,
    "SGD": step(optim.SGD),
    "Adam": step(optim.Adam),
    "load_state_dict": load,
    "another parameter": replace,
    "two parameters": swap,
}


@pytest.mark.parametrize("make", LAYERS)
@pytest.mark.parametrize("road", ROADS)
def test_a_change_is_seen(make, road):
    layer = make()
    before = layer.check()
    ROADS[road](layer)
    assert not np.array_equal(layer.check(), before)


@pytest.mark.parametrize("make", LAYERS)
def test_inside_a_writing_block_nothing_is_kept(make):
    layer = make()
    with layer.module.weight.writing() as data:
        for _ in range(3):
            data += 1
            assert forms(layer.module.weight) is None
            layer.check()
    layer.check()
    assert forms(layer.module.weight) > 0


@pytest.mark.parametrize("make", LAYERS)
def test_dtype_and_memory_format_are_changed_and_changed_back(make):
    layer = make()
    for how in ({"dtype": np.float64}, {"dtype": np.float32}):
        layer.module.to(**how)
        layer.check()
        assert forms(layer.module.weight) > 0
    for format in ("channels_last", "contiguous", "channels_last"):
        layer.module.to(memory_format=format)
        layer.check()


@pytest.mark.parametrize("make", LAYERS)
def test_numpy_cannot_write_behind_its_back(make):
    layer = make()
    weight, before = layer.module.weight, layer.check()
    with pytest.raises(AttributeError):
        weight.data = weight.data + 1
    for attempt in (
        lambda: weight.data.__setitem__(0, 1.0),
        lambda: weight.numpy().__iadd__(1.0),
        lambda: np.copyto(weight.data, 0.0),
        lambda: weight.detach().assign(0.0),
        lambda: Tensor(weight).assign(0.0),
        lambda: Tensor(weight.data[0]).assign(0.0),
        lambda: striate.relu(np.zeros(weight.shape, np.float32), out=weight.data),
        lambda: np.asarray(memoryview(weight.data)).__setitem__(0, 1.0),
    ):
        with pytest.raises(ValueError, match="read-only"):
            attempt()
    assert np.array_equal(layer.check(), before)


def test_an_array_that_was_made_writeable_is_not_kept_packed():
    """By NumPy's own flag, which nobody should touch; as long as it is up, values may change."""
    layer = conv_layer()
    layer.module.weight.data.flags.writeable = True
    for _ in range(3):
        layer.module.weight.data[...] += 1
        assert forms(layer.module.weight) is None
        layer.check()


@pytest.mark.parametrize("make", LAYERS)
@pytest.mark.parametrize(
    "duplicate", [copy.copy, copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))]
)
def test_a_copy_has_forms_of_its_own(make, duplicate):
    layer = make()
    before, weight = layer.check(), layer.module.weight
    other = duplicate(weight)
    assert forms(other) == 0 and forms(weight) > 0
    other.assign(other.data + 1)
    assert np.array_equal(layer.check(), before)
    layer.module.weight = other
    changed = layer.check()
    weight.assign(0.0)
    assert np.array_equal(layer.check(), changed) and not np.array_equal(changed, before)


@pytest.mark.parametrize("make", LAYERS)
def test_a_pickled_or_copied_module_works_on(make):
    layer = make()
    before = layer.check()
    for module in (copy.deepcopy(layer.module), pickle.loads(pickle.dumps(layer.module))):
        other = Layer(module, layer.x, layer.plain)
        write(other)
        other.check()
    assert np.array_equal(layer.check(), before)


@pytest.mark.parametrize("make", LAYERS)
def test_the_instruction_set_may_change_and_change_back(make, isas):
    layer = make()
    for isa in (*isas, *reversed(isas), *isas):
        _core.set_isa(isa)
        layer.check()
    assert 0 < forms(layer.module.weight) <= MOST_FORMS


def test_one_weight_serves_images_of_all_sizes_and_formats():
    layer = conv_layer()
    rng = np.random.default_rng(5)
    for index in range(40):
        n, height, width = rng.integers(1, 4), *rng.integers(1, 70, 2)
        x = values((n, 16, height, width), seed=index)
        layer.x = lay_out(x, "channels_last" if index % 3 else "contiguous", rng)
        layer.check()
        assert forms(layer.module.weight) <= MOST_FORMS


def test_two_layers_may_share_a_weight():
    weight = nn.Parameter(values((24, 16, 3, 3)))
    x = values((1, 16, 20, 20))
    with no_grad():
        for value in (1.0, 2.0):
            weight.assign(weight.data * value)
            for _ in range(2):
                for stride, padding, exact in ((1, 1, False), (2, 0, False), (1, 1, True)):
                    got = striate.conv2d(x, weight, None, stride, padding, exact=exact)
                    want = striate.conv2d(x, weight.data, None, stride, padding, exact=exact)
                    assert np.array_equal(got.data, want)


# ---- threads and processes -----------------------------------------------------------------------


@pytest.mark.parametrize("make", LAYERS)
def test_many_threads_share_a_parameter_that_changes_between_their_calls(make):
    layer = make()
    count, rounds, wrong = 4, 25, []
    wanted = []
    barrier = threading.Barrier(count + 1)

    def work():
        for turn in range(rounds):
            barrier.wait()
            with no_grad():
                for _ in range(3):
                    if not np.array_equal(layer.module(layer.x).data, wanted[turn]):
                        wrong.append(turn)
            barrier.wait()

    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for turn in range(rounds):
        layer.module.weight.assign(values(layer.module.weight.shape, seed=turn))
        wanted.append(layer.plain(layer.x, layer.module.weight.data, layer.module.bias.data))
        barrier.wait()
        barrier.wait()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize("make", LAYERS)
def test_a_thread_inside_a_call_does_not_keep_what_was_changed_meanwhile(make):
    """Its own result may be a mixture; those that begin after the change may not."""
    layer = make()
    stop = threading.Event()

    def work():
        with no_grad():
            while not stop.is_set():
                layer.module(layer.x)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for turn in range(60):
        layer.module.weight.assign(values(layer.module.weight.shape, seed=turn))
        layer.check()
    stop.set()
    for thread in threads:
        thread.join()


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("make", LAYERS)
def test_a_forked_child_changes_its_own_weights(make):
    layer = make()
    before = layer.check()
    child = os.fork()
    if child == 0:
        right = False
        try:
            same = np.array_equal(layer.check(), before)
            write(layer)
            right = same and not np.array_equal(layer.check(), before)
        finally:
            os._exit(0 if right else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert np.array_equal(layer.check(), before)
