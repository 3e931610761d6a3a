"""Finite differences in float64 for every differentiable function and layer, and for second
derivatives where the rules are themselves differentiable."""

import numpy as np
import pytest
import striate
from striate import Tensor, grad, gradcheck, nn, ops
from striate.autograd import concatenate, stack

X = {1: (2, 4, 7), 2: (2, 4, 5, 6), 3: (1, 4, 3, 4, 3)}


def leaf(shape, seed=0, low=-1.0, high=1.0):
    """Random, and without equal or nearly zero elements: max and ReLU have kinks there."""
    rng = np.random.default_rng([seed, *shape])
    count = int(np.prod(shape))
    values = np.linspace(low, high, count + 1)[:count] + 0.3 * (high - low) / max(count, 1)
    return Tensor(rng.permutation(values).reshape(shape), requires_grad=True)


ARITHMETIC = {
    "add broadcast": (lambda x, y: x + y, [(3, 4), (4,)]),
    "subtract broadcast": (lambda x, y: x - y, [(1, 4), (3, 1)]),
    "multiply broadcast": (lambda x, y: x * y, [(2, 3), (2, 1)]),
    "multiply by itself": (lambda x: x * x * x, [(3,)]),
    "divide": (lambda x, y: x / (y * y + 1.0), [(2, 3), (3,)]),
    "reflected operators": (lambda x: 2.0 - 1.0 / (x * x + 1.0) + 3 * x, [(4,)]),
    "power": (lambda x: x**3 + (x * x + 0.5) ** 0.5 + x**0, [(5,)]),
    "negate": (lambda x: -x, [(3,)]),
    "exp and log": (lambda x: (x.exp() + 1.0).log(), [(2, 3)]),
    "matmul": (lambda x, y: x @ y, [(3, 4), (4, 2)]),
    "matmul broadcast": (lambda x, y: x @ y, [(2, 3, 4), (4, 2)]),
    "array @ tensor": (lambda x: np.arange(6.0).reshape(2, 3) @ x, [(3, 2)]),
    "reshape": (lambda x: x.reshape(3, -1) * np.arange(12.0).reshape(3, 4), [(2, 6)]),
    "transpose": (lambda x: x.transpose(2, 0, -2) * np.arange(24.0).reshape(4, 2, 3), [(2, 3, 4)]),
    "T": (lambda x: x.T @ x, [(3, 2)]),
    "sum": (lambda x: x.sum() * x.sum(0) + x.sum((0, -1)), [(3, 4)]),
    "sum keepdims": (lambda x: x * x.sum(-1, keepdims=True), [(3, 4)]),
    "mean": (lambda x: x.mean() * x.mean(1), [(3, 4)]),
    "max": (lambda x: x.max() * x.max(1) + x.max(-1, keepdims=True), [(3, 4)]),
    "getitem": (lambda x: x[1:, ::-2] * x[0, 1], [(3, 4)]),
    "getitem repeated": (lambda x: x[np.array([0, 2, 0, 0])] ** 2, [(3, 2)]),
    "concatenate": (lambda x, y: concatenate([x, y * y, x], -1), [(2, 3), (2, 1)]),
    "stack": (lambda x, y: stack([x, y * x], 1), [(2, 3), (2, 3)]),
}


@pytest.mark.parametrize("name", ARITHMETIC)
def test_arithmetic(name):
    fn, shapes = ARITHMETIC[name]
    assert gradcheck(fn, [leaf(shape, i) for i, shape in enumerate(shapes)])


