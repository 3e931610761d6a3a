"""Reverse-mode differentiation of NumPy programs, small enough to read in one sitting.

A `Tensor` is an array that knows how it was made. A `primitive` is a function of arrays; called
with Tensors it runs on their arrays and leaves a `Node` behind: the primitive, an edge to the maker
of every argument that wants a gradient, and the values its gradient rules will ask for. `backward`
visits the nodes from the result to the leaves, each after all of its users, and for every edge
calls the rule (vector-Jacobian product) of that argument:

    @primitive
    def multiply(x, y):
        return np.multiply(x, y)

    @multiply.vjp("x")
    def _(grad, x_shape, y):
        return sum_to(grad * y, x_shape)

A rule names what it needs: any argument of its primitive, the shape of one as `<argument>_shape`,
or `output`. The tape keeps exactly what the rules name, and refuses to go back when one of these
has been changed in place since. Rules are made of primitives and operators, so with
`create_graph=True` they run on Tensors and are themselves differentiable.

The design follows HIPS/autograd: one rule an argument, and a missing rule raises by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple, overload

import numpy as np

if TYPE_CHECKING:
    from .arrays import Array

_recording = ContextVar("recording", default=True)


@contextmanager
def no_grad() -> Iterator[None]:
    """Record nothing inside a ``with`` block, or inside a function decorated by ``@no_grad()``."""
    token = _recording.set(False)
    try:
        yield
    finally:
        _recording.reset(token)


def is_recording(*values: Any) -> bool:
    """Whether a primitive called with `values` now would leave a node behind."""
    for value in values:
        if type(value) in _kinds and value.requires_grad:
            return _recording.get()
    return False


# The subclasses of Variable: `type(value) in _kinds` answers in a third of the time of isinstance
# where the answer is no, as it is for most arguments of a call.
_kinds: set[type] = set()


class Variable:
    """What the tape knows of a `Tensor`: an array, its maker, and how often it has been changed."""

    __slots__ = ("__weakref__", "_data", "_node", "_version", "grad", "requires_grad")

    _data: Array
    _node: Node | None  # the call that made it; None for a leaf
    # Changes, and writers that are inside; one cell, shared by all variables that share the memory.
    _version: list[int]
    grad: Array | None
    requires_grad: bool

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        _kinds.add(cls)

    @classmethod
    def _wrap(cls, array: Array, node: Node | None = None) -> Any:
        variable = cls.__new__(cls)
        variable._data, variable._node, variable._version = array, node, [0, 0]
        variable.grad, variable.requires_grad = None, node is not None
        return variable

    @property
    def shape(self) -> tuple[int, ...]:
        return self._data.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self._data.dtype

    @property
    def version(self) -> int:
        """How many times the data has been changed in place."""
        return self._version[0]


def _may_share(result: Array, operand: Array) -> bool:
    """Whether `result`, just made from `operand`, may lie in its memory.

    Most results own theirs, or have it from the pool of buffers (a capsule); no need to ask then.
    """
    base = result.base
    if result is not operand and (base is None or type(base).__name__ == "PyCapsule"):
        return False
    return np.may_share_memory(result, operand)


def _operands(args: Sequence[Any]) -> list[tuple[int, Variable]]:
    """Those of `args` that are Variables, with their positions."""
    return [(i, arg) for i, arg in enumerate(args) if type(arg) in _kinds]


class Rule(NamedTuple):
    """The gradient of one argument; `part` picks it from a rule that serves several at once.

    `sources` tells where a node finds what the rule wants, constants of the call aside: the
    position of an argument, and whether only its shape is wanted; position -1 is the output.
    """

    function: Callable[..., Any]
    wants: tuple[str, ...]
    part: int | None
    sources: tuple[tuple[str, int, bool], ...]


class Primitive:
    """A function of arrays with a gradient rule for each differentiable argument.

    Parameters are positional. A first parameter called `op` is the name that messages use. A
    trailing ``*parameter`` shares one rule, which may ask for its `position`. With `extra` the
    function returns a tuple: the output, then constants (such as the winners of a max pool) which
    rules may ask for by these names.
    """

    result: type[Variable] = Variable  # `Tensor`, once that is defined above this module
    add: Callable[[Any, Any], Any]  # of gradients that meet; defined above this module too

    def __init__(self, function: Callable[..., Any], extra: tuple[str, ...] = ()) -> None:
        code = function.__code__
        self.function = function
        self.extra = extra
        self.variadic = bool(code.co_flags & 0x04)
        self.names = code.co_varnames[: code.co_argcount + self.variadic]
        self.rules: dict[str, Rule] = {}
        self.together: tuple[tuple[str, ...], Rule] | None = None
        self.__name__ = function.__name__.lstrip("_")
        self.__doc__ = function.__doc__

    def vjp(self, *arguments: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Register a rule ``(grad, ...) -> gradient of the argument``; None is a gradient of zero.

        A rule for several arguments returns a tuple. It serves kernels that make all of them in
        one pass; it is called with arrays only, so its primitive has no second derivative.
        """

        def register(function: Callable[..., Any]) -> Callable[..., Any]:
            wants = function.__code__.co_varnames[1 : function.__code__.co_argcount]
            sources = []
            for want in wants:
                shaped = want not in self.names
                name = want.removesuffix("_shape") if shaped else want
                if want == "output":
                    sources.append((want, -1, False))
                elif name in self.names:
                    sources.append((want, self.names.index(name), shaped))
            for part, argument in enumerate(arguments):
                which = part if len(arguments) > 1 else None
                self.rules[argument] = Rule(function, wants, which, tuple(sources))
            return function

        return register

    def vjp_together(self, *arguments: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Register a faster rule for `arguments` which all have rules of their own.

        It makes all of them in one pass, returns a tuple, and is called with arrays only; the
        others serve where not all are wanted, or second derivatives are.
        """

        def register(function: Callable[..., Any]) -> Callable[..., Any]:
            wants = function.__code__.co_varnames[1 : function.__code__.co_argcount]
            self.together = arguments, Rule(function, wants, None, ())
            return function

        return register

    def __call__(self, *args: Any) -> Any:
        operands = _operands(args)
        if not operands:
            return self.function(*args)
        arrays = list(args)
        for position, operand in operands:
            arrays[position] = operand._data
        if not self.extra:
            return self._record(self.function(*arrays), args, operands, ())
        output, *constants = self.function(*arrays)
        return (self._record(output, args, operands, constants), *constants)

    def record(self, output: Any, args: Sequence[Any]) -> Any:
        """A Tensor of `output`, on the tape as the result of this primitive called with `args`.

        For those who computed it in another way, such as several primitives in one pass.
        """
        return self._record(output, args, _operands(args), ())

    def _record(
        self,
        output: Any,
        args: Sequence[Any],
        operands: list[tuple[int, Variable]],
        constants: Sequence[Any],
    ) -> Any:
        array = output if type(output) is np.ndarray else np.asarray(output)
        tensor = self.result._wrap(array)
        for _, operand in operands:
            if _may_share(array, operand._data):
                tensor._version = operand._version  # a view changes when its base does
        wanted = [pair for pair in operands if pair[1].requires_grad]
        if wanted and _recording.get():
            tensor._node = Node(self, args, wanted, tensor, constants)
            tensor.requires_grad = True
        return tensor


@overload
def primitive(function: Callable[..., Any]) -> Primitive: ...
@overload
def primitive(*, extra: tuple[str, ...]) -> Callable[[Callable[..., Any]], Primitive]: ...
def primitive(
    function: Callable[..., Any] | None = None, *, extra: tuple[str, ...] = ()
) -> Primitive | Callable[[Callable[..., Any]], Primitive]:
    """Make `function`, of arrays, a `Primitive`. Used as a decorator."""
    return Primitive(function, extra) if function else lambda later: Primitive(later, extra)


# From a node to the maker of one of its arguments: its name, its position (for a trailing
# *parameter counted from there), and the maker, a node or a leaf Variable.
Edge = tuple[str, int, Any]


class Node:
    """One recorded call: where gradients go from here, and what the rules will want to know."""

    __slots__ = ("dtype", "edges", "freed", "op", "primitive", "saved", "shape", "versions")

    def __init__(
        self,
        primitive: Primitive,
        args: Sequence[Any],
        wanted: list[tuple[int, Variable]],
        output: Variable,
        constants: Sequence[Any],
    ) -> None:
        names, rules = primitive.names, primitive.rules
        self.primitive = primitive
        self.op: str = args[0] if names[0] == "op" else primitive.__name__
        self.shape, self.dtype = output._data.shape, output._data.dtype
        self.freed = False
        self.edges: list[Edge] = []
        saved: dict[str, Any] = dict(zip(primitive.extra, constants, strict=True))
        last = len(names) - 1
        for i, arg in wanted:
            name = names[i if i < last else last]
            self.edges.append((name, i - last, arg._node or arg))
            rule = rules.get(name)
            for want, at, shaped in rule.sources if rule else ():
                if at < 0:  # the output's Variable would hold this node: keep the array
                    saved[want] = output._data
                else:
                    saved[want] = args[at].shape if shaped else args[at]
        self.saved = saved
        self.versions = [
            (name, value._version, value._version[0])
            for name, value in saved.items()
            if type(value) in _kinds
        ]
        if "output" in saved:
            self.versions.append(("output", output._version, output._version[0]))

    def pull(self, grad: Any, edges: Sequence[Edge], create_graph: bool) -> Iterator[Any]:
        """The gradient for each of `edges`, in their order, given the gradient of the output."""
        for name, version, recorded in self.versions:
            if version[0] != recorded:
                raise RuntimeError(
                    f"{self.op}: {name} was changed in place after it was used (version "
                    f"{recorded} was saved, {version[0]} found); call backward before changing it"
                )
        if not create_graph:
            values = {k: v._data if type(v) in _kinds else v for k, v in self.saved.items()}
        else:
            values = dict(self.saved)
            if "output" in values:
                values["output"] = Primitive.result._wrap(values["output"], self)
        shared: dict[Any, Any] = {}
        made: dict[str, Any] = {}
        if self.primitive.together is not None and not create_graph:
            arguments, joint = self.primitive.together
            if {argument for argument, _, _ in edges}.issuperset(arguments):
                parts = joint.function(grad, *[values[want] for want in joint.wants])
                made = dict(zip(arguments, parts, strict=True))
        for argument, position, source in edges:
            rule = self.primitive.rules.get(argument)
            if rule is None:
                raise NotImplementedError(f"{self.op}: no gradient rule for argument {argument!r}")
            if rule.part is not None and create_graph:
                raise NotImplementedError(f"{self.op}: its second derivative is not implemented")
            values["position"] = position
            if argument in made:
                result = made[argument]
            else:
                if rule.part is None or rule.function not in shared:
                    shared[rule.function] = rule.function(grad, *[values[w] for w in rule.wants])
                result = shared[rule.function]
                result = result if rule.part is None else result[rule.part]
            if result is not None and not create_graph:
                result = np.asarray(result)
                if type(source) in _kinds and _may_share(result, grad):
                    result = np.copy(result)  # a leaf owns its gradient; rules may hand one on
            if result is not None and (result.shape, result.dtype) != (source.shape, source.dtype):
                raise RuntimeError(
                    f"{self.op}: the gradient rule for {argument!r} gave {result.dtype} "
                    f"{result.shape} for a variable of {source.dtype} {source.shape}"
                )
            yield result


def _topological(root: Any) -> Iterator[Any]:
    """Nodes and leaves under `root`, each after all of its users. No recursion: graphs are deep."""
    users: dict[Any, int] = {}
    pending = [root]
    while pending:
        vertex = pending.pop()
        users[vertex] = users.get(vertex, 0) + 1
        if users[vertex] == 1 and isinstance(vertex, Node):
            if vertex.freed:
                raise RuntimeError(
                    f"{vertex.op}: this part of the graph was freed by an earlier backward; "
                    "give that one retain_graph=True"
                )
            pending.extend([source for _, _, source in vertex.edges])
    ready = [root]
    while ready:
        vertex = ready.pop()
        yield vertex
        for _, _, source in vertex.edges if isinstance(vertex, Node) else ():
            users[source] -= 1
            if not users[source]:
                ready.append(source)


def _owned(grads: dict[Any, Array]) -> dict[Any, Array]:
    """`grads`, each writeable and in memory of its own: rules may hand on what they were given.

    Arrays that overlap have one owner at the end of their bases. To look for that costs one look-up
    an array, where to compare each with all others would cost the square of their number.
    """
    owners: set[int] = set()
    for vertex, array in grads.items():
        owner: Any = array
        while isinstance(owner, np.ndarray) and owner.base is not None:
            owner = owner.base
        if id(owner) in owners or not array.flags.writeable:
            grads[vertex] = np.copy(array)
        else:
            owners.add(id(owner))
    return grads


def gradients(
    output: Variable,
    seed: Any,
    targets: Sequence[Any] | None,
    retain_graph: bool,
    create_graph: bool = False,
) -> dict[Any, Any]:
    """Gradients of <output, seed> for `targets` (None: every leaf), nothing computed beside."""
    if not output.requires_grad:
        raise RuntimeError("backward: nothing was recorded; no input of this result requires grad")
    order = list(_topological(output._node or output))
    useful = set(targets if targets is not None else order)
    if targets is not None:
        for vertex in reversed(order):
            if isinstance(vertex, Node) and any(edge[2] in useful for edge in vertex.edges):
                useful.add(vertex)
    kept = set(targets if targets is not None else (v for v in order if type(v) in _kinds))
    grads = {order[0]: seed}
    for vertex in order:
        grad = grads.get(vertex) if vertex in kept else grads.pop(vertex, None)
        if not isinstance(vertex, Node):
            continue
        if grad is not None:
            edges = [edge for edge in vertex.edges if edge[2] in useful]
            parts = vertex.pull(grad, edges, create_graph)
            for (_, _, source), part in zip(edges, parts, strict=True):
                if part is None:
                    continue
                total = grads.get(source)
                grads[source] = part if total is None else Primitive.add(total, part)
        if not retain_graph:
            vertex.freed, vertex.edges, vertex.saved, vertex.versions = True, [], {}, []
    if create_graph:
        return {vertex: grad for vertex, grad in grads.items() if vertex in kept}
    return _owned({vertex: np.asarray(grad) for vertex, grad in grads.items() if vertex in kept})
