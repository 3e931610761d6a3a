"""The tape: what it keeps, what it refuses, and the order in which it goes back."""

import gc
import threading
import weakref

import numpy as np
import pytest
from striate import Tensor, grad, gradcheck, jacobian, no_grad, ops
from striate.autograd import as_array, concatenate, primitive, stack


def leaf(*values, dtype=np.float64):
    return Tensor(np.array(values, dtype), requires_grad=True)


# ---- values and gradients ------------------------------------------------------------------------


def test_gradient_of_a_small_expression_by_hand():
    w = leaf(2.0, 3.0, 5.0)
    (w[0] * w[1]).backward()
    assert w.grad.tolist() == [3.0, 2.0, 0.0]
    w.grad = None
    (w[0] ** 2 + w[2] ** 3).backward()  # lecture 004: the Jacobian of (w1 w2, w1^2 + w3^3)
    assert w.grad.tolist() == [4.0, 0.0, 75.0]


def test_every_gradient_has_the_shape_and_dtype_of_its_variable():
    for dtype in (np.float32, np.float64):
        x = Tensor(np.ones((2, 3), dtype), requires_grad=True)
        y = Tensor(np.ones((3,), dtype), requires_grad=True)
        z = Tensor(dtype(2.0), requires_grad=True)
        loss = ((x * y + 1.5) / z * np.float64(0.5)).mean()
        loss.backward()
        assert loss.dtype == dtype
        for variable in (x, y, z):
            assert isinstance(variable.grad, np.ndarray)
            assert (variable.grad.shape, variable.grad.dtype) == (variable.shape, dtype)


def test_a_variable_used_many_times_receives_the_sum():
    x = leaf(3.0)
    y = x * x
    (y * y + y + x).sum().backward()
    assert x.grad.tolist() == [4 * 27 + 6 + 1]


def test_gradients_add_up_over_calls_and_unused_ones_stay_none():
    x, unused = leaf(1.0), leaf(1.0)
    for count in (1, 2):
        (2.0 * x).sum().backward()
        assert x.grad.tolist() == [2.0 * count]
    assert unused.grad is None


def test_gradients_of_two_variables_never_share_memory():
    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
    seed = np.array([1.0, 1.0])
    (x + y).backward(seed)
    x.grad *= 10.0
    assert y.grad.tolist() == seed.tolist() == [1.0, 1.0]
    x.grad = None
    x.reshape(2, 1).backward(seed.reshape(2, 1))
    x.grad[:] = 7.0
    x.grad = None
    x.sum().backward()
    x.grad[0] = 5.0  # a broadcast gradient would be read-only or repeat
    assert x.grad.tolist() == [5.0, 1.0] and seed.tolist() == [1.0, 1.0]


def test_a_gradient_never_shares_memory_with_the_direction_handed_in():
    """It is not copied on the way in, so whatever comes out of it must be."""
    results = {
        "the variable itself": lambda x: x,
        "handed on": lambda x: x + 1.0,
        "a view": lambda x: x.reshape(3, 2).transpose(1, 0),
        "twice": lambda x: x + x,
        "computed": lambda x: x * 3.0,
    }
    for name, result in results.items():
        for make in (np.ones, lambda shape: np.broadcast_to(1.0, shape)):  # writeable or not
            x = leaf([1.0, 2.0, 3.0], [4.0, 5.0, 6.0])
            seed = make(result(x).shape)
            before = seed.copy()
            first = grad(result(x), [x], seed)[0]
            result(x).backward(seed)
            want = x.grad.copy()
            assert not np.shares_memory(x.grad, seed) and not np.shares_memory(first, seed), name
            x.grad[:] = 7.0  # writeable, and nobody else's
            assert seed.tolist() == before.tolist() and first.tolist() == want.tolist(), name
            if seed.flags.writeable:
                x.grad = None
                result(x).backward(seed)
                seed[:] = 5.0
                assert x.grad.tolist() == want.tolist(), name


def test_what_is_recorded_for_a_second_derivative_keeps_its_direction():
    x, seed = leaf(2.0, 3.0), np.array([1.0, 10.0])
    (first,) = grad(x * x * x, [x], seed, create_graph=True)
    seed[:] = 0.0
    first.sum().backward()
    assert x.grad.tolist() == [12.0, 180.0]