def functional(name, rank):
    return getattr(ops, name.format(rank))


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"stride": 2, "padding": 1},
        {"padding": "same", "stride": 2},
        {"dilation": 2, "padding": 2},
        {"groups": 2, "padding": 1},
        {"groups": 4, "padding": 1, "stride": 2},
    ],
    ids=str,
)
def test_conv_and_its_gradients(rank, options):
    x = leaf(X[rank])
    w = leaf((4, 4 // options.get("groups", 1), *(2,) * rank), 1)
    b = leaf((4,), 2)
    conv = functional("conv{}d", rank)
    assert gradcheck(lambda x, w, b: conv(x, w, b, **options), [x, w, b])
    g = leaf(conv(x.data, w.data, **options).shape, 3)
    input_grad = functional("conv{}d_input_grad", rank)
    assert gradcheck(lambda w, g: input_grad(x.shape, w, g, **options), [w, g])
    weight_grad = functional("conv{}d_weight_grad", rank)
    assert gradcheck(lambda x, g: weight_grad(x, w.shape, g, **options), [x, g])


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize(
    "options", [{}, {"stride": 2, "padding": 1, "output_padding": 1}, {"groups": 2}], ids=str
)
def test_conv_transpose(rank, options):
    x = leaf((1, 4, *(3,) * rank))
    w = leaf((4, 2, *(3,) * rank), 1)
    b = leaf((2 * options.get("groups", 1),), 2)
    fn = functional("conv_transpose{}d", rank)
    assert gradcheck(lambda x, w, b: fn(x, w, b, **options), [x, w, b])


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize(
    "options",
    [{}, {"stride": 1}, {"stride": 3, "padding": 1, "ceil_mode": True}],
    ids=str,
)
def test_pools(rank, options):
    x = leaf((2, 2, *(5, 4, 5)[:rank]))
    for name in ("max_pool{}d", "avg_pool{}d"):
        fn = functional(name, rank)
        assert gradcheck(lambda x, fn=fn: fn(x, 2, **options), [x])
    fn = functional("avg_pool{}d", rank)
    assert gradcheck(lambda x: fn(x, 2, count_include_pad=False, **options), [x])
    assert gradcheck(ops.global_avg_pool, [x])
    assert gradcheck(ops.global_max_pool, [x])


def test_pool_gradients():
    x = leaf((1, 2, 5, 4))
    _, indices = ops.max_pool2d(x.data, 3, 2, 1, return_indices=True)
    g = leaf(indices.shape, 1)
    assert gradcheck(lambda g: ops.max_pool2d_input_grad(x.shape, indices, g), [g])
    assert gradcheck(lambda g: ops.avg_pool2d_input_grad(x.shape, g, 3, 2, 1), [g])


RESAMPLING = {
    "downsample": lambda x: ops.downsample(x, (2, 3)),
    "upsample_zeros": lambda x: ops.upsample_zeros(x, 2),
    "upsample_zeros to a size": lambda x: ops.upsample_zeros(x, 3, (13, 10)),
    "nearest": lambda x: ops.interpolate(x, (7, 9)),
    "nearest by factor": lambda x: ops.interpolate(x, scale_factor=(0.5, 2.3)),
    "bilinear": lambda x: ops.interpolate(x, (8, 3), mode="bilinear"),
    "bilinear, corners": lambda x: ops.interpolate(x, (8, 3), mode="bilinear", align_corners=True),
    "nearest-exact": lambda x: ops.interpolate(x, (7, 9), mode="nearest-exact"),
    "area": lambda x: ops.interpolate(x, (3, 6), mode="area"),
    "bicubic": lambda x: ops.interpolate(x, (8, 3), mode="bicubic"),
    "bicubic, antialias": lambda x: ops.interpolate(x, (2, 9), mode="bicubic", antialias=True),
    "bilinear, antialias": lambda x: ops.interpolate(x, (2, 3), mode="bilinear", antialias=True),
    "gradient of bilinear": lambda x: ops.interpolate_input_grad((1, 2, 3, 9), x, mode="bilinear"),
    "pad": lambda x: ops.pad(x, ((1, 0), (0, 2)), value=3.0),
    "crop": lambda x: ops.pad(x, ((-1, 2), (0, -1))),
    "pad reflect": lambda x: ops.pad(x, ((3, 2), (-1, 3)), "reflect"),
    "pad replicate": lambda x: ops.pad(x, ((7, 2), (-1, 3)), "replicate"),
    "pad circular": lambda x: ops.pad(x, ((3, 5), (-1, 4)), "circular"),
    "sum_pool": lambda x: ops.sum_pool2d(x, 3, 2, 1, True),
    "lp_pool": lambda x: ops.lp_pool2d(x * x + 0.5, 3, 2, 1),
    "lp_pool, L2, ragged": lambda x: ops.lp_pool2d(x, 2, (2, 3), ceil_mode=True),
    "weighted_pool": lambda x: ops.weighted_pool2d(x, 3, 2, 1, count_include_pad=False),
    "channel_max_pool": lambda x: ops.channel_max_pool(x, 2),
    "max_unpool": lambda x: ops.max_unpool2d(x, np.arange(40)[::-1].reshape(1, 2, 5, 4), 2),
    "adaptive_avg_pool": lambda x: ops.adaptive_avg_pool2d(x, (3, 7)),
    "adaptive_max_pool": lambda x: ops.adaptive_max_pool2d(x, (3, 7)),
    "pixel_shuffle": lambda x: ops.pixel_shuffle(x, (2, 1)),
    "pixel_unshuffle": lambda x: ops.pixel_unshuffle(x, (5, 2)),
    "channel_shuffle": lambda x: ops.channel_shuffle(x, 2),
    "unfold": lambda x: ops.unfold(x, 2, 2, 1, 2),
    "fold": lambda x: ops.fold(x.reshape(1, 4, 10), (3, 6), 2),
}


@pytest.mark.parametrize("name", RESAMPLING)
def test_resampling(name):
    assert gradcheck(RESAMPLING[name], [leaf((1, 2, 5, 4))])


@pytest.mark.parametrize("rank", [1, 3])
@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic", "area"])
def test_interpolation_in_other_ranks(rank, mode):
    assert gradcheck(lambda x: ops.interpolate(x, 5, mode=mode), [leaf((1, 2, *(3,) * rank))])


@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 4), (4,)])
def test_linear(shape):
    assert gradcheck(ops.linear, [leaf(shape), leaf((5, 4), 1), leaf((5,), 2)])


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [(5, 3), (2, 3, 4), (2, 3, 2, 3), (1, 3, 2, 2, 2)])
def test_batch_norm(training, shape):
    mean, var = np.array([0.1, -0.2, 0.3]), np.array([0.5, 1.0, 2.0])

    def fn(x, w, b):
        return ops.batch_norm(x, mean.copy(), var.copy(), w, b, training)

    assert gradcheck(fn, [leaf(shape), leaf((3,), 1, 0.5, 2.0), leaf((3,), 2)])
    plain = lambda x: fn(x, None, None)  # noqa: E731
    assert gradcheck(plain, [leaf(shape)])


