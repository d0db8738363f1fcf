"""A loaded network as Python source that needs torch alone."""

from __future__ import annotations

import ast
import inspect
import keyword
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from caffe_layers import Shape
from converter.network.blocks import make_blocks, make_boxes
from converter.network.net import CaffeNet
from converter.network.steps import Step
from prototxt.errors import UnsupportedError, within

WIDTH = 100
RESERVED = frozenset({"self", "torch", "nn", "F", "Tensor", *keyword.kwlist})
ATTRIBUTES = frozenset(dir(nn.Module())) | RESERVED
NAMESPACE = {"torch": torch, "nn": nn, "F": nn.functional}


class Names:
    """Identifiers for Caffe's names, each its own."""

    def __init__(self, taken: Collection[str]) -> None:
        self._taken = set(taken)
        self._names: dict[str, str] = {}

    def __getitem__(self, name: str) -> str:
        if name not in self._names:
            first = made = identifier(name)
            number = 2
            while made in self._taken:
                made, number = f"{first}_{number}", number + 1
            self._taken.add(made)
            self._names[name] = made
        return self._names[name]


def identifier(name: str) -> str:
    """Return a name with all that no Python name has made `_`."""
    made = re.sub(r"\W+", "_", unicodedata.normalize("NFKC", name)).strip("_")
    return made if made.isidentifier() else f"n{made}"


@dataclass
class Statement:
    """`variables = expression`, made by a step; `reads` are the values in the expression."""

    step: Step
    variables: list[str]
    expression: str
    reads: tuple[str, ...]
    makes: tuple[str, ...]


@dataclass(frozen=True)
class Written:
    """The lines of `__init__` and of `forward`; the inputs' shapes and the outputs' names."""

    declared: list[str]
    forward: list[str]
    inputs: dict[str, Shape]
    outputs: list[str]


class Source:
    """The source of a network under construction; its layers' `python` slots write through it.

    `shapes` are those of the bottoms of the layer that is being written.
    """

    def __init__(self, net: CaffeNet) -> None:
        self.declared: list[str] = []
        self.tensors: dict[str, Tensor] = {}
        self.shapes: tuple[Shape, ...] = ()
        self._attributes = Names(ATTRIBUTES)
        self._variables = Names(RESERVED)
        self._layer = ""
        self._net = net

    def call(self, function: str, *args: object, **options: object) -> str:
        """Return a call; strings are expressions, and options of the function's default go."""
        defaults = _defaults(function)
        given = [*map(str, args)]
        for name, value in options.items():
            if isinstance(value, str) or name not in defaults or defaults[name] != value:
                given.append(f"{name}={value}")
        return f"{function}({', '.join(given)})"

    def sizes(self, numbers: Sequence[int]) -> int | tuple[int, ...]:
        """Return sizes of several axes as torch takes them: one number if they are equal."""
        return numbers[0] if len(set(numbers)) == 1 else tuple(numbers)

    def module(
        self, cls: str, *args: object, tensors: Mapping[str, Tensor | None], **options: object
    ) -> str:
        """Declare a torch module with its parameters and buffers; return its expression."""
        name = self._attributes[self._layer]
        self.declared.append(f"self.{name} = {self.call(cls, *args, **options)}")
        for key, tensor in tensors.items():
            if tensor is not None:
                self.tensors[f"{name}.{key}"] = tensor
        return f"self.{name}"

    def tensor(self, blob: str, tensor: Tensor) -> str:
        """Declare a parameter of the network's own; return its expression."""
        name = self._attributes[f"{self._layer}/{blob}"]
        shape = ", ".join(map(str, tensor.shape)) if tensor.dim() else "()"
        self.declared.append(f"self.{name} = nn.Parameter(torch.empty({shape}))")
        self.tensors[name] = tensor
        return f"self.{name}"

    def write(self, *, with_losses: bool = False) -> Written:
        """Return the source of what an exported model computes.

        Raises UnsupportedError, naming the layer, for what it cannot say.
        """
        exported = self._net.exported(with_losses=with_losses)
        plan, inputs, shapes = exported.plan, exported.inputs, exported.shapes
        variables = {name: self._variables[name] for name in inputs}
        arguments = [variables[name] for name in inputs]
        statements = [self._state(step, variables, shapes) for step in plan.steps]
        statements = _nest([each for each in statements if each.variables], plan.outputs.values())
        outputs = [variables[value] for value in plan.outputs.values()]
        body = self._body(statements)
        if len(outputs) == 1:
            result = "Tensor"
            body.append(f"return {outputs[0]}")
        else:
            result = "dict[str, Tensor]"
            pairs = [f"{blob!r}: {name}" for blob, name in zip(plan.outputs, outputs, strict=True)]
            body += wrapped("return ", "{", pairs, "}")
        given = ["self", *(f"{name}: Tensor" for name in arguments)]
        head = [f"def forward({', '.join(given)}) -> {result}:"]
        if len(head[0]) > WIDTH - 4:
            head = wrapped("def forward", "(", given, f") -> {result}:")
        made = [line for text in self.declared for line in _declaration(text)]
        shown = {name: inputs[blob] for name, blob in zip(arguments, inputs, strict=True)}
        return Written(made, [*head, *indented(body)], shown, list(plan.outputs))

    def _body(self, statements: Sequence[Statement]) -> list[str]:
        """Return the statements' lines, each block of the network under its name."""
        titles = {
            step.key: block.title
            for block in make_blocks(make_boxes(self._net))
            for box in block.boxes
            for step in box.steps
        }
        lines: list[str] = []
        before = ""
        for each in statements:
            title = "".join(filter(str.isprintable, titles[each.step.key]))
            if title != before:
                lines += [*([""] if lines else []), *([f"# {title}"] if title else [])]
            before = title
            lines += _lines(each)
        return lines

    def _state(
        self, step: Step, variables: dict[str, str], shapes: Mapping[str, Shape]
    ) -> Statement:
        layer = self._net.layers[step.key]
        self._layer = step.key
        self.shapes = tuple(shapes[name] for name in step.bottoms)
        bottoms = [variables[name] for name in step.bottoms]
        with within(step.place):
            # A base's slot would not know what the class does otherwise.
            slot = type(layer).__dict__.get("python")
            if slot is None:
                raise UnsupportedError(
                    "no Python source of this type can be written",
                    fix="--format pt2 holds any network, as torch.export sees it",
                )
            expression = slot(layer, self, *bottoms)
        made = [self._variables[blob] for blob in step.blobs]
        variables.update(zip(step.tops, made, strict=True))
        return Statement(step, made, expression, step.bottoms, step.tops)