def test_a_constant_costs_no_gradient():
    calls = []

    @primitive
    def product(x, y):
        return x * y

    product.vjp("x")(lambda grad, y: calls.append("x") or grad * y)
    product.vjp("y")(lambda grad, x: calls.append("y") or grad * x)
    x, y = leaf(2.0), leaf(3.0)
    product(x, Tensor([3.0])).sum().backward()
    assert calls == ["x"]
    a, b = product(x, y), leaf(1.0)
    grad((a * b).sum(), [a])  # nothing beyond `a` is asked for
    assert calls == ["x"]
    grad(product(x, y).sum(), [y])
    assert calls == ["x", "y"]


def test_grad_of_intermediate_results_leaves_grad_alone():
    x = leaf(2.0)
    y = x * x
    z = (y * y).sum()
    assert [g.tolist() for g in grad(z, [y, x], retain_graph=True)] == [[8.0], [32.0]]
    assert grad(z, [leaf(1.0)]) == [None]
    assert x.grad is None


def test_higher_derivatives():
    x = leaf(2.0)
    (first,) = grad((x**4).sum(), [x], create_graph=True)
    (second,) = grad(first.sum(), [x], create_graph=True)
    (third,) = grad(second.sum(), [x])
    assert (first.item(), second.item(), third.item()) == (32.0, 48.0, 48.0)


def test_concatenate_and_stack_on_arrays_return_arrays():
    x = np.ones((2, 1), np.float32)
    assert type(concatenate([x, x], 1)) is np.ndarray
    assert stack([x, x], -1).shape == (2, 1, 2)
    with pytest.raises(TypeError, match=r"cannot mix dtypes \['float32', 'float64'\]"):
        concatenate([x, x.astype(np.float64)])


def test_max_pays_the_first_of_equal_elements():
    x = leaf(1.0, 3.0, 3.0)
    x.max().backward()
    assert x.grad.tolist() == [0.0, 1.0, 0.0]


# ---- depth ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("go_back", [True, False])
def test_deep_chains_need_no_recursion(go_back):
    x = leaf(1.0)
    y = x
    for _ in range(20_000):
        y = y + x
    if go_back:
        y.sum().backward()
        assert x.grad.tolist() == [20_001.0]
    alive = weakref.ref(y)
    del y
    gc.collect()
    assert alive() is None


def test_a_graph_is_freed_without_the_garbage_collector():
    gc.disable()
    try:
        x = leaf(1.0, 2.0)
        y = ops.relu(x).exp().sum()
        kept = weakref.ref(y)
        del y
        assert kept() is None
    finally:
        gc.enable()


# ---- what is refused -----------------------------------------------------------------------------


def test_backward_of_a_non_scalar_needs_a_gradient():
    x = leaf(1.0, 2.0)
    with pytest.raises(ValueError, match=r"shape \(2,\), only a scalar"):
        (x * x).backward()
    with pytest.raises(ValueError, match=r"grad is float64 \(3,\), the result is float64 \(2,\)"):
        (x * x).backward(np.ones(3))


def test_backward_twice_needs_retain_graph():
    x = leaf(1.0)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    with pytest.raises(RuntimeError, match=r"reduce_sum: .* freed .* retain_graph=True"):
        y.backward()
    assert x.grad.tolist() == [4.0]


def test_backward_of_what_was_not_recorded():
    with pytest.raises(RuntimeError, match="nothing was recorded"):
        Tensor([1.0]).backward()
    x = leaf(1.0)
    with no_grad():
        y = x * x
    assert not y.requires_grad
    with pytest.raises(RuntimeError, match="nothing was recorded"):
        y.backward()


def test_no_grad_decorates_and_nests_and_is_a_threads_own():
    x = leaf(1.0)

    @no_grad()
    def silent():
        with no_grad():
            pass
        return (x * x).requires_grad

    assert not silent() and (x * x).requires_grad
    seen = []
    with no_grad():
        thread = threading.Thread(target=lambda: seen.append((x * x).requires_grad))
        thread.start()
        thread.join()
    assert seen == [True]


def test_a_saved_tensor_that_changed_is_noticed():
    x, w = leaf(1.0), leaf(2.0)
    y = (x * w).sum()
    w.assign([3.0])
    with pytest.raises(
        RuntimeError, match=r"multiply: y was changed in place .*version 0.*1 found"
    ):
        y.backward()
    assert x.grad is None and w.grad is None


def test_a_tensor_that_changed_but_was_not_needed_is_fine():
    x, w = leaf(1.0), leaf(2.0)
    y = (x + w).sum()
    w.assign([3.0])
    y.backward()
    assert w.grad.tolist() == [1.0]


