"""Agreement with PyTorch on pads, pools, shuffles and columns: values and gradients."""

import inspect
import itertools

import numpy as np
import pytest
import striate
from striate import Tensor, nn

torch = pytest.importorskip("torch")
F = torch.nn.functional


def image(*shape, dtype=np.float32, seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(dtype)


SHAPES = {1: (2, 6, 11), 2: (2, 6, 8, 10), 3: (2, 6, 5, 6, 7)}


def agree(ours, theirs, x, rtol=2e-6, atol=2e-6):
    """The same result, and the same gradient for the same gradient of it."""
    leaf, tensor = Tensor(x, requires_grad=True), torch.from_numpy(x).requires_grad_()
    y, want = ours(leaf), theirs(tensor)
    np.testing.assert_allclose(y.data, want.detach().numpy(), rtol=rtol, atol=atol)
    g = image(*y.shape, dtype=x.dtype, seed=1)
    y.backward(g)
    want.backward(torch.from_numpy(g))
    np.testing.assert_allclose(leaf.grad, tensor.grad.numpy(), rtol=rtol, atol=atol)


@pytest.mark.parametrize("rank", (1, 2, 3))
@pytest.mark.parametrize("mode", ("constant", "reflect", "replicate", "circular"))
def test_pad(rank, mode):
    x = image(*SHAPES[rank])
    for sides in ((1, 2, 3, 0, 2, 4), (0, 0, 4, 4, 1, 1), (3, 1, 0, 2, 4, 3)):
        flat = sides[: 2 * rank]
        pairs = [flat[i : i + 2] for i in range(2 * rank - 2, -1, -2)]
        agree(lambda t, p=pairs: striate.pad(t, p, mode), lambda t, p=flat: F.pad(t, p, mode), x)


KINDS = ("ReflectionPad", "ReplicationPad", "ZeroPad", "CircularPad")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rank", (1, 2, 3))
def test_padding_layers(kind, rank):
    x = image(*SHAPES[rank])
    for padding in (2, (1, 2, 3, 0, 2, 4)[: 2 * rank]):
        agree(
            getattr(nn, f"{kind}{rank}d")(padding), getattr(torch.nn, f"{kind}{rank}d")(padding), x
        )
    agree(
        getattr(nn, f"ConstantPad{rank}d")(2, -1.5),
        getattr(torch.nn, f"ConstantPad{rank}d")(2, -1.5),
        x,
    )


@pytest.mark.parametrize("rank", (1, 2, 3))
@pytest.mark.parametrize("mode", ("zeros", "reflect", "replicate", "circular"))
@pytest.mark.parametrize("padding", (2, "same"))
def test_padding_mode_of_convolutions(rank, mode, padding):
    arguments = {"padding": padding, "padding_mode": mode, "dilation": 2, "groups": 2}
    ours = getattr(nn, f"Conv{rank}d")(6, 4, 3, **arguments, rng=0, dtype=np.float64)
    theirs = getattr(torch.nn, f"Conv{rank}d")(6, 4, 3, **arguments, dtype=torch.float64)
    theirs.load_state_dict({k: torch.from_numpy(v) for k, v in ours.state_dict().items()})
    x = image(*SHAPES[rank], dtype=np.float64)
    agree(ours, theirs, x, 1e-10, 1e-10)


@pytest.mark.parametrize("rank", (1, 2, 3))
@pytest.mark.parametrize("ceil_mode", (False, True))
def test_lp_pool(rank, ceil_mode):
    x = np.abs(image(*SHAPES[rank])) + 0.1
    ours, theirs = getattr(striate, f"lp_pool{rank}d"), getattr(F, f"lp_pool{rank}d")
    for p, kernel, stride in itertools.product((1, 2, 3, 2.5), (2, 3), (None, 1, 2)):
        rules = (p, kernel, stride, ceil_mode)
        agree(lambda t, r=rules: ours(t, *r), lambda t, r=rules: theirs(t, *r), x, 2e-5, 2e-5)
    layer = getattr(nn, f"LPPool{rank}d")(2, 2), getattr(torch.nn, f"LPPool{rank}d")(2, 2)
    agree(*layer, image(*SHAPES[rank]), 2e-5, 2e-5)


def test_lp_pool_of_negative_and_empty_windows():
    x = np.array([[[0.0, 0, 3, -4, -1, -2]]])
    agree(lambda t: striate.lp_pool1d(t, 2, 2), lambda t: F.lp_pool1d(t, 2, 2), x)
    got = striate.lp_pool1d(x, 3, 2)
    np.testing.assert_array_equal(np.isnan(got), torch.isnan(F.lp_pool1d(torch.tensor(x), 3, 2)))


@pytest.mark.parametrize("rank", (1, 2, 3))
@pytest.mark.parametrize("rules", ((2, None, 0), (3, 3, 1), (2, 3, 0)))
def test_max_unpool(rank, rules):
    pool, unpool = (getattr(striate, f"max_{name}{rank}d") for name in ("pool", "unpool"))
    kernel, stride, padding = rules
    usual = [(n - 1) * (stride or kernel) - 2 * padding + kernel for n in (3, 2, 4)[:rank]]
    for size, given in ((usual, None), ([n + 1 for n in usual], [n + 1 for n in usual])):
        values, at = pool(image(2, 5, *size), *rules, return_indices=True)
        agree(
            lambda t, s=given, at=at: unpool(t, at, *rules, s),
            lambda t, s=given, at=at: getattr(F, f"max_unpool{rank}d")(
                t, torch.from_numpy(at), *rules, s
            ),
            values,
        )


@pytest.mark.parametrize("rank", (1, 2, 3))
def test_adaptive_pools(rank):
    x = image(*SHAPES[rank])
    sizes = [1, 2, 3, 5, (4, 9, 2)[:rank], (None, 3, 1)[-rank:], 13]
    for size in sizes:
        ours = getattr(nn, f"AdaptiveAvgPool{rank}d")(size)
        theirs = getattr(torch.nn, f"AdaptiveAvgPool{rank}d")(size if rank > 1 else _one(size))
        agree(ours, theirs, x)
        ours = getattr(striate, f"adaptive_max_pool{rank}d")
        theirs = getattr(F, f"adaptive_max_pool{rank}d")
        given = size if rank > 1 else _one(size)
        agree(lambda t, s=size, f=ours: f(t, s), lambda t, s=given, f=theirs: f(t, s), x)
        for got, want in zip(
            ours(x, size, True), theirs(torch.from_numpy(x), given, True), strict=True
        ):
            np.testing.assert_array_equal(got, want.numpy())


def _one(size):
    return size[0] if isinstance(size, tuple) else size


@pytest.mark.parametrize("last", (False, True))
def test_shuffles(last):
    x = image(2, 36, 6, 12)
    if last:
        x = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    for r in (1, 2, 3, 6):
        agree(nn.PixelShuffle(r), torch.nn.PixelShuffle(r), x, 0, 0)
        if r != 1 or not last:
            agree(nn.PixelUnshuffle(r), torch.nn.PixelUnshuffle(r), x, 0, 0)
    for groups in (1, 2, 4, 9, 36):
        want = torch.nn.ChannelShuffle(groups)(torch.from_numpy(x)).numpy()
        np.testing.assert_array_equal(nn.ChannelShuffle(groups)(x), want)


def test_unfold_and_fold():
    x = image(2, 3, 9, 10)
    for rules in itertools.product(((2, 3), 3), (1, 2), (0, (1, 2)), (1, (2, 3))):
        agree(nn.Unfold(*rules), torch.nn.Unfold(*rules), x)
        columns = striate.unfold(x, *rules)
        agree(nn.Fold((9, 10), *rules), torch.nn.Fold((9, 10), *rules), columns, 1e-5, 1e-5)
    agree(nn.Fold(4, 2), torch.nn.Fold(4, 2), image(1, 8, 9))


def test_defaults_are_pytorchs():
    for name in nn.__all__:
        theirs = getattr(torch.nn, name, None)
        if not name.rstrip("123d").endswith(("Pad", "Pool", "Unpool", "Shuffle", "Unshuffle")):
            continue
        if theirs is None or name.startswith(("MaxPool", "AvgPool")):
            continue
        ours = inspect.signature(getattr(nn, name)).parameters
        for parameter, want in inspect.signature(theirs).parameters.items():
            assert parameter in ours, (name, parameter)
            assert ours[parameter].default == want.default, (name, parameter)
