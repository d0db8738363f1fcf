"""A complete schema in protobuf's own form, which message classes are made from."""

from __future__ import annotations

import struct
from typing import Any

from google.protobuf import descriptor_pb2

from prototxt.errors import FormatError

from .definitions import Field, Message

_SCALARS = {
    name.removeprefix("TYPE_").lower(): number
    for name, number in descriptor_pb2.FieldDescriptorProto.Type.items()
    if name not in ("TYPE_MESSAGE", "TYPE_ENUM", "TYPE_GROUP")
}


def to_file(schema: Message, name: str) -> descriptor_pb2.FileDescriptorProto:
    """Return protobuf's own form of a complete schema; an unknown type is a FormatError."""
    file = descriptor_pb2.FileDescriptorProto(name=name, package="caffe", syntax="proto2")
    _fill(schema, file.message_type, file.enum_type, [schema], ".caffe")
    return file


def _fill(scope: Message, messages: Any, enums: Any, scopes: list[Message], path: str) -> None:
    for enum in scope.enums.values():
        proto = enums.add(name=enum.name)
        for value, number in enum.values.items():
            proto.value.add(name=value, number=number)
    for message in scope.messages.values():
        proto = messages.add(name=message.name)
        inner = [*scopes, message]
        _fill(message, proto.nested_type, proto.enum_type, inner, f"{path}.{message.name}")
        for read in message.fields:
            ours = proto.field.add(name=read.name, number=read.number, label=read.label)
            if read.type in _SCALARS:
                ours.type = _SCALARS[read.type]
            else:
                ours.type, ours.type_name = _resolve(read, inner)
            if read.default is not None:
                ours.default_value = _default(read)
            if read.packed:
                ours.options.packed = True


def _default(field: Field) -> str:
    """Return a default as written, a float's as its float32: pure Python would keep the double."""
    text = field.default or ""
    if field.type != "float":
        return text
    try:
        return repr(struct.unpack("<f", struct.pack("<f", float(text)))[0])
    except ValueError:
        raise FormatError(f"{field.place}: field {field.name} has the default {text}") from None


def _resolve(field: Field, scopes: list[Message]) -> tuple[int, str]:
    """Find the message or enum that a field's type names: from its own message outwards."""
    first, *rest = field.type.removeprefix(".caffe.").removeprefix("caffe.").split(".")
    for depth in range(len(scopes), 0, -1):
        found, path = scopes[depth - 1], [scope.name for scope in scopes[1:depth]]
        for name in [first, *rest]:
            path.append(name)
            if name in found.enums and len(path) == depth + len(rest):
                return descriptor_pb2.FieldDescriptorProto.TYPE_ENUM, ".caffe." + ".".join(path)
            if name not in found.messages:
                break
            found = found.messages[name]
        else:
            return descriptor_pb2.FieldDescriptorProto.TYPE_MESSAGE, ".caffe." + ".".join(path)
    raise FormatError(f"{field.place}: field {field.name} has the unknown type {field.type}")
