"""Whatever hands keywords on says which: mypy checks each call, and `help` names every one."""

from __future__ import annotations

import ast
import inspect
import pydoc
from collections.abc import Callable, Iterator, Mapping
from inspect import Parameter
from itertools import pairwise
from typing import Any, get_args, get_origin

import pytest
from typing_extensions import Required, get_type_hints

import caffe_layers
from caffe_layers import LAYERS, Layer
from caffe_layers.base.fields import is_declared
from converter.sknet.model import PlainSKNet
from converter.sknet.networks import SKNet
from prototxt.nets import resnext
from prototxt.nets.definition import Definition
from prototxt.nets.networks import NETWORKS
from tests.support.paths import ROOT

PACKAGES = ("caffe_layers", "converter", "prototxt")
FILES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield a module's functions and its classes' methods, not what is inside a function."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node
        else:
            yield from functions(node)


def names_in(annotation: ast.expr | None) -> set[str]:
    nodes = [] if annotation is None else ast.walk(annotation)
    return {node.id for node in nodes if isinstance(node, ast.Name)}


def test_nothing_takes_just_any_keywords() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{rest.lineno}: {function.name}(**{rest.arg})"
        for path in FILES
        for function in functions(ast.parse(path.read_text(encoding="utf-8")))
        if (rest := function.args.kwarg) is not None
        and (rest.annotation is None or "Any" in names_in(rest.annotation))
    ]
    assert found == []


CLASSES = [cls for readings in LAYERS.values() for cls in readings.values()]


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: f"{cls.fork}-{cls.__name__}")
def test_a_layers_signature_names_all_that_it_takes(cls: type[Layer]) -> None:
    for parameter in inspect.signature(cls).parameters.values():
        assert parameter.kind is not Parameter.VAR_KEYWORD
        assert parameter.annotation is not Parameter.empty


def test_help_shows_them_with_types_and_defaults() -> None:
    said = pydoc.render_doc(caffe_layers.TernaryInnerProduct, renderer=pydoc.plaintext)
    assert (
        "TernaryInnerProduct(inputs: 'int', num_output: 'int', *, bias_term: 'bool' = True, "
        "weight_filler: 'Filler' = Filler(), bias_filler: 'Filler' = Filler(), axis: 'int' = 1, "
        "transpose: 'bool' = False)"
    ) in said


def test_a_layer_itself_has_its_passes_signature() -> None:
    assert "negative_slope" not in inspect.signature(caffe_layers.ReLU()).parameters


class Handed:
    """What a function with `**options` takes beside them, and what their TypedDict says."""

    def __init__(self, function: Callable[..., Any]) -> None:
        *own, rest = inspect.signature(function).parameters.values()
        (kind,) = get_args(get_type_hints(function)[rest.name])
        hints = get_type_hints(kind, include_extras=True)
        self.own = {one.name for one in own}
        self.types = get_type_hints(kind)
        self.required = {name for name, hint in hints.items() if get_origin(hint) is Required}


def keywords_of(function: Callable[..., Any]) -> tuple[dict[str, Any], set[str]]:
    """Return the types of a function's keywords, and which have no default."""
    hints = get_type_hints(function)
    parameters = inspect.signature(function).parameters.values()
    own = [one for one in parameters if one.kind is Parameter.KEYWORD_ONLY]
    types = {one.name: hints[one.name] for one in own}
    required = {one.name for one in own if one.default is Parameter.empty}
    for one in parameters:
        if one.kind is Parameter.VAR_KEYWORD:
            more = Handed(function)
            types, required = types | more.types, required | more.required
    return types, required


def hands_on(function: Callable[..., Any]) -> bool:
    return any(
        one.kind is Parameter.VAR_KEYWORD and is_declared(one)
        for one in inspect.signature(function).parameters.values()
    )


def handing() -> Iterator[tuple[Callable[..., Any], Callable[..., Any]]]:
    """Yield what hands keywords on, and to what."""
    seen: set[type] = set()
    for cls in CLASSES:
        chain = [base for base in cls.__mro__ if "__init__" in vars(base)]
        for base, after in pairwise(chain):
            if base not in seen and issubclass(base, Layer) and hands_on(vars(base)["__init__"]):
                seen.add(base)
                yield vars(base)["__init__"], vars(after)["__init__"]
    yield resnext.conv_bn, Definition.convolution
    yield SKNet.__init__, PlainSKNet.__init__


PAIRS = [pytest.param(*pair, id=f"{pair[0].__qualname__}") for pair in handing()]


def test_there_are_such() -> None:
    names = {case.id for case in PAIRS}
    assert len(names) > 30
    assert names > {"Convolution.__init__", "CConvolution.__init__", "_Twice.__init__"}


@pytest.mark.parametrize(("function", "taker"), PAIRS)
def test_what_is_handed_on_is_what_is_taken(
    function: Callable[..., Any], taker: Callable[..., Any]
) -> None:
    handed = Handed(function)
    types, required = keywords_of(taker)
    assert handed.types == {name: types[name] for name in types if name not in handed.own}
    assert handed.required == required - handed.own


NAMED = [name for name, network in NETWORKS.items() if network.build is not network.family]


@pytest.mark.parametrize("name", NAMED)
def test_a_networks_options_are_its_familys(name: str) -> None:
    network = NETWORKS[name]
    hints: Mapping[str, Any] = get_type_hints(network.family)
    assert Handed(network.build).types == {option: hints[option] for option in network.options}