def test_changes_through_views_and_detached_tensors_are_noticed():
    x, w = leaf(1.0, 2.0), leaf(2.0, 3.0)
    y = x * w.reshape(2)
    w.assign(0.0)
    with pytest.raises(RuntimeError, match="changed in place"):
        y.sum().backward()
    z = x.exp()
    z.detach().assign(1.0)
    with pytest.raises(RuntimeError, match="exp: output was changed in place"):
        z.sum().backward()


def test_only_leaves_are_assigned():
    x = leaf(1.0)
    with pytest.raises(RuntimeError, match="a result of exp cannot be changed"):
        x.exp().assign(1.0)
    x.assign(4)
    assert x.version == 1 and x.item() == 4.0
    with x.writing() as data:
        data += 1.0
    assert x.version == 2 and x.item() == 5.0
    with pytest.raises(AttributeError):
        x.data = np.zeros(1)


def test_a_missing_rule_is_named_when_it_is_needed():
    @primitive
    def half(x, y):
        return x * 0.5 + y

    half.vjp("y")(lambda grad: grad)
    x, y = leaf(1.0), leaf(1.0)
    half(Tensor([1.0]), y).sum().backward()
    with pytest.raises(NotImplementedError, match="half: no gradient rule for argument 'x'"):
        half(x, y).sum().backward()


def test_a_rule_that_gives_the_wrong_shape_is_named():
    @primitive
    def double(x):
        return x * 2.0

    double.vjp("x")(lambda grad: grad.sum())
    with pytest.raises(RuntimeError, match=r"double: the gradient rule for 'x' gave float64 \(\)"):
        double(leaf(1.0, 2.0)).sum().backward()


def test_operands_that_do_not_fit():
    x = leaf(1.0, dtype=np.float32)
    with pytest.raises(TypeError, match="cannot mix float32 and float64"):
        x + np.ones(1)
    with pytest.raises(TypeError, match="has dtype int64"):
        x * np.arange(1)
    with pytest.raises(TypeError, match="exponent must be a number"):
        x**x
    with pytest.raises(ValueError, match="matmul: needs two axes"):
        x @ x


# ---- Tensor --------------------------------------------------------------------------------------


def test_tensor_is_an_array_only_when_nothing_is_lost():
    assert np.asarray(Tensor([1.0, 2.0])).tolist() == [1.0, 2.0]
    with pytest.raises(TypeError, match=r"use \.numpy\(\)"):
        np.asarray(leaf(1.0))
    assert type(np.ones(1) + leaf(1.0)) is Tensor
    assert type(np.float64(2.0) * leaf(1.0)) is Tensor


def test_tensor_attributes():
    x = Tensor(np.zeros((2, 3), np.float32), requires_grad=True)
    assert (x.shape, x.dtype, x.ndim, x.size, len(x)) == ((2, 3), np.float32, 2, 6, 2)
    assert not x.detach().requires_grad and x.numpy() is x.data
    assert repr(leaf(1.0)) == "Tensor([1.], dtype=float64, requires_grad=True)"
    assert repr(leaf(0.0).exp()) == "Tensor([1.], dtype=float64, made by exp)"
    with pytest.raises(ValueError):
        x.item()


def test_tensor_shares_the_memory_of_a_ready_array():
    array = np.zeros(3)
    Tensor(array).assign(1.0)
    assert array.tolist() == [1.0] * 3


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([1, 2], r"has dtype int64, .*astype\(numpy.float32\)"),
        (np.ones(2, np.float16), "has dtype float16"),
        (np.array([True]), "has dtype bool"),
        (np.array([1.0, None]), "has dtype object, but must be float32 or float64$"),
        (np.ones(2, complex), "has dtype complex128"),
        (np.ma.masked_array([1.0, 2.0], [True, False]), r"masked array; fill it first"),
        (np.ones((1, 1)).view(np.matrix), "numpy.matrix; convert"),
        ([[1.0], [1.0, 2.0]], "cannot be made an array"),
        ("text", "has dtype <U4"),
    ],
    ids=repr,
)
def test_what_is_no_array(value, message):
    with pytest.raises(TypeError, match="Tensor: data .*" + message):
        Tensor(value)


