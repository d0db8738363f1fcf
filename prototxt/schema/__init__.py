"""Caffe's schema and its forks': one set of message classes for each dialect.

A dialect is BVLC's schema with one fork's file merged over it. Only `bvlc.proto` is read until a
layer asks for more. A user's own fragment joins with `add`. What several forks have alike and none
of them began stands in `shared/`, which they import.
"""

from __future__ import annotations

import copyreg
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pool, message_factory, text_format
from google.protobuf.message import Message

from prototxt.errors import FormatError, UnsupportedError

from . import reader
from .layer_types import type_of

_FOLDER = Path(__file__).parent
# Readings are tried in this order, others after: a fork before those that build upon it.
_ORDER = (
    *("bvlc", "sknet", "sknet_139", "genet", "ssd", "chuanqi", "refinedet", "rcnn", "rfcn"),
    *("deeplab", "pspnet", "segnet", "enet", "yolo", "mobile", "nvidia", "intel", "tsn"),
    *("flownet2", "openpose", "deformable", "happynear", "augmentation", "soeaver"),
    *("early", "deeplab_v1", "ncnn", "x2paddle", "synopsys", "huawei"),
)
_added: dict[str, Path] = {}
_known_readers: dict[tuple[str, ...], frozenset[str]] = {}


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

    @cached_property
    def bases(self) -> frozenset[str]:
        """The dialects that this one's file builds upon, directly or not; BVLC's is not named."""
        imported = _imported(self._path)
        own = frozenset(path.stem for path in imported if is_known(path.stem))
        return own.union(*(Dialect(path.stem, path).bases for path in imported))

    @cached_property
    def neutral(self) -> dict[str, str]:
        """The fields that no forward pass depends on: "true", or "TEST" where that is so there."""
        return dict(_neutral(self._fork, "caffe"))

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


def _neutral(scope: reader.Message, path: str) -> Iterator[tuple[str, str]]:
    for name, message in scope.messages.items():
        for field in message.fields:
            if field.neutral:
                yield f"{path}.{name}.{field.name}", field.neutral
        yield from _neutral(message, f"{path}.{name}")


@cache
def _read(path: Path) -> reader.Message:
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError:
        raise FormatError(f"{path}: no text, wants a .proto schema") from None
    return reader.read(text, str(path))


def _imported(path: Path) -> list[Path]:
    """Return the files that one imports: those beside it, or ours."""
    names = _read(path).imports
    return [beside if (beside := path.parent / name).exists() else _FOLDER / name for name in names]


@cache
def _overlay(path: Path) -> reader.Message:
    """Read one fork's file, merged over the files that it imports."""
    base = reader.Message("")
    for imported in _imported(path):
        base = _overlay(imported).over(base)
    return _read(path).over(base)


@cache
def dialect(name: str) -> Dialect:
    """Find a dialect by its name; UnsupportedError lists the known ones."""
    paths = _paths()
    if name not in paths:
        raise UnsupportedError(f"dialect {name!r} is not known, wants one of {', '.join(paths)}")
    return Dialect(name, paths[name])


def is_known(name: str) -> bool:
    """Tell whether a dialect has this name."""
    return name in _paths()


def dialects() -> list[Dialect]:
    """Give every dialect, BVLC's first, in the order in which readings are tried."""
    return [dialect(name) for name in _paths()]


@cache
def _paths() -> dict[str, Path]:
    shipped = {path.stem: path for path in sorted(_FOLDER.glob("*.proto"))}
    bvlc = _ORDER[0]
    return {bvlc: shipped[bvlc]} | _added | {name: shipped[name] for name in _ORDER} | shipped


def value_names() -> frozenset[str]:
    """Name every value of every dialect's enums."""
    return frozenset(name for one in dialects() for name in _enum_values(one._fork))


def _enum_values(scope: reader.Message) -> Iterator[str]:
    for enum in scope.enums.values():
        yield from enum.values
    for message in scope.messages.values():
        yield from _enum_values(message)


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
    _known_readers.clear()
    return dialect(name)


def dialect_of(message: Message) -> str:
    """Name the dialect whose class a message is of: "bvlc", "sknet", ..."""
    return str(message.DESCRIPTOR.file.name).removesuffix(".proto")


