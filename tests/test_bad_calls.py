"""Every kind of bad call we could think of: its exception, a message that names it, no crash.

A message begins with the name of the operation and holds the offending value or the rule. The table
runs twice: row by row, and whole in a process of its own, where a crash would show as exit status.
"""

import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import striate
from striate import _core

f32, f64 = np.float32, np.float64
HUGE = 2**62


def a(*shape, dtype=f32):
    return np.ones(shape, dtype)


def giant(*shape):
    """A view of one number that claims a shape; nothing of that size is ever allocated."""
    return np.broadcast_to(f32(1), shape)


def image():
    return a(2, 6, 9, 9)


def conv(**changes):
    """conv2d of a good problem, changed."""
    arguments = {"input": image(), "weight": a(8, 6, 3, 3), **changes}
    return striate.conv2d(**arguments)


def input_grad(**changes):
    arguments = {
        "input_shape": (2, 6, 9, 9),
        "weight": a(8, 6, 3, 3),
        "grad_output": a(2, 8, 7, 7),
        **changes,
    }
    return striate.conv2d_input_grad(**arguments)


def weight_grad(**changes):
    arguments = {
        "input": image(),
        "weight_shape": (8, 6, 3, 3),
        "grad_output": a(2, 8, 7, 7),
        **changes,
    }
    return striate.conv2d_weight_grad(**arguments)


def transpose(**changes):
    arguments = {"input": image(), "weight": a(6, 4, 3, 3), **changes}
    return striate.conv_transpose2d(**arguments)


def pool(kernel_size=2, **changes):
    return striate.max_pool2d(image(), kernel_size, **changes)


def mean(kernel_size=2, **changes):
    return striate.avg_pool2d(image(), kernel_size, **changes)


def resize(**changes):
    return striate.interpolate(image(), **changes)


def norm(x=None, **changes):
    arguments = {"running_mean": a(6), "running_var": a(6), **changes}
    return striate.batch_norm(image() if x is None else x, **arguments)


def overlapping_out():
    memory = a(2, 6, 11, 11)
    return conv(
        input=memory[:, :, :9, :9], weight=a(6, 6, 3, 3), padding=1, out=memory[:, :, 2:, 2:]
    )


def out_over_weight():
    memory = a(1200)
    return conv(weight=memory[:432].reshape(8, 6, 3, 3), out=memory[400:1184].reshape(2, 8, 7, 7))


def read_only(x):
    x.flags.writeable = False
    return x


def matrix(x):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.matrix(x)


def max_grad(**changes):
    arguments = {
        "input_shape": (1, 1, 4, 4),
        "indices": np.zeros((1, 1, 2, 2), np.int64),
        "grad_output": a(1, 1, 2, 2),
        **changes,
    }
    return striate.max_pool2d_input_grad(**arguments)


E, T = ValueError, TypeError

