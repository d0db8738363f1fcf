"""Caffe's schema and its forks': one set of message classes for each dialect.

A dialect is BVLC's schema with one fork's file merged over it. Only `bvlc.proto` is read until a
layer asks for more. A user's own fragment joins with `add`.
"""

from __future__ import annotations

import copyreg
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.message import Message

from prototxt.errors import FormatError, UnsupportedError
from prototxt.schema import reader

_FOLDER = Path(__file__).parent
# Readings are tried in this order, others after: a fork before those that build upon it.
_ORDER = (
    ("bvlc", "sknet", "sknet_139", "genet", "ssd", "chuanqi", "refinedet", "rcnn", "rfcn")
    + ("deeplab", "pspnet", "segnet", "enet", "yolo", "mobile", "nvidia", "intel", "tsn")
    + ("flownet2", "openpose", "deformable", "happynear", "augmentation", "soeaver", "deeplab_v1")
    + ("ncnn", "x2paddle", "synopsys", "huawei")
)
_added: dict[str, Path] = {}


class Dialect:
    """The message classes of BVLC with one fork's changes, built when first asked for."""

    def __init__(self, name: str, path: Path) -> None:
        self.name = name
        self._path = path

    @cached_property
    def _fork(self) -> reader.Message:
        return _overlay(self._path)

    @cached_property
    def types(self) -> frozenset[str]:
        """The layer types that the dialect's own file claims."""
        layer = self._fork.messages.get("LayerParameter")
        return layer.types.union(*self.owners.values()) if layer else frozenset()

    @cached_property
    def owners(self) -> dict[str, frozenset[str]]:
        """The fields that belong to certain layer types alone."""
        layer = self._fork.messages.get("LayerParameter")
        return {field.name: field.types for field in layer.fields if field.types} if layer else {}

    def stray(self, layer_type: str, message: Any) -> str:
        """Name a field that a layer of this type cannot mean in this dialect, or give ""."""
        foreign = _foreign(self.name, layer_type)
        used: list[str] = [field.name for field, _ in message.ListFields()] if foreign else []
        return next((name for name in used if name in foreign), "")

    @cached_property
    def _pool(self) -> descriptor_pool.DescriptorPool:
        whole = self._fork
        if self.name != "bvlc":
            whole = whole.over(dialect("bvlc")._fork)
        pool = descriptor_pool.DescriptorPool()
        # The file's name is where `dialect_of` reads the dialect from.
        file = reader.to_file(whole, f"{self.name}.proto")
        try:
            pool.AddSerializedFile(file.SerializeToString())
            pool.FindFileByName(file.name)
        except (TypeError, ValueError, KeyError) as error:  # by protobuf's implementation
            raise FormatError(f"{self._path}: {error}") from None
        return pool

    def message(self, name: str) -> type[Message]:
        """Give the class of one message, as `LayerParameter`."""
        return _message_class(self._pool, f"caffe.{name}")


@cache
def _foreign(name: str, layer_type: str) -> frozenset[str]:
    """Name the fields of a dialect that are another type's, or this type's in another fork."""
    owners = dialect(name).owners
    foreign = {field for field, types in owners.items() if layer_type not in types}
    if layer_type in dialect(name).types and layer_type not in dialect("bvlc").types:
        for one in dialects():
            foreign |= {field for field, types in one.owners.items() if layer_type in types}
        foreign -= {field for field, types in owners.items() if layer_type in types}
    return frozenset(foreign)


@cache
def _message_class(pool: descriptor_pool.DescriptorPool, name: str) -> type[Message]:
    made = message_factory.GetMessageClass(pool.FindMessageTypeByName(name))
    copyreg.pickle(made, _reduce)  # pickle would look for the class by name, in a module
    return made


def _reduce(message: Message) -> tuple[Any, ...]:
    names = (dialect_of(message), message.DESCRIPTOR.name)
    return _restore, (*names, message.SerializePartialToString())


def _restore(fork: str, name: str, data: bytes) -> Message:
    return dialect(fork).message(name).FromString(data)


@cache
def _overlay(path: Path) -> reader.Message:
    """Read one fork's file, merged over the files that it imports."""
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError:
        raise FormatError(f"{path}: no text, wants a .proto schema") from None
    read = reader.read(text, str(path))
    base = reader.Message("")
    for name in read.imports:
        beside = path.parent / name
        base = _overlay(beside if beside.exists() else _FOLDER / name).over(base)
    return read.over(base)


@cache
def dialect(name: str) -> Dialect:
    """Find a dialect by its name; UnsupportedError lists the known ones."""
    paths = _paths()
    if name not in paths:
        raise UnsupportedError(f"dialect {name!r} is not known, wants one of {', '.join(paths)}")
    return Dialect(name, paths[name])


def dialects() -> list[Dialect]:
    """Give every dialect, BVLC's first, in the order in which readings are tried."""
    return [dialect(name) for name in _paths()]


@cache
def _paths() -> dict[str, Path]:
    shipped = {path.stem: path for path in sorted(_FOLDER.glob("*.proto"))}
    return {name: shipped[name] for name in _ORDER} | shipped | _added


def add(path: str | Path, name: str = "") -> Dialect:
    """Register a user's own schema fragment as one more dialect, named as its file's stem."""
    path = Path(path).resolve()
    name = name or path.stem
    if _paths().get(name, path) != path:
        message = f"{path}: a dialect named {name!r} is known already"
        raise FormatError(message, fix="rename the file")
    new = Dialect(name, path)
    new.types, new.message("LayerParameter")  # so that what is wrong is said now
    _added[name] = path
    _paths.cache_clear()
    _foreign.cache_clear()
    return dialect(name)


def dialect_of(message: Message) -> str:
    """Name the dialect whose class a message is of: "bvlc", "sknet", ..."""
    return str(message.DESCRIPTOR.file.name).removesuffix(".proto")


def candidates(layer_type: str, forced: str | None = None) -> list[Dialect]:
    """Give the dialects that may read a layer of this type, the likeliest first.

    A type that forks claim and BVLC lacks is read by those forks alone, so that a shared field
    name cannot mean another fork's message.
    """
    every = dialects()
    bvlc = every[0]
    if forced is not None:
        own = dialect(forced)
        if layer_type in own.types and layer_type not in bvlc.types:
            return [own]
        return list(dict.fromkeys([bvlc, own]))
    claiming = [one for one in every if layer_type in one.types]
    if claiming and bvlc not in claiming:
        return claiming
    return list(dict.fromkeys([bvlc, *claiming, *every]))