def candidates(layer_type: str, forced: str | None = None) -> list[Dialect]:
    """Give the dialects that may read a layer of this type, the likeliest first.

    A type that forks claim and BVLC lacks is read by those forks alone, so that a shared field
    name cannot mean another fork's message. A `forced` dialect that lacks such a type has no say.
    """
    every = dialects()
    bvlc = every[0]
    claiming = [one for one in every if layer_type in one.types]
    foreign = bool(claiming) and bvlc not in claiming
    if forced is not None:
        own = dialect(forced)
        if foreign and own in claiming:
            return [own]
        if not foreign:
            return list(dict.fromkeys([bvlc, own]))
    if foreign:
        return claiming
    return list(dict.fromkeys([bvlc, *claiming, *every]))


# ---- Fields beyond BVLC's -----------------------------------------------------------------------


@dataclass(frozen=True)
class Extra:
    """A set field that BVLC's schema lacks, or one with an enum value that it lacks."""

    path: str
    """As `convolution_param.relu`."""
    full_name: str
    value: str = ""
    """Of an enum, by name."""

    def __str__(self) -> str:
        return f"{self.path}: {self.value}" if self.value else self.path


def extra_fields(
    message: Any, *known: str, phase: str = "", neutral: bool = False
) -> Iterator[Extra]:
    """Yield the set fields that neither BVLC's schema nor those of the `known` dialects have.

    Without `neutral` those are left out that no forward pass depends on, in `phase` if it is TEST.
    """
    skipped = {} if neutral else dialect(dialect_of(message)).neutral
    kind = message.DESCRIPTOR.name
    bases = [dialect(name).message(kind).DESCRIPTOR for name in ("bvlc", *known)]
    for extra in _extra(message, bases, ""):
        when = skipped.get(extra.full_name, "")
        if when != "true" and not (when and when == phase):
            yield extra


def _extra(message: Any, bases: Sequence[Any], path: str) -> Iterator[Extra]:
    if bases[0] == message.DESCRIPTOR:
        return
    for field, value in message.ListFields():
        same = [base.fields_by_name.get(field.name) for base in bases]
        known = [one for one in same if one is not None and one.cpp_type == field.cpp_type]
        here, of = f"{path}{field.name}", field.full_name
        if field.enum_type is not None:
            for number in [value] if isinstance(value, int) else value:
                name = _value_name(field, number)
                if not name or name not in [_value_name(one, number) for one in known]:
                    yield Extra(here, of, name or str(number))
        elif not known:
            yield Extra(here, of)
        elif field.message_type is not None:
            for one in [value] if isinstance(value, Message) else value:
                yield from _extra(one, [one.message_type for one in known], f"{here}.")


def _value_name(field: Any, number: int) -> str:
    found = field.enum_type.values_by_number.get(number)
    return str(found.name) if found else ""


def readers(message: Any) -> frozenset[str]:
    """Name the dialects that a layer, or a network's header, may be of by its type and its fields.

    There are none where BVLC's schema has them all: that says nothing.
    """
    extras = list(extra_fields(message, neutral=True))
    layer_type = type_of(message) if "LayerParameter" in message.DESCRIPTOR.name else ""
    key = (dialect_of(message), message.DESCRIPTOR.name, layer_type, *map(str, extras))
    if key not in _known_readers:
        every = candidates(layer_type)
        if every[0].name == "bvlc":
            every = every[1:] if extras else []
        names = [one.name for one in every if _reads(one, layer_type, message)]
        _known_readers[key] = frozenset(names)
    return _known_readers[key]


def _reads(one: Dialect, layer_type: str, message: Any) -> bool:
    more = next(extra_fields(message, one.name, neutral=True), None)
    return more is None and not one.stray(layer_type, message)


def as_dialect(message: Any, name: str) -> Any:
    """Give a message as another dialect's class has it, so that its defaults are that one's.

    FormatError for a field that the dialect lacks.
    """
    if dialect_of(message) == name:
        return message
    new: Any = dialect(name).message(message.DESCRIPTOR.name)()
    try:
        text_format.Parse(text_format.MessageToString(message), new)
    except text_format.ParseError as error:
        raise FormatError(f"no {name} layer: {error}") from None
    return new
