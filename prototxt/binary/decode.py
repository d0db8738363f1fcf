"""Which dialect's message a binary layer is: told by its type, field numbers and wire types.

Forks gave the same numbers to other fields, so a number alone says nothing. A dialect reads a layer
if it knows the type and every field, with its wire type and a value that the field can have.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf import text_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message

from prototxt.errors import FormatError, UnsupportedError, within
from prototxt.schema import Dialect, Schema, dialect_of
from prototxt.schema.layer_types import type_of
from prototxt.schema.recognize import Recognized, certain, grouped, signs

from . import wire
from .blob import Shape

CONVOLUTIONS = ("Convolution", "Deconvolution")
PAIRS = ({"dilation_h", "dilation_w"}, {"hole_h", "hole_w"})
EXPORTER = "pytorch_to_caffe"
"""Whose `ceil_mode` has the number of BVLC's `round_mode`."""

_VARINTS = frozenset({"INT32", "INT64", "UINT32", "UINT64", "SINT32", "SINT64", "BOOL", "ENUM"})
_FIXED32 = frozenset({"FLOAT", "FIXED32", "SFIXED32"})
_FIXED64 = frozenset({"DOUBLE", "FIXED64", "SFIXED64"})
_TYPES = {
    getattr(FieldDescriptor, name): name.removeprefix("TYPE_")
    for name in dir(FieldDescriptor)
    if name.startswith("TYPE_")
}


@dataclass
class Part:
    """One message of a binary network without its blobs: its name, its bytes and its place.

    `type` is a V2 layer's; of a V1 layer each dialect says which one its number means. `blobs` are
    the shapes of its weights.
    """

    message: str
    type: str
    data: bytes
    place: str
    blobs: Sequence[Shape] = ()


def decode(
    parts: Sequence[Part],
    forced: str | None,
    markers: Mapping[str, frozenset[str]],
    schema: Schema,
) -> tuple[list[Any], list[Recognized]]:
    """Return the messages of a network's header and layers, and the dialects that they are of.

    `markers` are signs beside the messages and the dialects that leave them. FormatError for a
    damaged layer; UnsupportedError for one that two dialects read as different things, where
    nothing in the file tells which of them it is of.
    """
    fitting = [_fitting(part, schema.candidates(part.type, forced), schema) for part in parts]
    if not all(fitting):
        fitting = _fitting_further(parts, fitting, forced, schema)
    found = dict(markers)
    for messages in fitting:
        if not messages or "bvlc" in messages:
            continue
        names = frozenset(messages)
        for sign in signs(next(iter(messages.values())), schema):
            found[sign] = found.get(sign, names) & names or names
    groups = grouped(found, schema)
    likely = _ranked(groups, schema)
    chosen = []
    for part, messages in zip(parts, fitting, strict=True):
        with within(part.place):
            chosen.append(_chosen(part, messages, likely, forced, schema))
    return chosen, groups


def _ranked(groups: Sequence[Recognized], schema: Schema) -> list[str]:
    """Name the dialects that the file is of: the given ones, then that with the most signs."""
    names = [name for group in groups if len(group.names) == 1 for name in group.names]
    return list(dict.fromkeys([*schema.given, *names, *sorted(certain(groups, schema))]))


def _fitting(part: Part, dialects: Iterable[Dialect], schema: Schema) -> dict[str, Any]:
    """Return the message of each dialect that reads the whole part."""
    messages = {}
    for dialect in dialects:
        message_class = dialect.message(part.message)
        data = memoryview(part.data)
        if _reads(data, 0, len(data), message_class.DESCRIPTOR):
            message = _parse(message_class, part.data)
            if message is not None and _may_be(dialect, part, message, schema):
                messages[dialect.name] = message
    # Where one has a field of the type's own, what others have at its number is not meant.
    owning = {
        name: message for name, message in messages.items() if _owns(schema.dialect(name), message)
    }
    given = {name: message for name, message in messages.items() if name in schema.given}
    return given | owning if owning else messages


def _fitting_further(
    parts: Sequence[Part], fitting: Sequence[dict[str, Any]], forced: str | None, schema: Schema
) -> list[dict[str, Any]]:
    """Return the messages of the further dialects too, of those that read what the first do not."""
    names: set[str] = set()
    for part, messages in zip(parts, fitting, strict=True):
        if not messages:
            every = schema.further_candidates(part.type, forced)
            names |= _fitting(part, every, schema).keys()
    further = [schema.dialect(name) for name in schema.in_order(names)]
    return [
        messages | _fitting(part, further, schema)
        for part, messages in zip(parts, fitting, strict=True)
    ]


