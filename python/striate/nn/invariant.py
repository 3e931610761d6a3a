"""Convolution under enumerated transforms of its filters, and a loss that asks for invariance."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import ops
from ..autograd import Tensor, concatenate
from ..ops.arguments import real
from .conv import Conv2d

_POOLS = ("max", "mean", None)


class TransformInvariantConv2d(Conv2d):
    """Convolution by every filter in a set of rotations, scales and reflections.

    The transforms T are enumerated and fixed; each is a linear map M_t of the filter's k x k taps,
    its bilinear resampling about the centre, where what comes from outside the filter is zero.
    All share the one learnt filter, so gradients flow back through the transforms into it::

        z[n, o, t] = bias[o] + conv2d(x, M_t w)[n, o]      y = max or mean of z over t

    A pattern is then found in whatever pose of the set it appears. With quarter turns and
    ``pool`` "max" or "mean" a turned image gives the turned map, exactly.

    Parameters
    ----------
    in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias
        As for `Conv2d`.
    rotations : int or sequence of floats
        So many equal parts of a whole turn, or the angles in degrees, counter-clockwise.
    scales : sequence of floats
        Factors by which the pattern grows (above 1, its rim is cut off) or shrinks.
    reflections : bool
        Whether the mirror image of every filter takes part too.
    pool : {"max", "mean", None}
        How the set is pooled; None returns the oriented maps, shape (N, out_channels, T, H, W),
        rotations varying fastest, then scales, then reflections.
    rng, dtype
        As for `Conv2d`.

    Raises
    ------
    TypeError, ValueError
        As `Conv2d`; no transform at all, an angle or scale that is no finite number, a scale that
        is not positive, another pool.

    References
    ----------
    Lecture 000 (transform invariance).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        rotations: Any = 4,
        scales: Sequence[float] = (1.0,),
        reflections: bool = False,
        pool: str | None = "max",
        rng: Any = None,
        dtype: Any = np.float32,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            bias,
            rng=rng,
            dtype=dtype,
        )
        name = type(self).__name__
        if isinstance(rotations, (int, np.integer)) and not isinstance(rotations, bool):
            rotations = [360.0 * turn / rotations for turn in range(int(rotations))]
        self.rotations = _finite(name, "rotations", rotations)
        self.scales = _finite(name, "scales", scales)
        self.reflections = bool(reflections)
        if not self.rotations or not self.scales or min(self.scales) <= 0:
            raise ValueError(
                f"{name}: needs at least one rotation and one positive scale, got "
                f"rotations={rotations}, scales={scales}"
            )
        if pool not in _POOLS:
            raise ValueError(f"{name}: pool must be 'max', 'mean' or None, got {pool!r}")
        self.pool = pool
        # In float64, whatever the weights are: `to` may change those. By dtype as they are needed.
        self._maps = {np.dtype(np.float64): self._resampling()}

    @property
    def transforms(self) -> int:
        """How many poses of each filter there are."""
        return len(self.rotations) * len(self.scales) * (1 + self.reflections)

    def _resampling(self) -> Any:
        """The maps M_t side by side, (taps, transforms * taps): a filter's row times them."""
        taps = self.kernel_size[0] * self.kernel_size[1]
        flips = (False, True) if self.reflections else (False,)
        poses = np.array(list(itertools.product(flips, self.scales, self.rotations)))
        shape = (len(poses), taps, *self.kernel_size)
        matrices = ops.affine_matrices(
            shape, flip=poses[:, 0] > 0, scale=poses[:, 1], rotation=poses[:, 2]
        )
        # Channel q of the image is the filter that is 1 at tap q alone.
        units = np.broadcast_to(np.eye(taps).reshape(1, taps, *self.kernel_size), shape)
        moved = ops.warp_affine(units, matrices).reshape(len(poses), taps, taps)
        return moved.transpose(1, 0, 2).reshape(taps, -1)

    def filters(self) -> Any:
        """Every pose of every filter, (out_channels * transforms, in_channels / groups, k, k)."""
        out, channels, *kernel = self.weight.shape
        count, taps = self.transforms, kernel[0] * kernel[1]
        dtype = self.weight.dtype
        if dtype not in self._maps:
            self._maps[dtype] = self._maps[np.dtype(np.float64)].astype(dtype)
        posed = self.weight.reshape(out * channels, taps) @ self._maps[dtype]
        posed = posed.reshape(out, channels, count, taps).transpose(0, 2, 1, 3)
        return posed.reshape(out * count, channels, *kernel)

    def forward(self, input: Any) -> Any:
        out, count = self.out_channels, self.transforms
        bias: Any = self.bias
        if bias is not None:
            ones = np.ones((1, count), self.weight.dtype)
            bias = (bias.reshape(out, 1) * ones).reshape(out * count)
        maps = ops.conv2d(
            input, self.filters(), bias, self.stride, self.padding, self.dilation, self.groups
        )
        maps = maps.reshape(maps.shape[0], out, count, *maps.shape[2:])
        if self.pool is None:
            return maps
        return maps.max(2) if self.pool == "max" else maps.mean(2)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, transforms={self.transforms}, pool={self.pool!r}"


def _finite(op: str, name: str, values: Any) -> tuple[float, ...]:
    if not np.iterable(values) or isinstance(values, (str, bytes)):
        raise TypeError(f"{op}: {name} must be a sequence of numbers, got {values!r}")
    numbers = tuple(real(op, name, value) for value in values)
    if not np.isfinite(numbers).all():
        raise ValueError(f"{op}: {name} must be finite, got {values!r}")
    return numbers


def rotation_regulariser(
    features: Callable[[Any], Any],
    input: Any,
    angles: Sequence[float] = (90.0, 180.0, 270.0),
    *,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
) -> Any:
    """A loss term that asks for similar features of rotated copies of an image.

    Half the mean, over the images, of ``|| f(x) - mean over angles of f(rotated x) ||^2``. The
    image and its copies pass through `features` as one batch.

    Parameters
    ----------
    features : callable
        From images (M, C, H, W) to features (M, ...), such as a part of a network.
    input : array_like or Tensor, shape (N, C, H, W)
    angles : sequence of floats
        Degrees, counter-clockwise.
    mode, padding_mode
        As for `striate.warp_affine`.

    Returns
    -------
    Tensor without axes, differentiable by the parameters of `features` and by the images

    Raises
    ------
    TypeError, ValueError
        No angle, or one that is no finite number; features that do not give a row for every image.

    References
    ----------
    G. Cheng, P. Zhou, J. Han, "RIFD-CNN: Rotation-Invariant and Fisher Discriminative
    Convolutional Neural Networks for Object Detection", 2016. Lecture 001.
    """
    name = "rotation_regulariser"
    angles = _finite(name, "angles", angles)
    if not angles:
        raise ValueError(f"{name}: needs at least one angle")
    if not isinstance(input, Tensor):
        input = Tensor(input)
    n = input.shape[0]
    copies = [input]
    for angle in angles:
        matrices = ops.affine_matrices(input.shape, rotation=angle)
        copies.append(ops.warp_affine(input, matrices, None, mode, padding_mode))
    found = features(concatenate(copies))
    if not found.shape or found.shape[0] != n * len(copies):
        raise ValueError(
            f"{name}: features must give a row for each of {n * len(copies)} images, "
            f"got shape {found.shape}"
        )
    rows = found.reshape(len(copies), n, -1)
    apart = rows[0] - rows[1:].mean(0)
    return (apart * apart).sum() * (0.5 / max(n, 1))