@pytest.mark.parametrize("shape", [(5, 4), (2, 4, 3), (2, 4, 2, 3), (1, 4, 2, 2, 2)])
@pytest.mark.parametrize("groups", [1, 2])
def test_group_norm(shape, groups):
    leaves = [leaf(shape), leaf((4,), 1, 0.5, 2.0), leaf((4,), 2)]
    assert gradcheck(lambda x, w, b: ops.group_norm(x, groups, w, b, 0.1), leaves)


POINTWISE = {
    "relu": ops.relu,
    "leaky_relu": lambda x: ops.leaky_relu(x, 0.3),
    "sigmoid": ops.sigmoid,
    "tanh": ops.tanh,
    "elu": lambda x: ops.elu(x * 4.0),
    "gelu": lambda x: ops.gelu(x * 4.0),
    "hardsigmoid": lambda x: ops.hardsigmoid(x * 4.0),
    "hardswish": lambda x: ops.hardswish(x * 4.0),
    "logsigmoid": lambda x: ops.logsigmoid(x * 4.0),
    "mish": lambda x: ops.mish(x * 4.0),
    "relu6": lambda x: ops.relu6(x * 4.0),
    "selu": lambda x: ops.selu(x * 4.0),
    "silu": lambda x: ops.silu(x * 4.0),
    "softplus": lambda x: ops.softplus(x * 4.0),
    "gelu by tanh": lambda x: ops.gelu(x * 2.0, "tanh"),
    "softplus, all options": lambda x: ops.softplus(x * 4.0, 2.0, 1.0),
    "prelu": lambda x: ops.prelu(x, x.reshape(-1)[:4]),
    "prelu, one weight": lambda x: ops.prelu(x, x.reshape(-1)[:1]),
    "dropout1d": lambda x: ops.dropout1d(x.reshape(1, 3, 4), rng=5),
    "softmax": lambda x: ops.softmax(x, -1),
    "softmax, first axis": lambda x: ops.softmax(x, 0),
    "log_softmax": lambda x: ops.log_softmax(x, 1),
    "local_response_norm": lambda x: ops.local_response_norm(x.reshape(1, 3, 4), 2, 0.5),
    "normalize": lambda x: ops.normalize(x, 2.0, -1),
    "normalize, largest": lambda x: ops.normalize(x, float("inf")),
    "dropout": lambda x: ops.dropout(x, 0.4, rng=5),
    "cross_entropy": lambda x: ops.cross_entropy(x, [2, 0, 1]),
    "cross_entropy, none": lambda x: ops.cross_entropy(x, [2, 0, 1], "none"),
    "nll_loss": lambda x: ops.nll_loss(x, [0, 0, 3], "sum"),
    "nll_loss, weighted": lambda x: ops.nll_loss(x, [0, -100, 3], weight=np.arange(1.0, 5.0)),
    "cross_entropy, all options": lambda x: ops.cross_entropy(
        x, [2, -100, 1], weight=np.arange(1.0, 5.0), label_smoothing=0.1
    ),
    "cross_entropy of chances": lambda x: ops.cross_entropy(x, ops.softmax(x * 2.0, 1)),
    "binary_cross_entropy": lambda x: ops.binary_cross_entropy(ops.sigmoid(x), x * x),
    "binary_cross_entropy_with_logits": lambda x: ops.binary_cross_entropy_with_logits(
        x, x * x, pos_weight=np.arange(1.0, 5.0)
    ),
    "kl_div": lambda x: ops.kl_div(x, x * x),
    "kl_div, log_target": lambda x: ops.kl_div(x, x * x, "batchmean", True),
    "l1_loss": lambda x: ops.l1_loss(x, x * 0.5),
    "huber_loss": lambda x: ops.huber_loss(x, np.zeros((3, 4)), "sum", 0.4),
    "smooth_l1_loss": lambda x: ops.smooth_l1_loss(x, np.zeros((3, 4)), "none", 0.4),
    "mse_loss": lambda x: ops.mse_loss(x, np.linspace(0, 1, 12).reshape(3, 4)),
}