# name: (call, exception, what the message must match). (?i) where only the words matter.
BAD_CALLS = {
    # -- stride, dilation, groups, padding of a convolution
    "stride zero": (lambda: conv(stride=0), E, r"conv2d.*stride.*0"),
    "stride zero on one axis": (lambda: conv(stride=(1, 0)), E, r"conv2d.*stride.*\(1, 0\)"),
    "stride negative": (lambda: conv(stride=-1), E, r"conv2d.*stride.*-1"),
    "stride float": (lambda: conv(stride=1.5), T, r"conv2d.*stride.*1\.5"),
    "stride whole float": (lambda: conv(stride=2.0), T, r"conv2d.*stride.*2\.0"),
    "stride nan": (lambda: conv(stride=float("nan")), T, r"conv2d.*stride.*nan"),
    "stride bool": (lambda: conv(stride=True), T, r"conv2d.*stride.*True"),
    "stride None": (lambda: conv(stride=None), T, r"conv2d.*stride.*None"),
    "stride text": (lambda: conv(stride="2"), T, r"conv2d.*stride.*'2'"),
    "stride of wrong length": (lambda: conv(stride=(1, 1, 1)), E, r"conv2d.*stride.*\(1, 1, 1\)"),
    "stride of no length": (lambda: conv(stride=()), E, r"conv2d.*stride.*\(\)"),
    "stride huge": (lambda: conv(stride=2**70), E, r"conv2d.*stride"),
    "dilation zero": (lambda: conv(dilation=0), E, r"conv2d.*dilation.*0"),
    "dilation negative": (lambda: conv(dilation=(1, -2)), E, r"conv2d.*dilation.*-2"),
    "dilation too large": (
        lambda: conv(dilation=5),
        E,
        r"(?i)conv2d.*(kernel|window|extent|weight)",
    ),
    "dilation huge": (lambda: conv(dilation=HUGE), E, r"conv2d"),
    "dilation of wrong length": (lambda: conv(dilation=(1,)), E, r"conv2d.*dilation.*\(1,\)"),
    "groups zero": (lambda: conv(groups=0), E, r"conv2d.*groups.*0"),
    "groups negative": (lambda: conv(groups=-3), E, r"conv2d.*groups.*-3"),
    "groups float": (lambda: conv(groups=2.0), T, r"conv2d.*groups.*2\.0"),
    "groups not dividing the input": (lambda: conv(groups=4), E, r"conv2d.*groups=4.*6 .*channels"),
    "groups not dividing the output": (
        lambda: conv(groups=3, weight=a(8, 2, 3, 3)),
        E,
        r"conv2d.*groups=3.*8 .*channels",
    ),
    "groups past 64 bits": (lambda: conv(groups=2**63), E, r"conv2d.*groups.*9223372036854775808"),
    "groups huge": (lambda: conv(groups=HUGE), E, r"conv2d.*groups"),
    "padding negative": (lambda: conv(padding=-1), E, r"conv2d.*padding.*-1"),
    "padding negative on one side": (
        lambda: conv(padding=((0, 0), (1, -1))),
        E,
        r"conv2d.*padding.*-1",
    ),
    "padding huge": (lambda: conv(padding=HUGE), E, r"conv2d"),
    "padding huge on both sides": (
        lambda: conv(padding=((HUGE, HUGE), (HUGE, HUGE))),
        E,
        r"conv2d",
    ),
    "padding past int64": (lambda: conv(padding=2**64), E, r"conv2d.*padding"),
    "padding whose output overflows": (lambda: conv(padding=2**33), (E, MemoryError), r"conv2d"),
    "padding float": (lambda: conv(padding=0.5), T, r"conv2d.*padding.*0\.5"),
    "padding unknown word": (lambda: conv(padding="most"), E, r"conv2d.*padding.*'most'"),
    "padding of wrong length": (
        lambda: conv(padding=(1, 1, 1)),
        E,
        r"conv2d.*padding.*\(1, 1, 1\)",
    ),
    "padding triples": (lambda: conv(padding=((1, 1, 1), (1, 1, 1))), E, r"conv2d.*padding"),
    "padding None": (lambda: conv(padding=None), T, r"conv2d.*padding.*None"),
    "kernel larger than the input": (
        lambda: conv(input=a(1, 6, 2, 9)),
        E,
        r"(?i)conv2d.*(kernel|window|weight).*",
    ),
    "kernel of no size": (lambda: conv(weight=a(8, 6, 0, 3)), E, r"(?i)conv2d.*(kernel|weight).*0"),
    # -- ranks, channels, dtypes, kinds of array
    "input of rank 3": (lambda: conv(input=a(6, 9, 9)), E, r"conv2d.*input.*\(6, 9, 9\)"),
    "input of rank 5": (lambda: conv(input=a(1, 1, 6, 9, 9)), E, r"conv2d.*input"),
    "input of rank 0": (lambda: conv(input=f32(1)), (E, T), r"conv2d.*input"),
    "weight of rank 3": (lambda: conv(weight=a(8, 6, 3)), E, r"conv2d.*weight.*\(8, 6, 3\)"),
    "conv1d of an image": (lambda: striate.conv1d(image(), a(8, 6, 3)), E, r"conv1d.*input"),
    "conv3d of an image": (lambda: striate.conv3d(image(), a(8, 6, 3, 3, 3)), E, r"conv3d.*input"),
    "channels that differ": (lambda: conv(weight=a(8, 5, 3, 3)), E, r"conv2d.*6 channels.*weight"),
    "bias of wrong length": (lambda: conv(bias=a(7)), E, r"conv2d.*bias.*\(7,\)"),
    "bias of rank 2": (lambda: conv(bias=a(8, 1)), E, r"conv2d.*bias.*\(8, 1\)"),
    "bias of another dtype": (lambda: conv(bias=a(8, dtype=f64)), T, r"conv2d.*float64"),
    "weight of another dtype": (
        lambda: conv(weight=a(8, 6, 3, 3, dtype=f64)),
        T,
        r"conv2d.*float32.*float64",
    ),
    "float16": (lambda: conv(input=a(1, 6, 9, 9, dtype=np.float16)), T, r"conv2d.*float16"),
    "longdouble": (
        lambda: conv(input=a(1, 6, 9, 9, dtype=np.longdouble)),
        T,
        r"conv2d.*(longdouble|float128)",
    ),
    "integers": (lambda: conv(input=a(1, 6, 9, 9, dtype=int)), T, r"conv2d.*int64"),
    "integer weight": (lambda: conv(weight=a(8, 6, 3, 3, dtype=np.int8)), T, r"conv2d.*int8"),
    "booleans": (lambda: conv(input=a(1, 6, 9, 9, dtype=bool)), T, r"conv2d.*bool"),
    "objects": (lambda: conv(input=a(1, 6, 9, 9).astype(object)), T, r"conv2d.*object"),
    "texts": (lambda: conv(input=np.full((1, 6, 9, 9), "x")), T, r"conv2d.*(str|<U1)"),
    "complex": (lambda: conv(input=a(1, 6, 9, 9, dtype=np.complex64)), T, r"conv2d.*complex64"),
    "dates": (lambda: conv(input=np.zeros((1, 6, 9, 9), "M8[s]")), T, r"conv2d.*datetime64"),
    "records": (lambda: conv(input=np.zeros((1, 6, 9, 9), [("x", f32)])), T, r"conv2d"),
    "masked array": (lambda: conv(input=np.ma.masked_less(image(), 2)), T, r"(?i)conv2d.*mask"),
    "masked weight": (lambda: conv(weight=np.ma.ones((8, 6, 3, 3), f32)), T, r"(?i)conv2d.*mask"),
    "matrix": (lambda: striate.relu(matrix(a(2, 2))), T, r"(?i)relu.*matrix"),
    "None": (lambda: conv(input=None), T, r"conv2d.*input.*(None|object)"),
    "weight None": (lambda: conv(weight=None), T, r"conv2d.*weight.*(None|object)"),
    "a word": (lambda: conv(input="image.png"), T, r"conv2d.*input"),
    "a ragged list": (lambda: conv(input=[[1.0], [1.0, 2.0]]), (E, T), r"conv2d.*input"),
    "a dict": (lambda: conv(input={"a": 1}), T, r"conv2d.*input"),
    # -- products that overflow: claims of size through stride-0 views
    "output of 2^63 numbers": (
        lambda: striate.conv2d(giant(2**20, 1, 2**20, 2**20), a(8, 1, 1, 1)),
        E,
        r"conv2d",
    ),
    "output of 2^61 numbers": (
        lambda: striate.conv2d(giant(2**20, 1, 2**20, 2**20), a(2, 1, 1, 1)),
        (E, MemoryError),
        r"(?i)conv2d|memory|alloc",
    ),
    "output past memory": (
        lambda: striate.conv2d(giant(2**15, 1, 2**15, 2**15), a(1, 1, 1, 1)),
        (E, MemoryError),
        r"(?i)conv2d|memory|alloc",
    ),
    "weight gradient of a giant": (
        lambda: weight_grad(weight_shape=(2**31, 2**31, 3, 3)),
        (E, MemoryError),
        r"conv2d_weight_grad",
    ),
    "input gradient of a giant": (
        lambda: input_grad(input_shape=(2**40, 6, 2**40, 9)),
        (E, MemoryError),
        r"conv2d_input_grad",
    ),
    "padding to a giant": (
        lambda: striate.pad(image(), ((0, HUGE), (0, HUGE))),
        (E, MemoryError),
        r"pad",
    ),
    "upsampling to a giant": (
        lambda: striate.upsample_zeros(image(), HUGE),
        (E, MemoryError),
        r"upsample_zeros",
    ),
    "interpolation to a giant": (
        lambda: resize(size=(HUGE, HUGE)),
        (E, MemoryError),
        r"interpolate",
    ),
    # -- out= and memory_format=
    "out overlaps the input": (overlapping_out, E, r"(?i)conv2d.*out.*(overlap|shar)"),
    "out overlaps the weight": (out_over_weight, E, r"(?i)conv2d.*out.*(overlap|shar)"),
    "out with stride 0": (
        lambda: conv(
            out=np.lib.stride_tricks.as_strided(a(1), (2, 8, 7, 7), (0, 0, 0, 0), writeable=True)
        ),
        E,
        r"conv2d.*out",
    ),
    "out of wrong shape": (lambda: conv(out=a(2, 8, 7, 6)), E, r"conv2d.*out.*\(2, 8, 7, 6\)"),
    "out of wrong dtype": (lambda: conv(out=a(2, 8, 7, 7, dtype=f64)), T, r"conv2d.*out.*float64"),
    "out read-only": (
        lambda: conv(out=read_only(a(2, 8, 7, 7))),
        E,
        r"(?i)conv2d.*out.*(read.only|writ)",
    ),
    "out a list": (lambda: conv(out=[[0.0]]), T, r"conv2d.*out.*list"),
    "out byte-swapped": (
        lambda: conv(out=np.empty((2, 8, 7, 7), np.dtype(f32).newbyteorder())),
        (T, E),
        r"conv2d.*out",
    ),
    "out of a pool": (lambda: pool(out=a(2, 6, 4, 5)), E, r"max_pool2d.*out.*\(2, 6, 4, 5\)"),
    "out of a linear": (
        lambda: striate.linear(a(2, 3), a(4, 3), out=a(2, 3)),
        E,
        r"linear.*out.*\(2, 3\)",
    ),
    "unknown memory format": (
        lambda: conv(memory_format="nhwc"),
        E,
        r"conv2d.*memory_format.*'nhwc'",
    ),
    "memory format an array": (
        lambda: conv(memory_format=np.array(["contiguous", "channels_last"])),
        (T, E),
        r"conv2d.*memory_format",
    ),
    "memory format an array of one": (
        lambda: conv(memory_format=np.array(["contiguous"])),
        (T, E),
        r"conv2d.*memory_format",
    ),
    "memory format a number": (lambda: conv(memory_format=3), (T, E), r"conv2d.*memory_format.*3"),
    # -- gradients of a convolution, transposed convolution
    "gradient of wrong size": (
        lambda: input_grad(grad_output=a(2, 8, 7, 6)),
        E,
        r"conv2d_input_grad.*\(2, 8, 7, 6\)",
    ),
    "gradient of wrong batch": (
        lambda: weight_grad(grad_output=a(3, 8, 7, 7)),
        E,
        r"conv2d_weight_grad.*\(3, 8, 7, 7\)",
    ),
    "gradient of wrong channels": (
        lambda: input_grad(grad_output=a(2, 7, 7, 7)),
        E,
        r"conv2d_input_grad.*\(2, 7, 7, 7\)",
    ),
    "input shape of wrong channels": (
        lambda: input_grad(input_shape=(2, 5, 9, 9)),
        E,
        r"conv2d_input_grad.*5 channels",
    ),
    "input shape too short": (
        lambda: input_grad(input_shape=(2, 6, 9)),
        E,
        r"conv2d_input_grad.*input.*\(2, 6, 9\)",
    ),
    "input shape negative": (
        lambda: input_grad(input_shape=(2, 6, -9, 9)),
        E,
        r"conv2d_input_grad.*-9",
    ),
    "input shape of floats": (
        lambda: input_grad(input_shape=(2, 6, 9.0, 9)),
        T,
        r"conv2d_input_grad.*9\.0",
    ),
    "weight shape of wrong channels": (
        lambda: weight_grad(weight_shape=(8, 5, 3, 3)),
        E,
        r"conv2d_weight_grad.*6 channels",
    ),
    "weight shape too long": (
        lambda: weight_grad(weight_shape=(8, 6, 3, 3, 3)),
        E,
        r"conv2d_weight_grad.*weight.*\(8, 6, 3, 3, 3\)",
    ),
    "gradient of another dtype": (
        lambda: weight_grad(grad_output=a(2, 8, 7, 7, dtype=f64)),
        T,
        r"conv2d_weight_grad.*float64",
    ),
    "bias gradient of a vector": (
        lambda: striate.conv_bias_grad(a(3)),
        E,
        r"conv_bias_grad.*\(3,\)",
    ),
    "transpose: channels that differ": (
        lambda: transpose(weight=a(5, 4, 3, 3)),
        E,
        r"conv_transpose2d.*input.*6",
    ),
    "transpose: output padding too large": (
        lambda: transpose(output_padding=1),
        E,
        r"conv_transpose2d.*output_padding.*1",
    ),
    "transpose: output padding negative": (
        lambda: transpose(stride=2, output_padding=-1),
        E,
        r"conv_transpose2d.*output_padding.*-1",
    ),
    "transpose: nothing left": (lambda: transpose(padding=9), E, r"conv_transpose2d.*padding"),
    "transpose: bias": (lambda: transpose(bias=a(5)), E, r"conv_transpose2d.*bias.*\(5,\)"),
    # -- pooling
    "pool: kernel zero": (lambda: pool(0), E, r"max_pool2d.*kernel.*0"),
    "pool: kernel negative": (lambda: mean(-2), E, r"avg_pool2d.*kernel.*-2"),
    "pool: kernel float": (lambda: pool(2.0), T, r"max_pool2d.*kernel.*2\.0"),
    "pool: kernel too large": (lambda: pool(10), E, r"max_pool2d.*kernel.*10"),
    "pool: kernel huge": (lambda: mean(HUGE), E, r"avg_pool2d.*kernel"),
    "pool: stride zero": (lambda: pool(2, stride=0), E, r"max_pool2d.*stride.*0"),
    "pool: dilation zero": (lambda: pool(2, dilation=0), E, r"max_pool2d.*dilation.*0"),
    "pool: padding past half the kernel": (
        lambda: pool(2, padding=2),
        E,
        r"(?i)max_pool2d.*padding.*half",
    ),
    "pool: padding negative": (lambda: mean(3, padding=-1), E, r"avg_pool2d.*padding.*-1"),
    "pool: divisor zero": (
        lambda: mean(2, divisor_override=0),
        E,
        r"avg_pool2d.*divisor_override.*0",
    ),
    "pool: a matrix": (lambda: striate.max_pool2d(a(4, 4), 2), E, r"max_pool2d.*input.*\(4, 4\)"),
    "pool: integers": (
        lambda: striate.max_pool2d(a(1, 1, 4, 4, dtype=int), 2),
        T,
        r"max_pool2d.*int64",
    ),
    "pool: no pixel": (lambda: striate.max_pool2d(a(1, 1, 0, 4), 2), E, r"max_pool2d"),
    "pool: index past the input": (
        lambda: max_grad(indices=np.full((1, 1, 2, 2), 16)),
        E,
        r"(?i)max_pool2d_input_grad.*16",
    ),
    "pool: index negative": (
        lambda: max_grad(indices=np.full((1, 1, 2, 2), -1)),
        E,
        r"(?i)max_pool2d_input_grad.*-1",
    ),
    "pool: indices of floats": (
        lambda: max_grad(indices=a(1, 1, 2, 2)),
        T,
        r"max_pool2d_input_grad.*indices.*float32",
    ),
    "pool: indices of another shape": (
        lambda: max_grad(indices=np.zeros((1, 1, 2, 3), int)),
        E,
        r"max_pool2d_input_grad.*indices",
    ),
    "pool: gradient of wrong size": (
        lambda: striate.avg_pool2d_input_grad((1, 1, 4, 4), a(1, 1, 3, 3), 2),
        E,
        r"avg_pool2d_input_grad.*\(1, 1, 3, 3\)",
    ),
    "global pool of a matrix": (lambda: striate.global_avg_pool(a(4, 4)), E, r"global_avg_pool"),
    # -- resampling, padding
    "downsample by zero": (lambda: striate.downsample(image(), 0), E, r"downsample.*factor.*0"),
    "downsample by a float": (
        lambda: striate.downsample(image(), 1.5),
        T,
        r"downsample.*factor.*1\.5",
    ),
    "downsample a vector": (lambda: striate.downsample(a(5), 2), E, r"downsample.*\(5,\)"),
    "upsample by zero": (
        lambda: striate.upsample_zeros(image(), 0),
        E,
        r"upsample_zeros.*factor.*0",
    ),
    "upsample to an impossible size": (
        lambda: striate.upsample_zeros(image(), 2, output_size=(16, 16)),
        E,
        r"upsample_zeros.*output_size.*\(16, 16\)",
    ),
    "interpolate to nothing": (lambda: resize(size=0), E, r"interpolate.*size.*0"),
    "interpolate without a size": (lambda: resize(), E, r"interpolate.*size.*scale_factor"),
    "interpolate with two sizes": (
        lambda: resize(size=4, scale_factor=2),
        E,
        r"interpolate.*size.*scale_factor",
    ),
    "interpolate past any size": (
        lambda: resize(scale_factor=1e308),
        E,
        r"interpolate: .*scale_factor.*1e\+308",
    ),
    "interpolate by a number without a reciprocal": (
        lambda: resize(scale_factor=1e-310),
        E,
        r"interpolate: .*scale_factor.*1e-310",
    ),
    "interpolate, one axis without a reciprocal": (
        lambda: resize(scale_factor=(1.0, 1e-310)),
        E,
        r"interpolate: .*scale_factor.*1e-310",
    ),
    "interpolate grad by a number without a reciprocal": (
        lambda: striate.interpolate_input_grad((2, 6, 9, 9), image(), scale_factor=1e-310),
        E,
        r"interpolate_input_grad: .*scale_factor.*1e-310",
    ),
    "pad with a number past any float": (
        lambda: striate.pad(image(), 1, value=10**400),
        E,
        r"pad: value",
    ),
    "concatenate: no such axis": (
        lambda: striate.concatenate([image(), image()], axis=5),
        E,
        r"concatenate: axis 5.*\(2, 6, 9, 9\)",
    ),
    "concatenate: no such axis from the end": (
        lambda: striate.concatenate([striate.Tensor(image()), image()], axis=-5),
        E,
        r"concatenate: axis -5",
    ),
    "concatenate: axis a string": (
        lambda: striate.concatenate([image(), image()], axis="rows"),
        T,
        r"concatenate: axis.*'rows'",
    ),
    "interpolate by zero": (lambda: resize(scale_factor=0.0), E, r"interpolate.*scale_factor.*0"),
    "interpolate by nan": (
        lambda: resize(scale_factor=float("nan")),
        E,
        r"interpolate.*scale_factor.*nan",
    ),
    "interpolate by infinity": (
        lambda: resize(scale_factor=float("inf")),
        E,
        r"interpolate.*scale_factor.*inf",
    ),
    "interpolate in an unknown mode": (
        lambda: resize(size=4, mode="cubist"),
        E,
        r"interpolate.*mode.*'cubist'",
    ),
    "interpolate an image trilinearly": (
        lambda: resize(size=4, mode="trilinear"),
        E,
        r"interpolate.*trilinear",
    ),
    "interpolate nothing": (lambda: striate.interpolate(a(1, 1, 0, 4), size=4), E, r"interpolate"),
    "sample at points of another dtype": (
        lambda: striate.grid_sample(image(), a(2, 3, 3, 2, dtype=f64)),
        T,
        r"grid_sample.*float32.*float64",
    ),
    "sample at points of three numbers": (
        lambda: striate.grid_sample(image(), a(2, 3, 3, 3)),
        E,
        r"grid_sample: grid.*\(2, 3, 3, 3\)",
    ),
    "sample at the points of another batch": (
        lambda: striate.grid_sample(image(), a(3, 3, 3, 2)),
        E,
        r"grid_sample: grid.*\(3, 3, 3, 2\)",
    ),
    "sample an image of no pixels": (
        lambda: striate.grid_sample(a(2, 6, 0, 9), a(2, 3, 3, 2)),
        E,
        r"grid_sample.*\(2, 6, 0, 9\)",
    ),
    "sample in an unknown mode": (
        lambda: striate.grid_sample(image(), a(2, 3, 3, 2), "linear"),
        E,
        r"grid_sample: mode.*'linear'",
    ),
    "sample with an unknown padding": (
        lambda: striate.grid_sample(image(), a(2, 3, 3, 2), padding_mode="wrap"),
        E,
        r"grid_sample: padding_mode.*'wrap'",
    ),
    "sample a volume bicubically": (
        lambda: striate.grid_sample(a(1, 1, 3, 3, 3), a(1, 2, 2, 2, 3), "bicubic"),
        E,
        r"grid_sample.*'bicubic'",
    ),
    "sample a signal": (
        lambda: striate.grid_sample(a(1, 1, 3), a(1, 3, 1)),
        E,
        r"grid_sample.*\(1, 1, 3\)",
    ),
    "affine grid of another rank": (
        lambda: striate.affine_grid(a(2, 2, 3), (2, 1, 3, 3, 3)),
        E,
        r"affine_grid: theta.*\(2, 3, 4\).*\(2, 2, 3\)",
    ),
    "affine grid of a negative size": (
        lambda: striate.affine_grid(a(2, 2, 3), (2, 1, -3, 3)),
        E,
        r"affine_grid: size.*-3",
    ),
    "warp by too few matrices": (
        lambda: striate.warp_affine(image(), a(1, 2, 3)),
        E,
        r"warp_affine: matrices.*\(2, 2, 3\).*\(1, 2, 3\)",
    ),
    "warp with another fill a channel": (
        lambda: striate.warp_affine(image(), a(2, 2, 3), fill=(1.0, 2.0)),
        E,
        r"warp_affine: fill.*6 channels",
    ),
    "warp with fill at a border": (
        lambda: striate.warp_affine(image(), a(2, 2, 3), padding_mode="border", fill=1.0),
        E,
        r"warp_affine: fill.*'border'",
    ),
    "warp by a tensor": (
        lambda: striate.warp_affine(image(), striate.Tensor(a(2, 2, 3))),
        T,
        r"warp_affine.*affine_grid",
    ),
    "interpolate an area to corners": (
        lambda: resize(size=3, mode="area", align_corners=True),
        E,
        r"interpolate.*align_corners.*'area'",
    ),
    "interpolate nearest without aliases": (
        lambda: resize(size=3, mode="nearest-exact", antialias=True),
        E,
        r"interpolate.*antialias.*'nearest-exact'",
    ),
    "interpolate to a size by a recomputed scale": (
        lambda: resize(size=3, recompute_scale_factor=True),
        E,
        r"interpolate.*recompute_scale_factor.*size=3",
    ),
    "interpolate grad by a scale that the sizes belie": (
        lambda: striate.interpolate_input_grad(
            (2, 6, 9, 9), image(), scale_factor=1e-9, mode="linear", antialias=True
        ),
        E,
        r"interpolate_input_grad.*antialias.*1e-09",
    ),
    "interpolate a volume bicubically": (
        lambda: striate.interpolate(a(1, 1, 3, 3, 3), size=3, mode="bicubic"),
        E,
        r"interpolate.*'bicubic'",
    ),
    "interpolate nearest to corners": (
        lambda: resize(size=4, mode="nearest", align_corners=True),
        E,
        r"interpolate.*align_corners",
    ),
    "pad of wrong length": (lambda: striate.pad(image(), ((1, 1),)), E, r"pad.*\(\(1, 1\),\)"),
    "pad with floats": (lambda: striate.pad(image(), 1.0), T, r"pad.*1\.0"),
    "pad with a text": (lambda: striate.pad(image(), 1, value="x"), T, r"pad.*value"),
    # -- linear, softmax, batch norm, pointwise, loss, dropout
    "linear: features that differ": (
        lambda: striate.linear(a(2, 3), a(4, 5)),
        E,
        r"linear.*3.*5|linear.*5.*3",
    ),
    "linear: weight of rank 1": (
        lambda: striate.linear(a(2, 3), a(3)),
        E,
        r"linear.*weight.*\(3,\)",
    ),
    "linear: bias": (lambda: striate.linear(a(2, 3), a(4, 3), a(3)), E, r"linear.*bias.*\(3,\)"),
    "linear: a number": (lambda: striate.linear(f32(2), a(4, 3)), (E, T), r"linear.*input"),
    "linear: dtypes": (
        lambda: striate.linear(a(2, 3), a(4, 3, dtype=f64)),
        T,
        r"linear.*float32.*float64",
    ),
    "softmax: axis past the end": (lambda: striate.softmax(a(2, 3), 2), E, r"softmax.*dim.*2"),
    "softmax: axis before the start": (
        lambda: striate.log_softmax(a(2, 3), -3),
        E,
        r"log_softmax.*dim.*-3",
    ),
    "softmax: axis a float": (lambda: striate.softmax(a(2, 3), 0.0), T, r"softmax.*dim.*0\.0"),
    "softmax: a number": (lambda: striate.softmax(f32(2), 0), (E, T), r"softmax"),
    "batch norm: mean": (lambda: norm(running_mean=a(5)), E, r"batch_norm.*running_mean.*\(5,\)"),
    "batch norm: variance": (lambda: norm(running_var=a(6, 1)), E, r"batch_norm.*running_var"),
    "batch norm: weight": (lambda: norm(weight=a(7)), E, r"batch_norm.*weight.*\(7,\)"),
    "batch norm: bias": (lambda: norm(bias=a(7)), E, r"batch_norm.*bias.*\(7,\)"),
    "batch norm: one value a channel": (
        lambda: norm(a(1, 6, 1, 1), training=True),
        E,
        r"(?i)batch_norm.*(one|1|more than).*value",
    ),
    "batch norm: a vector": (lambda: norm(a(6)), E, r"batch_norm.*\(6,\)"),
    "batch norm: training with a read-only variance": (
        lambda: norm(training=True, running_var=read_only(a(6))),
        E,
        r"batch_norm: running_var.*read-only",
    ),
    "batch norm: training with a mean of ints": (
        lambda: norm(training=True, running_mean=a(6, dtype=int)),
        T,
        r"batch_norm: .*running_mean.*int64",
    ),
    "batch norm: training with a variance in a list": (
        lambda: norm(training=True, running_var=[1.0] * 6),
        T,
        r"batch_norm: running_var.*list",
    ),
    "batch norm: eps negative": (lambda: norm(eps=-1.0), E, r"batch_norm.*eps.*-1"),
    "batch norm: no statistics": (
        lambda: norm(running_mean=None, running_var=None),
        (E, T),
        r"batch_norm.*running_mean",
    ),
    "relu: integers": (lambda: striate.relu(np.arange(3)), T, r"relu.*int64"),
    "leaky relu: slope zero": (
        lambda: striate.leaky_relu(a(3), 0),
        E,
        r"leaky_relu.*negative_slope.*got 0",
    ),
    "leaky relu: slope negative": (
        lambda: striate.leaky_relu(a(3), -0.5),
        E,
        r"leaky_relu.*negative_slope.*-0.5",
    ),
    "leaky relu: slope infinite": (
        lambda: striate.leaky_relu(a(3), float("inf")),
        E,
        r"leaky_relu.*negative_slope.*inf",
    ),
    "leaky relu: slope past any float": (
        lambda: striate.leaky_relu(a(3), 10**400),
        E,
        r"leaky_relu: negative_slope",
    ),
    "leaky relu: slope NaN": (
        lambda: striate.leaky_relu(a(3), float("nan")),
        E,
        r"leaky_relu.*negative_slope.*nan",
    ),
    "leaky relu: slope zero in float32": (
        lambda: striate.leaky_relu(a(3), 1e-50),
        E,
        r"leaky_relu.*negative_slope.*float32.*1e-50",
    ),
    "leaky relu: slope no number": (
        lambda: striate.leaky_relu(a(3), "steep"),
        T,
        r"leaky_relu.*negative_slope.*steep",
    ),
    "group_norm: groups": (
        lambda: striate.group_norm(image(), 4),
        E,
        r"group_norm: .*num_groups=4",
    ),
    "group_norm: no groups": (
        lambda: striate.group_norm(image(), 0),
        E,
        r"group_norm: .*num_groups=0",
    ),
    "group_norm: axes": (lambda: striate.group_norm(a(3), 1), E, r"group_norm: .*\(3,\)"),
    "group_norm: weight": (
        lambda: striate.group_norm(image(), 2, a(5)),
        E,
        r"group_norm: weight .*6",
    ),
    "group_norm: dtypes": (
        lambda: striate.group_norm(image(), 2, a(6, dtype=f64)),
        T,
        r"group_norm: .*weight is float64",
    ),
    "group_norm: eps": (lambda: striate.group_norm(image(), 2, eps=-1), E, r"group_norm: eps .*-1"),
    "l1_loss: shapes": (lambda: striate.l1_loss(a(3), a(4)), E, r"l1_loss: .*\(3,\), \(4,\)"),
    "l1_loss: dtypes": (lambda: striate.l1_loss(a(3), a(3, dtype=f64)), T, r"l1_loss: .*float64"),
    "huber_loss: delta": (
        lambda: striate.huber_loss(a(3), a(3), "sum", 0),
        E,
        r"huber_loss: delta",
    ),
    "smooth_l1_loss: beta": (
        lambda: striate.smooth_l1_loss(a(3), a(3), beta=-1),
        E,
        r"smooth_l1_loss: beta .*-1",
    ),
    "binary_cross_entropy: range": (
        lambda: striate.binary_cross_entropy(2 * a(3), a(3)),
        E,
        r"binary_cross_entropy: .*2.0",
    ),
    "binary_cross_entropy: weight": (
        lambda: striate.binary_cross_entropy(a(3), a(3), weight=a(2)),
        E,
        r"binary_cross_entropy: weight .*\(2,\)",
    ),
    "binary_cross_entropy_with_logits: pos_weight": (
        lambda: striate.binary_cross_entropy_with_logits(a(3), a(3), pos_weight=a(2, 3)),
        E,
        r"binary_cross_entropy_with_logits: pos_weight .*\(2, 3\)",
    ),
    "cross_entropy: smoothing": (
        lambda: striate.cross_entropy(a(2, 3), np.array([0, 1]), label_smoothing=2),
        E,
        r"cross_entropy: label_smoothing .*2",
    ),
    "cross_entropy: weight": (
        lambda: striate.cross_entropy(a(2, 3), np.array([0, 1]), weight=a(2)),
        E,
        r"cross_entropy: weight .*\(2,\)",
    ),
    "cross_entropy: chances of another dtype": (
        lambda: striate.cross_entropy(a(2, 3), a(2, 3, dtype=f64)),
        T,
        r"cross_entropy: .*float64",
    ),
    "nll_loss: weight": (
        lambda: striate.nll_loss(a(2, 3), np.array([0, 1]), weight=a(3, dtype=f64)),
        T,
        r"nll_loss: .*float64",
    ),
    "nll_loss: class": (
        lambda: striate.nll_loss(a(2, 3), np.array([0, 3]), ignore_index=4),
        E,
        r"nll_loss: .*class 3",
    ),
    "kl_div: reduction": (lambda: striate.kl_div(a(3), a(3), "batch"), E, r"kl_div: .*'batch'"),
    "multi_task_loss: none": (lambda: striate.multi_task_loss({}), E, r"multi_task_loss: "),
    "multi_task_loss: names": (
        lambda: striate.multi_task_loss({"box": f32(1)}, {"class": 1.0}),
        E,
        r"multi_task_loss: .*class",
    ),
    "multi_task_loss: shape": (
        lambda: striate.multi_task_loss({"box": a(2)}),
        E,
        r"multi_task_loss: loss 'box' .*\(2,\)",
    ),
    "layer_norm: shape": (lambda: striate.layer_norm(image(), 8), E, r"layer_norm: .*\(8,\)"),
    "layer_norm: weight": (lambda: striate.layer_norm(image(), 9, a(6)), E, r"layer_norm: weight"),
    "instance_norm: one value": (
        lambda: striate.instance_norm(a(2, 3, 1)),
        E,
        r"instance_norm: .*\(2, 3, 1\)",
    ),
    "instance_norm: one running": (
        lambda: striate.instance_norm(image(), a(6)),
        E,
        r"instance_norm: .*running_var",
    ),
    "instance_norm: running shape": (
        lambda: striate.instance_norm(image(), a(5), a(5)),
        E,
        r"instance_norm: .*running_mean .*\(5,\)",
    ),
    "local_response_norm: size": (
        lambda: striate.local_response_norm(image(), 0),
        E,
        r"local_response_norm: size .*0",
    ),
    "local_response_norm: axes": (
        lambda: striate.local_response_norm(a(3, 4), 3),
        E,
        r"local_response_norm: .*\(3, 4\)",
    ),
    "normalize: p": (lambda: striate.normalize(a(3, 4), 0.0), E, r"normalize: p .*0"),
    "normalize: axis": (lambda: striate.normalize(a(3), 2.0, 1), E, r"normalize: dim .*1"),
    "elu: alpha": (lambda: striate.elu(a(3), np.nan), E, r"elu: alpha .*nan"),
    "elu: int": (lambda: striate.elu(a(3, dtype=np.int32)), T, r"elu: input .*int32"),
    "gelu: approximate": (lambda: striate.gelu(a(3), "erf"), E, r"gelu: approximate .*'erf'"),
    "hardswish: out": (lambda: striate.hardswish(a(3), out=a(4)), E, r"hardswish: .*\(4,\)"),
    "mish: masked": (lambda: striate.mish(np.ma.ones(3, f32)), T, r"(?i)mish.*mask"),
    "softplus: beta": (lambda: striate.softplus(a(3), 0.0), E, r"softplus: beta .* 0"),
    "softplus: beta text": (lambda: striate.softplus(a(3), "1"), T, r"softplus: beta .*'1'"),
    "softplus: threshold": (lambda: striate.softplus(a(3), 1, np.nan), E, r"softplus: thres.*nan"),
    "prelu: channels": (lambda: striate.prelu(image(), a(5)), E, r"prelu: weight .*\(6,\).*\(5,\)"),
    "prelu: dtypes": (lambda: striate.prelu(image(), a(6, dtype=f64)), T, r"prelu: .*float64"),
    "dropout2d: axes": (lambda: striate.dropout2d(a(2, 3, 4)), E, r"dropout2d: .*\(2, 3, 4\)"),
    "dropout3d: p": (lambda: striate.dropout3d(a(1, 1, 1, 1, 1), 1.5), E, r"dropout3d: p .*1.5"),
    "sigmoid: masked": (lambda: striate.sigmoid(np.ma.ones(3, f32)), T, r"(?i)sigmoid.*mask"),
    "tanh: None": (lambda: striate.tanh(None), T, r"tanh.*(None|object)"),
    "cross entropy: class past the end": (
        lambda: striate.cross_entropy(a(2, 3), np.array([0, 3])),
        E,
        r"cross_entropy.*3",
    ),
    "cross entropy: class negative": (
        lambda: striate.cross_entropy(a(2, 3), np.array([0, -1])),
        E,
        r"cross_entropy.*-1",
    ),
    "cross entropy: too few targets": (
        lambda: striate.cross_entropy(a(2, 3), np.array([0])),
        E,
        r"cross_entropy.*target",
    ),
    "cross entropy: targets of floats": (
        lambda: striate.cross_entropy(a(2, 3), a(2)),
        (T, E),
        r"cross_entropy.*target",
    ),
    "cross entropy: unknown reduction": (
        lambda: striate.cross_entropy(a(2, 3), np.array([0, 1]), reduction="max"),
        E,
        r"cross_entropy.*reduction.*'max'",
    ),
    "dropout: probability past 1": (
        lambda: striate.dropout(a(2, 3), 1.5, True, 0),
        E,
        r"dropout.*1\.5",
    ),
    "dropout: probability nan": (
        lambda: striate.dropout(a(2, 3), float("nan"), True, 0),
        E,
        r"dropout.*nan",
    ),
    # -- padding by modes, words of padding
    "pad: unknown mode": (lambda: striate.pad(image(), 1, "mirror"), E, r"pad.*mode.*'mirror'"),
    "pad: value with a mode": (
        lambda: striate.pad(image(), 1, "reflect", 2.0),
        E,
        r"pad.*value.*'reflect'.*2\.0",
    ),
    "pad: reflection as long as the axis": (
        lambda: striate.pad(image(), ((0, 9), (0, 0)), "reflect"),
        E,
        r"pad.*\(0, 9\) of axis 2.*smaller.*9",
    ),
    "pad: circular beyond once": (
        lambda: striate.pad(image(), ((0, 0), (10, 0)), "circular"),
        E,
        r"pad.*\(10, 0\) of axis 3.*circular.*9",
    ),
    "pad: replication of nothing": (
        lambda: striate.pad(a(1, 1, 0), 1, "replicate"),
        E,
        r"pad.*\(1, 1\) of axis 2.*0 elements",
    ),
    "pad: crop of more than there is": (
        lambda: striate.pad(image(), -5, "reflect"),
        E,
        r"pad.*\(-5, -5\).*9",
    ),
    "pad: huge with a mode": (lambda: striate.pad(image(), HUGE, "replicate"), E, r"pad.*too long"),
    "causal in two dimensions": (lambda: conv(padding="causal"), E, r"conv2d.*causal.*2"),
    "full padding past 64 bits": (
        lambda: conv(padding="full", dilation=HUGE),
        E,
        r"conv2d.*dilation.*2\^31",
    ),
    "transposed with a word": (lambda: transpose(padding="full"), E, r"transpose2d.*'full'"),
    # -- other pools
    "sum_pool: window of zero": (lambda: striate.sum_pool2d(image(), 0), E, r"sum_pool2d.*0"),
    "lp_pool: norm of zero": (lambda: striate.lp_pool2d(image(), 0, 2), E, r"lp_pool2d.*norm.*0"),
    "lp_pool: infinite norm": (
        lambda: striate.lp_pool2d(image(), float("inf"), 2),
        E,
        r"lp_pool2d.*norm_type.*inf",
    ),
    "lp_pool: norm of text": (lambda: striate.lp_pool2d(image(), "2", 2), T, r"norm_type.*'2'"),
    "weighted_pool: sigma zero": (
        lambda: striate.weighted_pool2d(image(), 3, sigma=0.0),
        E,
        r"weighted_pool2d.*sigma.*0\.0",
    ),
    "weighted_pool: rank": (
        lambda: striate.weighted_pool1d(image(), 3),
        E,
        r"weighted_pool1d.*3 axes",
    ),
    "channel_max_pool: channels left over": (
        lambda: striate.channel_max_pool(image(), 4),
        E,
        r"channel_max_pool.*4.*\(2, 6, 9, 9\)",
    ),
    "unpool: indices of int32": (
        lambda: striate.max_unpool1d(a(1, 1, 2), np.zeros((1, 1, 2), np.int32), 2),
        T,
        r"max_unpool1d.*int64.*int32",
    ),
    "unpool: index outside": (
        lambda: striate.max_unpool1d(a(1, 1, 2), np.array([[[0, 4]]]), 2),
        E,
        r"max_unpool1d.*0 to 3.*4",
    ),
    "unpool: negative index": (
        lambda: striate.max_unpool1d(a(1, 1, 2), np.array([[[0, -1]]]), 2),
        E,
        r"max_unpool1d.*0 to 3.*-1",
    ),
    "unpool: indices of another shape": (
        lambda: striate.max_unpool1d(a(1, 1, 2), np.zeros((1, 1, 3), np.int64), 2),
        E,
        r"max_unpool1d.*\(1, 1, 2\).*\(1, 1, 3\)",
    ),
    "unpool: size out of reach": (
        lambda: striate.max_unpool1d(a(1, 1, 2), np.zeros((1, 1, 2), int), 2, output_size=(6,)),
        E,
        r"max_unpool1d.*output_size.*\(4,\).*\(6,\)",
    ),
    "adaptive: size zero": (
        lambda: striate.adaptive_avg_pool2d(image(), (0, 1)),
        E,
        r"adaptive_avg_pool2d.*\(0, 1\)",
    ),
    "adaptive: float size": (
        lambda: striate.adaptive_max_pool2d(image(), 2.0),
        T,
        r"adaptive_max_pool2d.*2\.0",
    ),
    "adaptive: of nothing": (
        lambda: striate.adaptive_max_pool1d(a(1, 1, 0), 1),
        E,
        r"adaptive_max_pool1d.*positive",
    ),
    # -- shuffles and columns
    "pixel_shuffle: channels left over": (
        lambda: striate.pixel_shuffle(image(), 2),
        E,
        r"pixel_shuffle.*2.*\(2, 6, 9, 9\)",
    ),
    "pixel_unshuffle: pixels left over": (
        lambda: striate.pixel_unshuffle(image(), 2),
        E,
        r"pixel_unshuffle.*2.*\(2, 6, 9, 9\)",
    ),
    "channel_shuffle: groups of zero": (
        lambda: striate.channel_shuffle(image(), 0),
        E,
        r"channel_shuffle.*0",
    ),
    "unfold: kernel too large": (
        lambda: striate.unfold(image(), 10),
        E,
        r"unfold.*\(10, 10\).*10 elements.*9",
    ),
    "unfold: stride zero": (lambda: striate.unfold(image(), 2, stride=0), E, r"unfold.*stride.*0"),
    "unfold: huge padding": (lambda: striate.unfold(image(), 2, 1, HUGE), E, r"unfold.*2\^31"),
    "fold: another number of windows": (
        lambda: striate.fold(a(1, 4, 9), (4, 5), 2),
        E,
        r"fold.*\(1, 4, 12\).*\(1, 4, 9\)",
    ),
    "fold: rows that are no taps": (
        lambda: striate.fold(a(1, 5, 9), (4, 4), 2),
        E,
        r"fold.*4 taps.*\(1, 5, 9\)",
    ),
    "fold: negative size": (lambda: striate.fold(a(1, 4, 9), (-4, 4), 2), E, r"fold.*-4"),
    "convolve: rank": (lambda: striate.convolve(image(), a(1, 6, 3)), E, r"convolve.*\(1, 6, 3\)"),
    "conv_matrix: kernel too large": (
        lambda: striate.conv_matrix(a(1, 1, 5, 5), 4),
        E,
        r"conv_matrix.*\(5, 5\).*\(4, 4\)",
    ),
    "conv_matrix: groups": (
        lambda: striate.conv_matrix(a(3, 1, 2, 2), 4, groups=2),
        E,
        r"conv_matrix.*groups.*2",
    ),
    # -- the process
    "no thread": (lambda: striate.set_num_threads(0), E, r"set_num_threads.*0"),
    "threads negative": (lambda: striate.set_num_threads(-2), E, r"set_num_threads.*-2"),
    "threads float": (lambda: striate.set_num_threads(2.5), T, r"set_num_threads|int"),
    "unknown instruction set": (lambda: _core.set_isa("mmx"), E, r"(?i)isa.*mmx"),
    # -- what once reached NumPy or pybind11 unnamed, or nothing at all
    "cross_entropy: ignore_index of text": (
        lambda: striate.cross_entropy(a(2, 3), [0, 1], ignore_index="a"),
        T,
        r"cross_entropy: ignore_index.*'a'",
    ),
    "cross_entropy: ignore_index None": (
        lambda: striate.cross_entropy(a(2, 3), [0, 1], ignore_index=None),
        T,
        r"cross_entropy: ignore_index.*None",
    ),
    "nll_loss: ignore_index a float": (
        lambda: striate.nll_loss(a(2, 3), [0, 1], ignore_index=1.0),
        T,
        r"nll_loss: ignore_index.*1\.0",
    ),
    "cross_entropy: target past int64": (
        lambda: striate.cross_entropy(a(1, 3), np.array([2**64 - 100], np.uint64)),
        E,
        r"cross_entropy: target names class 18446744073709551516",
    ),
    "nll_loss: target past int64": (
        lambda: striate.nll_loss(a(1, 3), np.array([2**64 - 100], np.uint64)),
        E,
        r"nll_loss: target names class 18446744073709551516",
    ),
    "cross_entropy: weight as reduction": (
        lambda: striate.cross_entropy(a(2, 3), [0, 1], a(3)),
        E,
        r"cross_entropy: reduction must be 'mean', 'sum' or 'none'",
    ),
    "cross_entropy: weight twice": (
        lambda: striate.cross_entropy(a(2, 3), [0, 1], a(3), weight=a(3)),
        E,
        r"cross_entropy: reduction must be 'mean', 'sum' or 'none'",
    ),
    "kl_div: array as reduction": (
        lambda: striate.kl_div(a(2, 3), a(2, 3), a(3)),
        E,
        r"kl_div: reduction must be",
    ),
    "gelu: array as approximate": (lambda: striate.gelu(a(3), a(3)), E, r"gelu: approximate must"),
    "batch_norm: array as activation": (
        lambda: striate.batch_norm(a(2, 3), a(3), a(3), activation=a(3)),
        E,
        r"batch_norm: activation must",
    ),
    "affine_matrices: an int": (
        lambda: striate.affine_matrices(3),
        T,
        r"affine_matrices: shape.*3",
    ),
    "affine_matrices: text": (
        lambda: striate.affine_matrices("abcd"),
        T,
        r"affine_matrices: shape.*'abcd'",
    ),
    "affine_matrices: scale zero": (
        lambda: striate.affine_matrices((2, 1, 4, 4), scale=[1.0, 0.0]),
        E,
        r"affine_matrices: scale .*zero.*\[1\.0, 0\.0\]",
    ),
    "affine_matrices: stretch zero": (
        lambda: striate.affine_matrices((2, 1, 4, 4), stretch=0),
        E,
        r"affine_matrices: .*stretch.*zero",
    ),
    "affine_matrices: scale nan": (
        lambda: striate.affine_matrices((2, 1, 4, 4), scale=float("nan")),
        E,
        r"affine_matrices: scale must be finite.*nan",
    ),
    "affine_matrices: translation infinite": (
        lambda: striate.affine_matrices((2, 1, 4, 4), translation=(0, np.inf)),
        E,
        r"affine_matrices: translation must be finite",
    ),
    "affine_matrices: scale by stretch overflows": (
        lambda: striate.affine_matrices((2, 1, 4, 4), scale=1e300, stretch=1e300),
        E,
        r"affine_matrices: scale and stretch.*overflow.*1e\+300",
    ),
    "affine_matrices: scale without an inverse": (
        lambda: striate.affine_matrices((2, 1, 4, 4), scale=1e-310),
        E,
        r"affine_matrices: scale and stretch.*overflow.*1e-310",
    ),
    "affine_matrices: another batch": (
        lambda: striate.affine_matrices((2, 1, 4, 4), rotation=[1, 2, 3]),
        E,
        r"affine_matrices: rotation must repeat.*\(3,\)",
    ),
    "warp_affine: matrices of nan": (
        lambda: striate.warp_affine(a(1, 1, 4, 4), np.full((1, 2, 3), np.nan, f32)),
        E,
        r"warp_affine: matrices must be finite",
    ),
    "affine_grid: huge": (
        lambda: striate.affine_grid(a(1, 2, 3), (1, 1, 2**40, 2)),
        MemoryError,
        r"affine_grid: .*1099511627776",
    ),
    "affine_grid: past an index": (
        lambda: striate.affine_grid(a(1, 2, 3), (1, 1, HUGE, HUGE)),
        MemoryError,
        r"affine_grid: .*4611686018427387904",
    ),
    "weighted_pool: windows of padding": (
        lambda: striate.weighted_pool2d(image(), 3, 1, 3, count_include_pad=False),
        E,
        r"weighted_pool2d: padding.*half.*\(3, 3\)",
    ),
    "weighted_pool: negative padding": (
        lambda: striate.weighted_pool2d(image(), 3, 1, -1),
        E,
        r"weighted_pool2d: padding.*-1",
    ),
    "weighted_pool: huge kernel": (
        lambda: striate.weighted_pool2d(image(), 10**6),
        E,
        r"weighted_pool2d: kernel_size.*1000000.*larger.*\(9, 9\)",
    ),
    "conv_matrix: huge padding": (
        lambda: striate.conv_matrix(a(1, 1, 3, 3), 4, padding=HUGE),
        E,
        r"conv_matrix: .*2\^31",
    ),
    "pixel_unshuffle: huge factor of nothing": (
        lambda: striate.pixel_unshuffle(a(1, 1, 0, 0), 2**40),
        E,
        r"pixel_unshuffle: downscale_factor 1099511627776.*channels",
    ),
    "layer_norm: text": (
        lambda: striate.layer_norm(a(2, 4), "4"),
        T,
        r"layer_norm: normalized_shape",
    ),
    "layer_norm: a float": (
        lambda: striate.layer_norm(a(2, 4), 4.0),
        T,
        r"layer_norm: normalized_shape",
    ),
    "instance_norm: running statistics of another shape": (
        lambda: striate.instance_norm(a(2, 3, 4), a(2), a(2), use_input_stats=False),
        E,
        r"instance_norm: .*running_mean.*\(2,\)",
    ),
    "instance_norm: running statistics of another dtype": (
        lambda: striate.instance_norm(
            a(2, 3, 4), a(3, dtype=f64), a(3, dtype=f64), use_input_stats=False
        ),
        T,
        r"instance_norm: .*running_mean.*float64",
    ),
    "instance_norm: weight of another shape beside running statistics": (
        lambda: striate.instance_norm(a(2, 3, 4), a(3), a(3), a(2), use_input_stats=False),
        E,
        r"instance_norm: .*weight.*\(2,\)",
    ),
}


