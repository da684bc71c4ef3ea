"""The graph of an exported program as terms: what each weight of a convolution is computed from.

The graph is JSON in topological order. Values that depend on an input are data, of which only the depth is
kept; everything else is a stored array or an operation on stored arrays, and nothing is run here.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any, NamedTuple

from ...errors import CheckpointError

MAX_NODES = 200_000
"""Operations of a program, those of its inner graphs included."""

MAX_NESTING = 20
"""Graphs inside each other."""

_CALLS = (
    "cond",
    "wrap_with_set_grad_enabled",
    "wrap_with_autocast",
    "tag_activation_checkpoint",
    "strict_mode",
)
"""Operators whose inner graphs take the last operands as they are."""

_CONVOLUTIONS = {
    **{f"conv{n}d": False for n in (1, 2, 3)},
    **{f"conv_transpose{n}d": True for n in (1, 2, 3)},
    **dict.fromkeys(("convolution", "_convolution", "_convolution_mode", "conv_depthwise3d"), False),
    **dict.fromkeys(("_conv_depthwise2d", "thnn_conv2d", "slow_conv3d"), False),
    **dict.fromkeys(("cudnn_convolution", "mkldnn_convolution", "miopen_convolution"), False),
}  # fmt: skip


_DEFORMABLE = ("torchvision", "deform_conv2d")


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Data:
    """A value that depends on an input of the network, at the end of a path of `depth` operations."""

    depth: int = 0


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Leaf:
    """A stored array: a parameter, a buffer or a constant, by its name."""

    name: str
    is_constant: bool = False


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Step:
    """An operation on stored arrays alone, with its arguments by name; `output` is which result."""

    op: str
    args: dict[str, Any]
    output: int = 0


Term = Data | Leaf | Step


class Convolution(NamedTuple):
    """One convolution: the term of its weight, and what its arguments say of it.

    `operator` is set for one of another library, of whose arguments any may be its weight.
    """

    weight: Term
    transposed: bool
    groups: int | None
    depth: int
    shape: tuple[int, ...]
    dtype: object
    operator: str = ""


class _Node(NamedTuple):
    op: str
    args: dict[str, Any]
    outputs: list[str]


def convolutions(program: dict[str, Any]) -> list[Convolution]:
    """The convolutions of a program as they run. Raises CheckpointError if it has no graph."""
    try:
        module = program["graph_module"]
        terms = _signature(module["signature"]["input_specs"])
        return list(_Walk().graph(module["graph"], terms, 0))
    except (KeyError, TypeError, AttributeError, ValueError, IndexError) as error:
        reason = f"no graph of an exported program ({type(error).__name__}: {str(error)[:80]})"
        raise CheckpointError(reason) from error


def leaf_names(term: Term) -> Iterator[Leaf]:
    """The stored arrays below a term, each as often as a path leads to it once terms are entered once."""
    pending, visited = [term], set()
    while pending:
        term = pending.pop()
        if isinstance(term, Leaf):
            yield term
        elif isinstance(term, Step) and id(term) not in visited:
            visited.add(id(term))
            pending.extend(reversed([part for arg in term.args.values() for part in _terms(arg)]))


def _terms(arg: Any) -> list[Term]:
    parts = arg if isinstance(arg, list) else [arg]
    return [part for part in parts if isinstance(part, Data | Leaf | Step)]


def _signature(specs: list[Any]) -> dict[str, Term]:
    terms: dict[str, Term] = {}
    for spec in specs:
        (kind, value), *_ = spec.items()
        arg = value.get("arg") or {}
        name = str(arg.get("name") or (arg.get("as_tensor") or {}).get("name") or "")
        if kind in ("parameter", "buffer"):
            terms[name] = Leaf(value[f"{kind}_name"])
        elif kind == "tensor_constant":
            terms[name] = Leaf(value["tensor_constant_name"], is_constant=True)
        else:
            terms[name] = Data()
    return terms


class _Walk:
    """The passage through a graph and those inside it, within bounds."""

    def __init__(self) -> None:
        self.nodes = 0

    def graph(
        self, graph: dict[str, Any], terms: dict[str, Term], level: int
    ) -> Iterator[Convolution]:
        if level > MAX_NESTING:
            raise CheckpointError(f"more than {MAX_NESTING} graphs inside each other")
        for raw in graph["nodes"]:
            self.nodes += 1
            if self.nodes > MAX_NODES:
                raise CheckpointError(f"more than {MAX_NODES:,} operations")
            node = _node(raw, terms)
            depth = _depth(node)
            yield from self._inside(node, raw, level)
            yield from _convolutions(node, raw, graph, depth)
            for index, name in enumerate(node.outputs):
                terms[name] = Step(node.op, node.args, index) if depth < 0 else Data(depth + 1)

    def _inside(self, node: _Node, raw: dict[str, Any], level: int) -> Iterator[Convolution]:
        """The convolutions of the graphs that an operator runs, whose inputs are its last operands."""
        operands = [term for arg in node.args.values() for term in _terms(arg)]
        for graph in _graphs(raw):
            names = [_tensor(value) for value in graph["inputs"]]
            is_call = node.op.rpartition(".")[2] in _CALLS and len(names) <= len(operands)
            last = operands[len(operands) - len(names) :] if is_call else [Data()] * len(names)
            inner = {name: term for name, term in zip(names, last, strict=True) if name}
            yield from self.graph(graph, inner, level + 1)


def _node(raw: dict[str, Any], terms: dict[str, Term]) -> _Node:
    args = {
        value["name"] or str(i): _bound(value["arg"], terms)
        for i, value in enumerate(raw["inputs"])
    }
    outputs = [name for value in raw["outputs"] for name in _output_names(value)]
    return _Node(raw["target"], args, outputs)


def _bound(arg: dict[str, Any], terms: dict[str, Term]) -> Any:
    """The value of an argument: a term, a list of terms, or a plain value; a graph is None."""
    (kind, value), *_ = arg.items()
    if kind == "as_tensor":
        return terms.get(value["name"], Data())
    if kind in ("as_tensors", "as_nested_tensors"):
        return [terms.get(part["name"], Data()) for part in value]
    if kind in ("as_optional_tensor", "as_optional_tensors"):
        parts = value if isinstance(value, list) else [value]
        bound = [_bound(part, terms) if isinstance(part, dict) else None for part in parts]
        return bound if isinstance(value, list) else bound[0]
    if kind.startswith("as_sym") or kind in ("as_custom_obj", "as_operator"):
        return Data()
    return None if kind in ("as_none", "as_graph") else value


def _output_names(value: dict[str, Any]) -> list[str]:
    inner = next(iter(value.values()))
    parts = inner if isinstance(inner, list) else [inner]
    return [
        part.get("name") or part.get("as_name") or "" for part in parts if isinstance(part, dict)
    ]


def _tensor(value: dict[str, Any]) -> str:
    return (value.get("as_tensor") or {}).get("name") or ""


def _graphs(raw: dict[str, Any]) -> list[dict[str, Any]]:
    args = (value["arg"] for value in raw["inputs"])
    return [arg["as_graph"]["graph"] for arg in args if "as_graph" in arg]


def _depth(node: _Node) -> int:
    """The longest path to a node from an input of the network; -1 where none leads to it."""
    terms = (term for arg in node.args.values() for term in _terms(arg))
    return max((term.depth for term in terms if isinstance(term, Data)), default=-1)


def _convolutions(
    node: _Node, raw: dict[str, Any], graph: dict[str, Any], depth: int
) -> Iterator[Convolution]:
    library, _, op = node.op.removeprefix("torch.ops.").partition(".")
    op, weight = op.partition(".")[0], node.args.get("weight")
    is_known = op in _CONVOLUTIONS if library == "aten" else (library, op) == _DEFORMABLE
    if is_known and isinstance(weight, Data | Leaf | Step):
        transposed = bool(node.args.get("transposed", _CONVOLUTIONS.get(op, False)))
        groups = node.args.get("groups", 1)
        meta = _meta(raw, graph)
        # A symbolic number of groups is not known before the program runs.
        number = groups if type(groups) is int and groups > 0 else None
        yield Convolution(
            weight, transposed, number, max(depth, 0), _shape(meta), meta.get("dtype")
        )
    elif "conv" in op and not op.endswith("backward") and depth >= 0:
        for term in (term for arg in node.args.values() for term in _terms(arg)):
            if not isinstance(term, Data):
                yield Convolution(term, False, None, depth, (), None, f"{library}.{op}")


def _meta(raw: dict[str, Any], graph: dict[str, Any]) -> dict[str, Any]:
    """The record of the shape and dtype of the weight of a convolution."""
    weights = (value["arg"] for value in raw["inputs"] if value["name"] == "weight")
    meta = graph.get("tensor_values", {}).get(next(weights)["as_tensor"]["name"])
    return meta if isinstance(meta, dict) else {}


def _shape(meta: dict[str, Any]) -> tuple[int, ...]:
    sizes = [size.get("as_int") for size in meta.get("sizes", [])]
    return tuple(size for size in sizes if type(size) is int and 0 <= size < 1 << 48)