def test_arrays_are_made_native_and_aligned():
    swapped = np.arange(3.0).astype(">f8")
    assert as_array(swapped, "x").dtype.isnative and as_array(swapped, "x").tolist() == [0, 1, 2]
    misaligned = np.frombuffer(b"\0" + np.arange(3.0).tobytes(), np.float64, offset=1)
    assert not misaligned.flags.aligned and as_array(misaligned, "x").flags.aligned
    ready = np.zeros(3, np.float32)[::-1]
    assert as_array(ready, "x") is ready


def test_dlpack_exporters_are_arrays():
    class Exporter:
        def __init__(self, array):
            self.array = array

        def __dlpack__(self, **options):
            return self.array.__dlpack__(**options)

        def __dlpack_device__(self):
            return self.array.__dlpack_device__()

    assert as_array(Exporter(np.arange(3.0)), "x").tolist() == [0, 1, 2]


# ---- memory that is shared -----------------------------------------------------------------------


def test_a_tensor_of_a_tensor_shares_its_version_with_its_memory():
    x, first = leaf(1.0, 2.0), leaf(3.0, 4.0)
    second = Tensor(first)
    y = (x * first).sum()
    second.assign([5.0, 6.0])
    assert first.data.tolist() == [5.0, 6.0] and first.version == second.version == 1
    with pytest.raises(RuntimeError, match="multiply: y was changed in place"):
        y.backward()
    assert not second.requires_grad and Tensor(first.data).version == 0


def test_grad_of_intermediate_results_gives_every_one_its_own_memory():
    x = leaf(1.0, 2.0, 3.0)
    seed = np.array([1.0, 10.0, 100.0])
    y1, y2, y3 = x * 2.0, x * 3.0, x * 4.0
    total = y1 + y2 + y3.reshape(3, 1)[:, 0].reshape(3)
    found = grad(total, [total, y1, y2, y3], seed)
    for i, array in enumerate(found):
        assert array.tolist() == [1.0, 10.0, 100.0]
        array *= 2.0
        assert not any(np.may_share_memory(array, other) for other in found[:i])
    assert seed.tolist() == [1.0, 10.0, 100.0]


def test_grad_of_intermediate_results_is_writeable():
    x = leaf(1.0, 2.0, 3.0)
    y = x * 2.0
    (found,) = grad(y.sum(), [y])  # of a sum: one number, broadcast
    found += 1.0
    assert found.tolist() == [2.0, 2.0, 2.0]


def test_backward_leaves_gradients_that_can_be_changed():
    @primitive
    def first(x):
        return x[:1]

    first.vjp("x")(lambda grad, x_shape: np.broadcast_to(grad * 3.0, x_shape))
    x = leaf(1.0, 2.0)
    first(x).sum().backward()
    x.grad += 1.0
    assert x.grad.tolist() == [4.0, 4.0]


def test_truth_of_a_tensor_is_that_of_its_one_element():
    assert Tensor(np.array(2.0)) and Tensor(np.array([[0.5]]))
    assert not Tensor(np.array([0.0])) and not leaf(1.0).sum() * 0.0
    for shape in ((2,), (0,), (2, 3)):
        with pytest.raises(ValueError, match=r"Tensor: .*truth value.*shape"):
            bool(Tensor(np.ones(shape)))


# ---- gradcheck -----------------------------------------------------------------------------------


def test_gradcheck_finds_a_wrong_rule_and_names_the_worst_element():
    @primitive
    def cube(x):
        return x**3

    cube.vjp("x")(lambda grad, x: grad * 3.0 * x * x * (1.0 + 0.01 * (x > 1.5)))
    x = leaf(1.0, 2.0)
    with pytest.raises(AssertionError, match=r"input 0: d output\[\(1,\)\] / d input\[\(1,\)\]"):
        gradcheck(cube, [x])
    assert x.data.tolist() == [1.0, 2.0]
    assert gradcheck(cube, [leaf(0.5, 1.0)])


def test_gradcheck_wants_float64():
    with pytest.raises(ValueError, match="float64"):
        gradcheck(lambda x: x, [leaf(1.0, dtype=np.float32)])


def test_a_jacobian_needs_a_recorded_tensor():
    with no_grad(), pytest.raises(RuntimeError, match=r"jacobian: .*no_grad"):
        jacobian(lambda x: x * x, np.ones(3))
    with pytest.raises(TypeError, match=r"jacobian: fn must return a Tensor, got ndarray"):
        jacobian(lambda x: x.numpy() if hasattr(x, "numpy") else x.data, np.ones(3))
    assert (jacobian(lambda x: Tensor(np.ones(2)), np.ones(3)) == np.zeros((2, 3))).all()
