"""What the docstrings of all public ops and layers tell: arguments, shapes, formula and source.

A docstring may leave to another what that says already: "As `conv2d`, ...", "see `striate.pad`".
"""

import inspect
import re
from pathlib import Path

import pytest
from striate import nn, ops

LECTURES = (Path(__file__).parent.parent / "docs" / "lectures.md").read_text()
SETTINGS = re.compile(r"(get|set)_|num_threads$|explain$")  # they take no arrays
SHAPES = re.compile(
    r"\bshapes?\b|spatial|\(N, |\(N,\)|\(\.\.\.|\(C, |\(O, |\(filters, |axis|axes|features"
)
FORMULA = re.compile(r"``[^`]*[-+*/<>=@(\[][^`]*``|::\n")
SOURCE = re.compile(r"[Ll]ectures? 00\d|[A-Z]\w+ (?:et al\.?|and \w+)?,? ?(?:19|20)\d\d")

OPS = sorted(ops.__all__)
CLASSES = sorted(name for name in nn.__all__ if inspect.isclass(getattr(nn, name)))


def told(owner, name, seen=()):
    """The docstring of a public name, followed by those that it refers to."""
    text = inspect.cleandoc(getattr(owner, name).__doc__ or "")
    for other in re.findall(r"`(?:striate\.)?(?:nn\.)?(\w+)`", text):
        for home in (ops, nn):
            if other not in (*seen, name) and other in home.__all__:
                text += "\n" + told(home, other, (*seen, name))
    return text


def arguments(function):
    return [
        p for p in inspect.signature(function).parameters if p not in ("self", "args", "kwargs")
    ]


def missing(names, text):
    return [name for name in names if not re.search(rf"\b{name}\b", text)]


@pytest.mark.parametrize("name", OPS)
def test_an_op_tells_what_it_takes_and_computes(name):
    function = getattr(ops, name)
    assert function.__doc__, "no docstring"
    text = told(ops, name)
    assert not missing(arguments(function), text)
    if not SETTINGS.match(name):
        assert SHAPES.search(text), "no shapes"
        assert FORMULA.search(text) or SOURCE.search(text), "neither a formula nor a source"


@pytest.mark.parametrize("name", [n for n in OPS if re.search(rf"`striate\.{n}`", LECTURES)])
def test_an_op_of_the_lectures_names_its_lecture(name):
    assert re.search(r"[Ll]ectures? 00\d", told(ops, name))


@pytest.mark.parametrize("name", CLASSES)
def test_a_layer_tells_its_arguments_and_shapes(name):
    layer = getattr(nn, name)
    assert vars(layer).get("__doc__"), "no docstring of its own"
    text = told(nn, name)
    assert not missing(arguments(layer), text)
    if issubclass(layer, nn.Module) and layer is not nn.Module and layer is not nn.ModuleList:
        assert SHAPES.search(text) or FORMULA.search(text), "neither shapes nor a formula"
