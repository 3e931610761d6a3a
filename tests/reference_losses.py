"""Naive losses in float64: one element, one sample at a time. Imports nothing of ours."""

import math

import numpy as np


def log_softmax(scores):
    """Of (N, C, ...) along the classes."""
    shifted = scores - scores.max(1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(1, keepdims=True))


def huber(e, delta):
    e = abs(e)
    return e * e / 2 if e <= delta else delta * (e - delta / 2)


def binary(x, t):
    yes = max(math.log(x), -100) if x > 0 else -100
    no = max(math.log1p(-x), -100) if x < 1 else -100
    return -(t * yes + (1 - t) * no)


def elementwise(fn, x, t):
    return np.array([fn(a, b) for a, b in zip(x.ravel(), t.ravel(), strict=True)]).reshape(x.shape)


def weighted_nll(log_chances, target, weight, ignore_index, smoothing=0.0):
    """Losses a target and what each counts."""
    classes = log_chances.shape[1]
    losses, shares = np.zeros(target.shape), np.zeros(target.shape)
    for place in np.ndindex(target.shape):
        if target[place] == ignore_index:
            continue
        row = log_chances[(place[0], slice(None), *place[1:])]
        shares[place] = weight[target[place]]
        losses[place] = -(1 - smoothing) * weight[target[place]] * row[target[place]]
        losses[place] -= smoothing / classes * (weight * row).sum()
    return losses, shares


def kl(x, t):
    return t * (math.log(t) - x) if t else 0.0