def _nest(statements: Sequence[Statement], outputs: Collection[str]) -> list[Statement]:
    """Return the statements with calls put into the next one, where nothing else reads them."""
    readers = Counter(name for each in statements for name in each.reads)
    readers.update(outputs)
    nested: list[Statement] = []
    for each in statements:
        last = nested[-1] if nested else None
        if last is not None and len(last.makes) == 1 and each.reads.count(last.makes[0]) == 1:
            whole = _put(each.expression, last.variables[0], last.expression)
            fits = whole and len(f"{', '.join(each.variables)} = {whole}") <= WIDTH - 8
            if fits and readers[last.makes[0]] == 1 and len(each.step.bottoms) == 1:
                nested.pop()
                reads = (*last.reads, *(name for name in each.reads if name != last.makes[0]))
                each = Statement(each.step, each.variables, whole, reads, each.makes)
        nested.append(each)
    return nested


def _put(expression: str, variable: str, inner: str) -> str:
    """Return the expression with another in the only place of a variable, or nothing."""
    nodes = list(ast.walk(ast.parse(expression, mode="eval")))
    places = [node for node in nodes if isinstance(node, ast.Name) and node.id == variable]
    if len(places) != 1:
        return ""
    data, (place,) = expression.encode(), places
    alone = any(isinstance(node, ast.Call) and place in node.args for node in nodes)
    body = ast.parse(inner, mode="eval").body
    if not isinstance(body, ast.Call) and (isinstance(body, ast.Tuple) or not alone):
        return ""  # an operator or a comma would bind otherwise
    return (data[: place.col_offset] + inner.encode() + data[place.end_col_offset :]).decode()


def _lines(statement: Statement) -> list[str]:
    """Return a statement in lines that fit."""
    target = ", ".join(statement.variables)
    line = f"{target} = {statement.expression}"
    body = ast.parse(statement.expression, mode="eval").body
    if len(line) <= WIDTH - 8 or not isinstance(body, ast.Call):
        return [line]
    return wrapped(f"{target} = ", *_call_parts(statement.expression, body))


def _declaration(text: str) -> list[str]:
    if len(text) <= WIDTH - 8:
        return [text]
    target, _, expression = text.partition(" = ")
    body = ast.parse(expression, mode="eval").body
    assert isinstance(body, ast.Call)
    return wrapped(f"{target} = ", *_call_parts(expression, body))


def _call_parts(expression: str, body: ast.Call) -> tuple[str, list[str], str]:
    function = ast.get_source_segment(expression, body.func)
    args = [ast.get_source_segment(expression, each) or "" for each in body.args]
    args += [
        f"{each.arg}={ast.get_source_segment(expression, each.value)}" for each in body.keywords
    ]
    return f"{function}(", args, ")"


def indented(lines: Sequence[str], by: int = 4) -> list[str]:
    """Return lines further to the right, empty ones as they are."""
    return [" " * by + line if line else "" for line in lines]


def wrapped(before: str, opening: str, parts: Sequence[str], closing: str) -> list[str]:
    """Return a bracket and what it holds: on one line inside it, or each part on its own."""
    line = "    " + ", ".join(parts)
    if len(line) <= WIDTH - 8:
        return [f"{before}{opening}", line, closing]
    return [f"{before}{opening}", *(f"    {part}," for part in parts), closing]


def _defaults(function: str) -> dict[str, Any]:
    """Return the defaults of a function of torch's, where it says them."""
    found: Any = NAMESPACE
    first, *rest = function.split(".")
    found = NAMESPACE.get(first)
    for part in rest:
        found = getattr(found, part, None)
    try:
        parameters = inspect.signature(found).parameters
    except (TypeError, ValueError):
        return {}
    return {name: parameter.default for name, parameter in parameters.items()}
