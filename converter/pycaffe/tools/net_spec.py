"""caffe.net_spec: definitions written as Python.

Caffe: python/caffe/net_spec.py
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

Names = dict[Any, str]


def _pb2() -> Any:
    return import_module("caffe.proto.caffe_pb2")


@cache
def _param_names(layer_parameter: Any) -> dict[str, str]:
    """Map each kind of parameters, as Convolution, to its field's name without `_param`."""
    fields = layer_parameter.DESCRIPTOR.fields
    names: dict[str, str] = {}
    for field in fields:
        if field.name.endswith("_param") and field.message_type is not None:
            kind = field.message_type.name.removesuffix("Parameter")
            names.setdefault(kind, field.name.removesuffix("_param"))
    return names


def param_name_dict() -> dict[str, str]:
    """Map each kind of parameters, as Convolution, to its field's name without `_param`."""
    return dict(_param_names(_pb2().LayerParameter))


def to_proto(*tops: Top) -> Any:
    """Return the NetParameter of all layers that some tops depend on."""
    layers: OrderedDict[Function, Any] = OrderedDict()
    names: Names = {}
    counts: Counter[str] = Counter()
    for top in tops:
        top.fn._to_proto(layers, names, counts)
    return _net_of(layers)


def _net_of(layers: OrderedDict[Function, Any]) -> Any:
    net = _pb2().NetParameter()
    net.layer.extend(layers.values())
    return net


def assign_proto(proto: Any, name: str, value: Any) -> None:
    """Set a message's field: lists to repeated ones, dicts to messages."""
    field = getattr(proto, name)
    if hasattr(field, "extend") and not isinstance(value, (list, tuple)):
        value = [value]
    if isinstance(value, (list, tuple)):
        if value and isinstance(value[0], dict):
            for item in value:
                added = field.add()
                for key, inner in item.items():
                    assign_proto(added, key, inner)
        else:
            field.extend(value)
    elif isinstance(value, dict):
        for key, inner in value.items():
            assign_proto(field, key, inner)
    else:
        setattr(proto, name, value)


class Top:
    """One of a layer's tops, which other layers take as a bottom."""

    def __init__(self, fn: Function, n: int) -> None:
        self.fn, self.n = fn, n

    def to_proto(self) -> Any:
        """Return the NetParameter of all layers that this top depends on."""
        return to_proto(self)

    def _to_proto(self, layers: Any, names: Names, autonames: Counter[str]) -> None:
        self.fn._to_proto(layers, names, autonames)


class Function:
    """A layer to be: its type, its bottoms and its parameters.

    `ntop` of the parameters says how many tops it has, `in_place` that they are its bottoms, `name`
    what it is called. Raises TypeError for a bottom that is no Top.
    """

    def __init__(self, type_name: str, inputs: tuple[Any, ...], params: dict[str, Any]) -> None:
        for index, bottom in enumerate(inputs):
            if not isinstance(bottom, Top):
                raise TypeError(f"{type_name} input {index} is not a Top (type is {type(bottom)})")
        self.type_name, self.inputs = type_name, inputs
        self.params = dict(params)
        self.ntop: int = self.params.pop("ntop", 1)
        self.in_place: bool = self.params.pop("in_place", False)
        self.tops = tuple(Top(self, n) for n in range(self.ntop))

    def _get_name(self, names: Names, autonames: Counter[str]) -> str:
        if self not in names and self.ntop:
            names[self] = self._get_top_name(self.tops[0], names, autonames)
        elif self not in names:
            names[self] = self._next_name(autonames)
        return names[self]

    def _get_top_name(self, top: Top, names: Names, autonames: Counter[str]) -> str:
        if top not in names:
            names[top] = self._next_name(autonames)
        return names[top]

    def _next_name(self, autonames: Counter[str]) -> str:
        autonames[self.type_name] += 1
        return f"{self.type_name}{autonames[self.type_name]}"

    def _to_proto(self, layers: Any, names: Names, autonames: Counter[str]) -> None:
        if self in layers:
            return
        bottoms = []
        for bottom in self.inputs:
            bottom.fn._to_proto(layers, names, autonames)
            bottoms.append(layers[bottom.fn].top[bottom.n])
        layer = _pb2().LayerParameter()
        layer.type = self.type_name
        layer.bottom.extend(bottoms)
        if self.in_place:
            layer.top.extend(layer.bottom)
        else:
            layer.top.extend(self._get_top_name(top, names, autonames) for top in self.tops)
        layer.name = self._get_name(names, autonames)
        own = _param_names(_pb2().LayerParameter).get(self.type_name)
        for key, value in self.params.items():
            param = getattr(layer, f"{own}_param") if own else layer
            if key.endswith("param") or key not in param.DESCRIPTOR.fields_by_name:
                assign_proto(layer, key, value)
            else:
                assign_proto(param, key, value)
        layers[self] = layer


class NetSpec:
    """Layers by name, set as attributes or items: `n.conv1 = L.Convolution(n.data, ...)`."""

    tops: OrderedDict[str, Any]

    def __init__(self) -> None:
        super().__setattr__("tops", OrderedDict())

    def __setattr__(self, name: str, value: Any) -> None:
        self.tops[name] = value

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # copy and pickle ask before there are tops
            raise AttributeError(name)
        return self.tops[name]

    def __setitem__(self, key: str, value: Any) -> None:
        self.tops[key] = value

    def __getitem__(self, key: str) -> Any:
        return self.tops[key]

    def __delitem__(self, key: str) -> None:
        del self.tops[key]

    def keys(self) -> list[str]:
        """Return the names, in order."""
        return list(self.tops)

    def vals(self) -> list[Any]:
        """Return what the names stand for, in order."""
        return list(self.tops.values())

    def update(self, tops: dict[str, Any]) -> None:
        """Set several names."""
        self.tops.update(tops)

    def to_proto(self) -> Any:
        """Return the NetParameter of all layers."""
        names: Names = {top: name for name, top in self.tops.items()}
        layers: OrderedDict[Function, Any] = OrderedDict()
        counts: Counter[str] = Counter()
        for top in self.tops.values():
            top._to_proto(layers, names, counts)
        return _net_of(layers)


class Layers:
    """Makes layers by their types: `L.Convolution(bottom, num_output=10)`."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def layer(*bottoms: Any, **params: Any) -> Any:
            function = Function(name, bottoms, params)
            if function.ntop == 0:
                return function
            return function.tops[0] if function.ntop == 1 else function.tops

        return layer


class Parameters:
    """Finds enums' values: `P.Pooling.MAX`."""

    def __getattr__(self, name: str) -> Any:
        return getattr(_pb2(), f"{name}Parameter")


layers = Layers()
params = Parameters()
