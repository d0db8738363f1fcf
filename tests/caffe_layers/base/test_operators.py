"""The typed operators are onnx's: every one, with its attributes."""

from __future__ import annotations

import inspect
import typing

import pytest
from onnx import defs

from caffe_layers.base import operators
from caffe_layers.base.op import Op
from caffe_layers.base.operators import Operators
from converter.onnx.builder import Builder
from converter.onnx.options import OLDEST_OPSET

NEWEST = 28
"""The opset of the newest onnx that the types were compared with."""
TYPES = typing.get_type_hints(Operators, vars(operators))


def schemas(name: str) -> list[defs.OpSchema]:
    newest = min(defs.onnx_opset_version(), NEWEST)
    found = []
    for opset in range(OLDEST_OPSET, newest + 1):
        try:
            schema = defs.get_schema(name, opset, "")
        except defs.SchemaError:
            continue
        if not schema.deprecated:
            found.append(schema)
    return found


NAMES = sorted(
    {schema.name for schema in defs.get_all_schemas_with_history() if schema.domain == ""}
)
NAMES = [name for name in NAMES if schemas(name)]


def test_the_layers_interface_is_the_builders() -> None:
    own = {name for name in vars(Op) if not name.startswith("_")}
    assert own
    assert {name for name in own if not hasattr(Builder, name)} == set()


@pytest.mark.parametrize("name", NAMES)
def test_every_operator_is_typed(name: str) -> None:
    if name == "Scan":  # `Op.scan` writes it
        return
    method = getattr(Operators, name, None) or TYPES[name].__call__
    parameters = inspect.signature(method).parameters.values()
    if any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters):
        return
    inputs = [one for one in parameters if one.kind is inspect.Parameter.POSITIONAL_ONLY][1:]
    variadic = any(one.kind is inspect.Parameter.VAR_POSITIONAL for one in parameters)
    words = {one.name for one in parameters if one.kind is inspect.Parameter.KEYWORD_ONLY}
    for schema in schemas(name):
        assert variadic or schema.max_input <= len(inputs), schema.since_version
        attributes = {attribute for each in schemas(name) for attribute in each.attributes}
        # The reductions share one signature; of some the axes were an attribute, of all an input.
        shared = {"axes"} if name.startswith("Reduce") else set()
        assert words <= attributes | shared | {"name", "outputs"}