def _owns(dialect: Dialect, message: Any) -> bool:
    """Tell whether a field is set that belongs to the layer's type alone."""
    owners = dialect.owners
    used = [field.name for field, _ in message.ListFields() if field.name in owners]
    return bool(used) and any(type_of(message) in owners[one] for one in used)


def _may_be(dialect: Dialect, part: Part, message: Any, schema: Schema) -> bool:
    if part.message == "NetParameter":
        return True
    known = schema.dialect("bvlc").types
    layer_type = type_of(message)
    if schema.foreign_field(dialect.name, layer_type, message):
        return False
    if schema.is_further(dialect.name) and layer_type not in known | dialect.types:
        return False  # a number alone says nothing of a type that it does not claim
    if part.message == "V1LayerParameter" and layer_type == "Deconvolution" and not message.bottom:
        return False
    if layer_type not in CONVOLUTIONS:
        return True
    # A fork's dilations of H and W stand in pairs; yjxiong's windows are over H and W alone.
    given = {field.name for field, _ in message.convolution_param.ListFields()}
    paired = all(len(given & pair) != 1 for pair in PAIRS)
    flat = dialect.name != "tsn" or not part.blobs or len(part.blobs[0]) == 4
    return paired and flat and not {"hole", "hole_h"} <= given


def _chosen(
    part: Part,
    fitting: dict[str, Any],
    likely: Sequence[str],
    forced: str | None,
    schema: Schema,
) -> Any:
    names = likely if forced is None else [forced]
    own = next((fitting[name] for name in names if name in fitting), None)
    for name in schema.given if forced is None else ():
        if name in fitting and not _same(own, fitting[name]):
            _refuse(own, fitting[name])
    if not fitting:
        others = _fitting(part, schema.candidates(part.type), schema) if forced is not None else {}
        if forced is not None and others:
            _refuse_named(forced, next(iter(others.values())))
        return _likeliest(part, likely, forced, schema)
    if "bvlc" in fitting:
        # BVLC's reading, unless the file is of a dialect that reads something else there.
        plain = fitting["bvlc"]
        if own is not None and (_own(own) != _own(plain) or _beyond(own, schema)):
            return own
        if forced is None and own is None and part.type:
            _refuse_doubt(part, plain, fitting, schema)
        return plain
    if own is not None:
        return own
    first = next(iter(fitting.values()))
    for other in list(fitting.values())[1:]:
        if not _same(first, other):
            _refuse(first, other)
    return first


def _beyond(message: Any, schema: Schema) -> bool:
    return next(schema.extra_fields(message, neutral=True), None) is not None


def _refuse_doubt(part: Part, plain: Any, fitting: Mapping[str, Any], schema: Schema) -> None:
    """Refuse what BVLC and a fork read as different things, both of which may be meant.

    Pooling's field 13 is Intel's `avg_include_pad` or BVLC's `round_mode`; at its default it
    matters where padding is averaged. PytorchToCaffe writes its `ceil_mode` there, whose false is
    BVLC's CEIL, for every pooling: it matters where there is a stride. A convolution's field 16 is
    yjxiong's dilation, or an axis of a bottom that has more axes than the file tells. A loss's
    field 3 says the same in each fork as long as the fork's own further fields are not set.
    """
    pooling, convolution = plain.pooling_param, plain.convolution_param
    if part.type == "Pooling" and "intel" in fitting and pooling.HasField("round_mode"):
        padded = pooling.pad or pooling.pad_h or pooling.pad_w
        strided = max(pooling.stride, pooling.stride_h, pooling.stride_w) > 1
        exported = _fitting(part, [schema.dialect(EXPORTER)], schema).values() if strided else ()
        if pooling.round_mode or (padded and pooling.pool == pooling.AVE):
            _refuse(plain, fitting["intel"], *exported)
        if strided:
            _refuse(plain, *exported)
    dilated = convolution.axis > 1 or (convolution.force_nd_im2col and convolution.dilation)
    if part.type in CONVOLUTIONS and "tsn" in fitting and dilated:
        _refuse(plain, fitting["tsn"])


def _refuse(*messages: Any) -> None:
    each = [f"{dialect_of(message)} reads {_said(message)}" for message in messages]
    raise UnsupportedError(
        f"its bytes are of one dialect or of another: {', '.join(each)}",
        fix="name the file's dialect with --dialect",
    )