@pytest.mark.parametrize("name", POINTWISE)
def test_pointwise_and_losses(name):
    assert gradcheck(POINTWISE[name], [leaf((3, 4))])


def test_cross_entropy_of_images():
    target = np.array([[[0, 2], [1, 1]]])
    assert gradcheck(lambda x: ops.cross_entropy(x, target), [leaf((1, 3, 2, 2))])


F64 = {"rng": 0, "dtype": np.float64}
LAYERS = {
    "Conv1d": (nn.Conv1d(4, 2, 3, padding=1, **F64), 1),
    "Conv2d": (nn.Conv2d(4, 6, 3, stride=2, groups=2, **F64), 2),
    "Conv3d": (nn.Conv3d(4, 2, 2, bias=False, **F64), 3),
    "ConvTranspose1d": (nn.ConvTranspose1d(4, 2, 3, stride=2, output_padding=1, **F64), 1),
    "ConvTranspose2d": (nn.ConvTranspose2d(4, 2, 2, **F64), 2),
    "ConvTranspose3d": (nn.ConvTranspose3d(4, 2, 2, **F64), 3),
    "BatchNorm1d": (nn.BatchNorm1d(4, dtype=np.float64), 1),
    "BatchNorm2d": (nn.BatchNorm2d(4, momentum=None, dtype=np.float64), 2),
    "BatchNorm3d": (nn.BatchNorm3d(4, affine=False, dtype=np.float64), 3),
    "GroupNorm": (nn.GroupNorm(2, 4, dtype=np.float64), 2),
    "LayerNorm": (nn.LayerNorm((5, 6), dtype=np.float64), 2),
    "InstanceNorm1d": (nn.InstanceNorm1d(4, dtype=np.float64), 1),
    "InstanceNorm2d": (nn.InstanceNorm2d(4, affine=True, dtype=np.float64), 2),
    "InstanceNorm3d": (nn.InstanceNorm3d(4, track_running_stats=True, dtype=np.float64), 3),
    "LocalResponseNorm": (nn.LocalResponseNorm(3, 0.5), 2),
    "MaxPool1d": (nn.MaxPool1d(2), 1),
    "MaxPool2d": (nn.MaxPool2d((2, 3), ceil_mode=True), 2),
    "MaxPool3d": (nn.MaxPool3d(2, 1), 3),
    "AvgPool1d": (nn.AvgPool1d(3, 2, 1), 1),
    "AvgPool2d": (nn.AvgPool2d(2), 2),
    "AvgPool3d": (nn.AvgPool3d(2), 3),
    "GlobalAvgPool": (nn.GlobalAvgPool(), 2),
    "GlobalMaxPool": (nn.GlobalMaxPool(), 2),
    "Conv1d causal": (nn.Conv1d(4, 2, 3, padding="causal", **F64), 1),
    "Conv2d reflect": (nn.Conv2d(4, 2, 3, padding="same", padding_mode="reflect", **F64), 2),
    **{
        f"{kind}Pad{rank}d": (getattr(nn, f"{kind}Pad{rank}d")(1), rank)
        for kind in ("Circular", "Reflection", "Replication", "Zero")
        for rank in (1, 2, 3)
    },
    **{
        f"{kind}{rank}d": (getattr(nn, f"{kind}{rank}d")(*arguments), rank)
        for kind, arguments in {
            "ConstantPad": (1, 0.5),
            "SumPool": (2,),
            "LPPool": (2, 2),
            "WeightedPool": (2, 1),
            "AdaptiveAvgPool": (3,),
            "AdaptiveMaxPool": (2,),
        }.items()
        for rank in (1, 2, 3)
    },
    "ChannelMaxPool": (nn.ChannelMaxPool(2), 2),
    "PixelShuffle": (nn.PixelShuffle(2), 2),
    "PixelUnshuffle": (nn.PixelUnshuffle((5, 3)), 2),
    "ChannelShuffle": (nn.ChannelShuffle(2), 3),
    "Unfold": (nn.Unfold(2), 2),
    "TransformInvariantConv2d": (
        nn.TransformInvariantConv2d(
            4, 2, 3, groups=2, rotations=3, scales=(1, 0.7), reflections=True, **F64
        ),
        2,
    ),
    "Upsample": (nn.Upsample(scale_factor=2, mode="bilinear"), 2),
    "ZeroPad": (nn.ZeroPad(((1, 2), (0, 1))), 2),
    "Flatten": (nn.Flatten(), 2),
    "Linear": (nn.Linear(6, 3, **F64), 2),
    "ReLU": (nn.ReLU(), 2),
    "LeakyReLU": (nn.LeakyReLU(0.2), 2),
    "Sigmoid": (nn.Sigmoid(), 2),
    "Tanh": (nn.Tanh(), 2),
    "ELU": (nn.ELU(), 2),
    "GELU": (nn.GELU(), 2),
    "Hardsigmoid": (nn.Hardsigmoid(), 2),
    "Hardswish": (nn.Hardswish(), 2),
    "LogSigmoid": (nn.LogSigmoid(), 2),
    "Mish": (nn.Mish(), 2),
    "ReLU6": (nn.ReLU6(), 2),
    "SELU": (nn.SELU(), 2),
    "SiLU": (nn.SiLU(), 2),
    "Softplus": (nn.Softplus(), 2),
    "PReLU": (nn.PReLU(4, dtype=np.float64), 2),
    "Dropout1d": (nn.Dropout1d(0.3), 1),
    "Dropout2d": (nn.Dropout2d(0.3), 2),
    "Dropout3d": (nn.Dropout3d(0.3), 3),
    "Softmax": (nn.Softmax(1), 2),
    "LogSoftmax": (nn.LogSoftmax(1), 2),
    "Dropout": (nn.Dropout(0.3), 2),
    "Identity": (nn.Identity(), 2),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name):
    layer, rank = LAYERS[name]
    x = leaf(X[rank])
    parameters = list(layer.parameters())

    def fn(x, *_):
        if name.startswith("Dropout"):
            layer.rng = np.random.default_rng(1)
        return layer(x) * 1.0

    assert gradcheck(fn, [x, *parameters])


