"""Digits drawn with NumPy: ten 5 x 7 glyphs, each at its own size, place, slant, weight and noise.

Not an example itself: the data of `lenet_digits.py` and `transform_invariant_digits.py`.
"""

import numpy as np

GLYPHS = """
.###. ..#.. .###. .###. ...#. ##### .###. ##### .###. .###.
#...# .##.. #...# #...# ..##. #.... #.... ....# #...# #...#
#...# ..#.. ....# ....# .#.#. ####. #.... ....# #...# #...#
#...# ..#.. ...#. ..##. #..#. ....# ####. ...#. .###. .####
#...# ..#.. ..#.. ....# ##### ....# #...# ..#.. #...# ....#
#...# ..#.. .#... #...# ...#. #...# #...# ..#.. #...# ....#
.###. .###. ##### .###. ...#. .###. .###. ..#.. .###. .###.
"""
_ROWS = [line.split() for line in GLYPHS.split("\n") if line]
_INK = np.array([[[c == "#" for c in row[d]] for row in _ROWS] for d in range(10)], np.float32)


def draw(labels, rng, size=32, degrees=10.0):
    """Images (N, 1, size, size) of the digits `labels`, turned by up to `degrees` either way."""
    n = len(labels)
    turn = np.radians(rng.uniform(-degrees, degrees, n))
    scale = rng.uniform(0.32, 0.45, n) * size  # half the height, in pixels
    slant = rng.uniform(-0.2, 0.2, n)
    centre = (size - 1) / 2 + rng.uniform(-size / 12, size / 12, (2, n))
    y, x = np.mgrid[:size, :size].astype(np.float32)
    y, x = y - centre[0][:, None, None], x - centre[1][:, None, None]
    cos, sin = np.cos(turn)[:, None, None], np.sin(turn)[:, None, None]
    v = (cos * y - sin * x) / scale[:, None, None]  # -1..1 over the glyph's height
    u = (cos * x + sin * y) / scale[:, None, None] + slant[:, None, None] * v
    padded = np.pad(_INK, ((0, 0), (2, 2), (2, 2)))
    row, column = v * 3.5 + 3 + 2, u * 3.5 + 2 + 2  # in glyph pixels
    images = _bilinear(padded, np.asarray(labels)[:, None, None], row, column)
    images = np.clip(images * rng.uniform(1.2, 2.0, (n, 1, 1)), 0, 1)
    images += rng.normal(0, 0.1, images.shape)
    return images[:, None].astype(np.float32)


def _bilinear(glyphs, labels, row, column):
    height, width = glyphs.shape[1:]
    row, column = np.clip(row, 0, height - 1.001), np.clip(column, 0, width - 1.001)
    i, j = row.astype(int), column.astype(int)
    a, b = row - i, column - j
    upper = glyphs[labels, i, j] * (1 - b) + glyphs[labels, i, j + 1] * b
    lower = glyphs[labels, i + 1, j] * (1 - b) + glyphs[labels, i + 1, j + 1] * b
    return upper * (1 - a) + lower * a