def _refuse_named(forced: str, other: Any) -> None:
    """Refuse a named dialect that would leave out what another one reads."""
    raise UnsupportedError(
        f"{forced} has not all its fields: {dialect_of(other)} reads {_said(other)}",
        fix="name another dialect with --dialect, or none",
    )


def _said(message: Any) -> str:
    """Say what a dialect reads: of a layer its type and parameters, of a network all."""
    layer_type = _layer_type(message)
    if not layer_type:
        return text_format.MessageToString(message, as_one_line=True)
    own = [
        f"{field.name} {{ {text_format.MessageToString(value, as_one_line=True)} }}"
        for field, value in message.ListFields()
        if isinstance(value, Message)
    ]
    return " ".join([layer_type, *own])


def _same(one: Any, other: Any) -> bool:
    """Tell whether two dialects' messages say the same, the parameters' own name set aside."""
    return _layer_type(one) == _layer_type(other) and _own(one) == _own(other)


def _layer_type(message: Any) -> str:
    return type_of(message) if "LayerParameter" in message.DESCRIPTOR.name else ""


def _own(message: Any) -> list[str]:
    """Return what each field says, in the order of the numbers, which two readings share."""
    return [
        text_format.MessageToString(value)
        if isinstance(value, Message)
        else f"{field.name} {value}"
        for field, value in message.ListFields()
    ]


def _likeliest(part: Part, likely: Collection[str], forced: str | None, schema: Schema) -> Any:
    """Parse what no dialect reads whole by the first that can; unknown fields stay in it."""
    candidates = list(schema.candidates(part.type, forced))
    for dialect in sorted(candidates, key=lambda one: one.name not in likely):
        if (message := _parse(dialect.message(part.message), part.data)) is not None:
            return message
    raise FormatError(
        f"its parameters are damaged: no dialect's {part.message} can be read from them"
    )


def _parse(message_class: type[Message], data: bytes) -> Any:
    message: Any = message_class()
    try:
        message.ParseFromString(data)
    except (DecodeError, UnicodeDecodeError):
        return None
    return message if message.IsInitialized() and _is_utf8(message) else None


def _is_utf8(message: Any) -> bool:
    """Tell whether every string is text; some of protobuf's parsers let others pass as bytes."""
    for described, value in message.ListFields():
        if described.type in (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_MESSAGE):
            single = isinstance(value, (str, bytes, Message))
            for inner in [value] if single else value:
                if isinstance(inner, bytes):
                    return False
                if isinstance(inner, Message) and not _is_utf8(inner):
                    return False
    return True


def _reads(data: memoryview, start: int, end: int, descriptor: Any) -> bool:
    """Tell whether a message has every field between two offsets, with its wire type and value."""
    known = descriptor.fields_by_number
    try:
        return all(
            field.number in known and _holds(data, field, known[field.number])
            for field in wire.fields(data, start, end)
        )
    except FormatError:
        return False


def _holds(data: memoryview, field: wire.Field, described: Any) -> bool:
    name = _TYPES[described.type]
    if field.wire_type == wire.BYTES and name == "MESSAGE":
        return _reads(data, field.value, field.end, described.message_type)
    if field.wire_type == wire.BYTES and name in ("STRING", "BYTES"):
        return name == "BYTES" or _is_text(bytes(data[field.value : field.end]))
    if field.wire_type == wire.BYTES:
        return bool(described.GetOptions().packed) and all(
            _admits(described, name, value) for value in _packed(data, field, name)
        )
    if field.wire_type == wire.VARINT:
        return name in _VARINTS and _admits(described, name, field.value)
    return name in (_FIXED32 if field.wire_type == wire.FIXED32 else _FIXED64)


def _packed(data: memoryview, field: wire.Field, name: str) -> Iterator[int]:
    """Yield the varints of a packed field; numbers of fixed size can be any."""
    at = field.value
    while name in _VARINTS and at < field.end:
        value, at = wire.varint(data, at, field.end)
        yield value
    size = 4 if name in _FIXED32 else 8 if name in _FIXED64 else 1
    if (field.end - field.value) % size:
        raise FormatError(f"byte {field.start}: a packed field's size is no multiple of {size}")


def _admits(described: Any, name: str, value: int) -> bool:
    """Tell whether a field can have a varint's value."""
    if name == "BOOL":
        return value < 2
    if name == "ENUM":
        return wire.signed(value) in described.enum_type.values_by_number
    if name == "UINT32":
        return value < 1 << 32
    return name != "INT32" or -(1 << 31) <= wire.signed(value) < 1 << 31


def _is_text(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