def test_every_layer_is_checked():
    public = {name: getattr(nn, name) for name in nn.__all__}
    layers = {k for k, v in public.items() if isinstance(v, type) and issubclass(v, nn.Module)}
    abstract = {"Module", "ModuleList", "Sequential"}
    losses = {name for name in layers if name.endswith("Loss")}  # by their functions above
    other = {"Fold", "MaxUnpool1d", "MaxUnpool2d", "MaxUnpool3d"}  # of columns, of indices: below
    assert {name.split()[0] for name in LAYERS} == layers - abstract - losses - other


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_layers_of_other_inputs(rank):
    pooled, at = functional("max_pool{}d", rank)(leaf(X[rank]).data, 2, return_indices=True)
    unpool = getattr(nn, f"MaxUnpool{rank}d")(2)
    assert gradcheck(lambda x: unpool(x, at, X[rank][2:]), [leaf(pooled.shape)])
    assert gradcheck(nn.Fold((4,) * rank, 2), [leaf((1, 2 * 2**rank, 3**rank))])


def second(fn, shapes):
    """gradcheck of the gradients of <fn(...), c>, whose own graph is recorded."""
    inputs = [leaf(shape, i) for i, shape in enumerate(shapes)]
    weights = leaf(fn(*inputs).shape, 9).data

    def first(*inputs):
        parts = grad((fn(*inputs) * weights).sum(), inputs, create_graph=True)
        return concatenate([part.reshape(-1) for part in parts])

    return gradcheck(first, inputs)