def complaint(call, exception, pattern):
    """None if the call fails as promised, else what it did."""
    try:
        result = call()
    except exception as error:
        if re.search(pattern, str(error)):
            return None
        return f"message {str(error)!r} does not match {pattern!r}"
    except Exception as error:
        return f"raised {type(error).__name__}: {error}"
    return f"returned {type(result).__name__} instead of raising"


def test_table_is_large_enough():
    assert len(BAD_CALLS) >= 60


@pytest.mark.parametrize("name", BAD_CALLS)
def test_bad_call(name):
    fault = complaint(*BAD_CALLS[name])
    assert fault is None, fault
    good = conv()  # the library still answers
    assert (good == 54).all()


def test_no_crash_in_a_process_of_its_own():
    program = "import sys; sys.path.insert(0, sys.argv[1]); import test_bad_calls as t; t.run_all()"
    ran = subprocess.run(
        [sys.executable, "-c", program, str(Path(__file__).parent)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert ran.stdout.split() == [str(len(BAD_CALLS))]


def run_all():
    """Make every bad call, whatever it raises, and print how many came back."""
    for call, _, _ in BAD_CALLS.values():
        complaint(call, Exception, "")
    print(len(BAD_CALLS))


BAD_VARIABLES = (
    *(("STRIATE_NUM_THREADS", value) for value in ("0", "-1", "two", "2.5", "9" * 30)),
    *(("STRIATE_ISA", value) for value in ("mmx", "AVX9")),
)


@pytest.mark.parametrize("variable, value", BAD_VARIABLES)
def test_bad_environment_variable(variable, value):
    """A clear error that names the variable and the value."""
    program = (
        "import numpy as np, striate\n"
        "x = np.ones((1, 1, 3, 3), np.float32)\n"
        "striate.conv2d(x, x)\n"
        "striate.get_num_threads()\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, variable: value},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 1, (ran.returncode, ran.stderr[-500:])
    last = ran.stderr.strip().splitlines()[-1]
    assert last.startswith("ValueError") and variable in last and repr(value)[1:-1] in last, last
