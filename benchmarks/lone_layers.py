"""Networks of one layer of any type, its fields at random values."""

from __future__ import annotations

from random import Random
from typing import Any

from caffe_layers.base.layer import DEFAULT, Layer
from prototxt.schema import SHIPPED

_NUMBERS = ("0", "1", "2", "3", "4", "5", "7", "8", "16", "21", "300")
_SHARES = ("0", "0.1", "0.5", "1", "2", "-1")
_WHOLE_EXTREMES = ("-1", "-2147483648", "2147483647", "65536", "4294967295", "-7")
_FLOAT_EXTREMES = ("-1", "1e-38", "1e38", "-1e38", "nan", "inf", "-inf", "0", "1e9")
_SHAPES = (
    *("1 dim: 3 dim: 16 dim: 16", "2 dim: 3 dim: 8 dim: 9", "1 dim: 4 dim: 5 dim: 6", "3 dim: 5"),
    *("1 dim: 84 dim: 7 dim: 7", "1 dim: 36 dim: 14 dim: 14", "1 dim: 18 dim: 14 dim: 14"),
    *("1 dim: 3", "5 dim: 5", "1", "7", "2 dim: 1 dim: 1 dim: 1", "2 dim: 3 dim: 4 dim: 5 dim: 6"),
    *("1 dim: 2 dim: 96", "1 dim: 21 dim: 1 dim: 1", "4 dim: 2 dim: 3", "1 dim: 3 dim: 1 dim: 1"),
    *("1 dim: 1 dim: 2147483647", "1 dim: 2147483647 dim: 3 dim: 3", "100000 dim: 100000"),
)
"""Of bottoms, without the first `dim:`."""


def lone_layer(random: Random) -> str:
    """Return a network of inputs and one layer."""
    kind = random.choice(sorted(DEFAULT.layers))
    cls = random.choice(list(DEFAULT.layers[kind].values()))
    bottoms = random.choice((cls.bottoms.least,) * 5 + (cls.bottoms.least + 1,))
    tops = random.choice((cls.tops.least,) * 5 + (cls.tops.least + 1,))
    shape = random.choice(_SHAPES)
    shapes = [shape if random.random() < 0.6 else random.choice(_SHAPES) for _ in range(bottoms)]
    inputs = "".join(
        f'layer {{ name: "in{n}" type: "Input" top: "b{n}" '
        f"input_param {{ shape {{ dim: {shape} }} }} }}\n"
        for n, shape in enumerate(shapes)
    )
    words = [*(f'bottom: "b{n}"' for n in range(bottoms)), *(f'top: "t{n}"' for n in range(tops))]
    phase = random.choice(("", "", "", "phase: TRAIN"))
    return (
        f'{inputs}layer {{ name: "L" type: "{kind}" {phase} {" ".join(words)}\n'
        f"{_parameters(cls, random)}}}\n"
    )


def _parameters(cls: type[Layer], random: Random) -> str:
    """Return the field that has a class's parameters, in the reading of its own fork."""
    name = cls.param
    descriptor = _descriptor(cls, name)
    if descriptor is None:
        return ""
    extreme = random.randrange(4)  # of so many fields, on average
    return f"{name} {{\n{_fields(descriptor, random, extreme, 0)}}}\n"


def _descriptor(cls: type[Layer], name: str) -> Any:
    for fork in (cls.fork, "bvlc"):
        if not SHIPPED.is_known(fork):
            continue
        layer = SHIPPED.dialect(fork).message("LayerParameter").DESCRIPTOR
        if name in layer.fields_by_name:
            return layer.fields_by_name[name].message_type
    return None


def _fields(descriptor: Any, random: Random, extreme: int, depth: int) -> str:
    """Return some fields of a message with values, `extreme` of them at an extreme."""
    fields = list(descriptor.fields)
    odds = extreme / max(len(fields), 1)
    words = []
    for field in fields:
        if random.random() < 0.45 and not field.is_required:
            continue
        for _ in range(random.choice((1, 1, 1, 2)) if field.is_repeated else 1):
            if field.message_type is not None:
                if depth < 3:
                    inner = _fields(field.message_type, random, extreme, depth + 1)
                    words.append(f"{field.name} {{ {inner} }}\n")
            else:
                words.append(f"{field.name}: {_value(field, random, random.random() < odds)}\n")
    return "".join(words)


def _value(field: Any, random: Random, extreme: bool) -> str:
    if field.enum_type is not None:
        return random.choice([value.name for value in field.enum_type.values])
    if field.type == field.TYPE_BOOL:
        return random.choice(("true", "false"))
    if field.type in (field.TYPE_STRING, field.TYPE_BYTES):
        return random.choice(('"x"', '""', '"constant"', '"xavier"', '"1"', '"/nowhere/file"'))
    if field.type in (field.TYPE_FLOAT, field.TYPE_DOUBLE):
        return random.choice(_FLOAT_EXTREMES if extreme else _SHARES)
    if not extreme:
        return random.choice(_NUMBERS)
    value = random.choice(_WHOLE_EXTREMES)
    unsigned = field.type in (field.TYPE_UINT32, field.TYPE_UINT64)
    return value.lstrip("-") if unsigned else value if value != "4294967295" else "2147483647"