SECOND = {
    "arithmetic": (lambda x, y: x * y / (x * x + 1.0) + y**3, [(3,), (3,)]),
    "matmul": (lambda x, y: (x @ y).exp(), [(2, 3), (3, 2)]),
    "indexing": (lambda x: x[np.array([0, 0, 1])] ** 2 * x.max(), [(3,)]),
    "shape": (lambda x: (concatenate([x.T, x.T]) ** 2).sum(0).reshape(2, 1), [(2, 3)]),
    "conv2d": (
        lambda x, w, b: ops.conv2d(x, w, b, 2, 1) ** 2,
        [(1, 2, 4, 3), (2, 2, 2, 2), (2,)],
    ),
    "conv_transpose2d": (
        lambda x, w: ops.conv_transpose2d(x, w, None, 2) ** 2,
        [(1, 2, 2, 2), (2, 1, 2, 2)],
    ),
    "linear": (lambda x, w, b: ops.linear(x, w, b) ** 2, [(2, 3), (2, 3), (2,)]),
    "relu": (lambda x: ops.relu(x) ** 3, [(5,)]),
    "leaky_relu": (lambda x: ops.leaky_relu(x, 0.3) ** 3, [(5,)]),
    "sigmoid": (ops.sigmoid, [(5,)]),
    "tanh": (ops.tanh, [(5,)]),
    "elu": (lambda x: ops.elu(x * 4.0) ** 2, [(5,)]),
    "gelu": (lambda x: ops.gelu(x * 4.0) ** 2, [(5,)]),
    "hardsigmoid": (lambda x: ops.hardsigmoid(x * 4.0) ** 2, [(5,)]),
    "hardswish": (lambda x: ops.hardswish(x * 4.0) ** 2, [(5,)]),
    "logsigmoid": (lambda x: ops.logsigmoid(x * 4.0) ** 2, [(5,)]),
    "mish": (lambda x: ops.mish(x * 4.0) ** 2, [(5,)]),
    "relu6": (lambda x: ops.relu6(x * 4.0) ** 2, [(5,)]),
    "selu": (lambda x: ops.selu(x * 4.0) ** 2, [(5,)]),
    "silu": (lambda x: ops.silu(x * 4.0) ** 2, [(5,)]),
    "softplus": (lambda x: ops.softplus(x * 4.0) ** 2, [(5,)]),
    "gelu by tanh": (lambda x: ops.gelu(x * 2.0, "tanh"), [(5,)]),
    "prelu": (lambda x, w: ops.prelu(x, w) ** 2, [(2, 3), (3,)]),
    "local_response_norm": (
        lambda x: ops.local_response_norm(x, 2, 0.5),
        [(1, 3, 2)],
    ),
    "normalize": (ops.normalize, [(2, 3)]),
    "softmax": (lambda x: ops.softmax(x, 1), [(2, 3)]),
    "log_softmax": (lambda x: ops.log_softmax(x, 1) ** 2, [(2, 3)]),
    "cross_entropy": (lambda x: ops.cross_entropy(x, [1, 0]) ** 2, [(2, 3)]),
    "cross_entropy, all options": (
        lambda x: ops.cross_entropy(
            x, [1, 0], "none", weight=np.arange(1.0, 4.0), label_smoothing=0.1
        ),
        [(2, 3)],
    ),
    "nll_loss": (lambda x: ops.nll_loss(x, [1, 0]) ** 2, [(2, 3)]),
    "huber_loss": (lambda x: ops.huber_loss(x * x, x, "none", 0.4), [(2, 3)]),
    "binary_cross_entropy": (
        lambda x: ops.binary_cross_entropy(ops.sigmoid(x), np.full((2, 3), 0.3), "none"),
        [(2, 3)],
    ),
    "binary_cross_entropy_with_logits": (
        lambda x: ops.binary_cross_entropy_with_logits(x, np.full((2, 3), 0.3), "none"),
        [(2, 3)],
    ),
    "kl_div": (lambda x: ops.kl_div(x, x * x, "none"), [(2, 3)]),
    "max_pool2d": (lambda x: ops.max_pool2d(x, 2, 1) ** 2, [(1, 1, 3, 3)]),
    "avg_pool2d": (lambda x: ops.avg_pool2d(x, 2, 1) ** 2, [(1, 1, 3, 3)]),
    "resampling": (
        lambda x: ops.interpolate(ops.pad(ops.downsample(x, 2), 1), 3, mode="bilinear") ** 2,
        [(1, 1, 3, 3)],
    ),
    "upsample_zeros": (lambda x: ops.upsample_zeros(x, 2) ** 2, [(1, 1, 2, 2)]),
    "pad reflect": (lambda x: ops.pad(x, 2, "reflect") ** 2, [(1, 1, 3, 3)]),
    "lp_pool": (lambda x: ops.lp_pool2d(x * x + 1.0, 3, 2), [(1, 1, 2, 4)]),
    "weighted_pool": (lambda x: ops.weighted_pool2d(x, 2) ** 2, [(1, 1, 2, 4)]),
    "binary cross-entropy": (
        lambda x, t: ops.binary_cross_entropy(x * x * 0.5 + 0.2, t * t),
        [(2, 3), (2, 3)],
    ),
    "channel_max_pool": (lambda x: ops.channel_max_pool(x, 2) ** 2, [(1, 4, 1, 2)]),
    "max_unpool": (lambda x: ops.max_unpool1d(x, np.array([[[3, 1]]]), 2) ** 2, [(1, 1, 2)]),
    "adaptive pools": (
        lambda x: ops.adaptive_max_pool1d(x, 2) * ops.adaptive_avg_pool1d(x, 2),
        [(1, 1, 5)],
    ),
    "shuffles": (
        lambda x: ops.channel_shuffle(ops.pixel_unshuffle(ops.pixel_shuffle(x, 2), 2), 2) ** 2,
        [(1, 4, 1, 2)],
    ),
    "unfold and fold": (lambda x: ops.fold(ops.unfold(x, 2) ** 2, 3, 2), [(1, 1, 3, 3)]),
    "convolve": (lambda x, w: ops.convolve(x, w, None, 2, 1) ** 2, [(1, 1, 3, 3), (1, 1, 2, 2)]),
}


@pytest.mark.parametrize("name", SECOND)
def test_second_derivatives(name):
    assert second(*SECOND[name])


def test_second_derivative_that_is_missing_says_so():
    x = leaf((4, 2))
    y = striate.batch_norm(x, None, None, training=True)
    with pytest.raises(NotImplementedError, match=r"batch_norm_train: its second derivative"):
        grad((y * y).sum(), [x], create_graph=True)
