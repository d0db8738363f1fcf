"""Which dialects there are, and which of them a message may be of."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from google.protobuf import text_format

from prototxt.errors import FormatError, UnsupportedError, UsageError

from .dialect import Dialect, dialect_of
from .extra_fields import Extra, extra_fields
from .fragment import FOLDER
from .layer_types import type_of

# Readings are tried in this order, others after: a fork before those that build upon it.
ORDER = (
    *("bvlc", "sknet", "sknet_139", "genet", "ssd", "chuanqi", "refinedet", "rcnn", "rfcn"),
    *("deeplab", "pspnet", "segnet", "enet", "yolo", "mobile", "nvidia", "intel", "tsn"),
    *("flownet2", "openpose", "deformable", "happynear", "augmentation", "soeaver"),
    *("minicaffe", "future", "openvino"),
    *("early", "deeplab_v1", "ncnn", "x2paddle", "synopsys", "huawei"),
)
_FIRST = {path.stem: path for path in sorted(FOLDER.glob("*.proto"))}
_FURTHER = {path.stem: path for path in sorted((FOLDER / "forks").glob("*.proto"))}
_FILES = _FIRST | _FURTHER
_UNNAMED = ("caffe", "proto", "src", "/")
"""The folders of `src/caffe/proto/caffe.proto`, which name no fork."""


class Schema:
    """The dialects that files are read by: those shipped, and the user's own.

    What only the further ones have (`forks/`) is read by them; they have no say in what another
    dialect reads. So a file's reading does not change with each fork that is added.

    A value: `with_file` returns another one, and what is read by this one stays as it is. A network
    carries the schema that it was read by.
    """

    def __init__(
        self,
        own: Mapping[str, Dialect] | None = None,
        given: Mapping[str, Dialect] | None = None,
        found: Mapping[str, Dialect] | None = None,
        problems: Sequence[str] = (),
    ) -> None:
        self._own = dict(own or {})
        self.given = dict(given or {})
        """Of forks whose whole schema the user gave: a file is theirs before it is another's."""
        self.found = dict(found or {})
        """Of a fork whose schema lay beside the file: one of the further."""
        self._problems = tuple(problems)
        self._known = self._own | self.given | self.found
        self._foreign: dict[tuple[str, str], frozenset[str]] = {}
        self._readers: dict[tuple[str, ...], frozenset[str]] = {}

    def with_file(self, path: str | Path) -> Schema:
        """Return the schema with a user's own file as one more dialect, named as the file's stem.

        FormatError for what is wrong with the file, and for a name that is known already.
        """
        path = Path(path).resolve()
        name = path.stem
        own = self._own.get(name)
        if name in _FILES or (own is not None and own.fragment.path != path):
            message = f"{path}: a dialect named {name!r} is known already"
            raise FormatError(message, fix="rename the file")
        new = Dialect.read(path)
        new.message("LayerParameter")  # what protobuf finds wrong is said now
        return Schema(self._own | {name: new}, self.given, self.found, self._problems)

    def with_proto(self, path: str | Path, *, found: bool = False) -> Schema:
        """Return the schema with a fork's own, its whole `caffe.proto`, as one more dialect.

        It is named as the file, or as the folder that the fork's sources lie in. Where it was
        `found` and not given, it reads what no other dialect reads. Raises FormatError for what is
        wrong with the file, UsageError where there is none.
        """
        path = Path(path).resolve()
        if not path.is_file():
            raise UsageError(f"{path}: no such file, wants a fork's caffe.proto")
        if any(one.fragment.path == path for one in (*self.given.values(), *self.found.values())):
            return self
        new = Dialect.read(path, self._free_name(path))
        new.message("LayerParameter")  # what protobuf finds wrong is said now
        given, more = self.given, {new.name: new}
        if not found:
            return Schema(self._own, given | more, self.found, self._problems)
        if not new.fragment.parsed.messages:
            return self  # BVLC's own
        return Schema(self._own, given, self.found | more, self._problems)

    def noting(self, problem: str) -> Schema:
        """Return the schema with a note: a file that is not part of it, and why."""
        return Schema(self._own, self.given, self.found, (*self._problems, problem))

    @property
    def notes(self) -> list[str]:
        """What a reader of files should know: which schemas beside the shipped ones read them."""
        said = [
            f"read by {one.fragment.path}, as given: dialect {name!r}"
            for name, one in self.given.items()
        ]
        said += [
            f"{one.fragment.path} lies beside the file: what no other schema here has is read by "
            f"it, as dialect {name!r}; --proto none leaves it out"
            for name, one in self.found.items()
        ]
        return [*said, *self._problems]

    def _free_name(self, path: Path) -> str:
        parts = (path.stem, *reversed(path.parent.parts))
        plain = next((part for part in parts if part not in _UNNAMED), path.stem)
        name, number = plain, 1
        while self.is_known(name):
            number += 1
            name = f"{plain}_{number}"
        return name

    def __reduce__(self) -> tuple[Any, ...]:
        every = (self._own, self.given, self.found)
        paths = tuple([str(one.fragment.path) for one in kind.values()] for kind in every)
        return _restored, (*paths, self._problems)

    def __deepcopy__(self, memo: Any) -> Schema:
        return self

    # ---- Which there are ------------------------------------------------------------------------

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Every dialect's name, BVLC's first, in the order in which readings are tried."""
        every = ("bvlc", *self.given, *self._own, *ORDER, *_FILES, *self.found)
        return tuple(dict.fromkeys(every))

    def in_order(self, names: Collection[str]) -> list[str]:
        """Return some dialects' names in the order in which their readings are tried."""
        return [name for name in self.names if name in names]

    def is_further(self, name: str) -> bool:
        """Tell whether a dialect is asked only where the first ones say nothing."""
        return name in _FURTHER or name in self.found

    def dialect(self, name: str) -> Dialect:
        """Find a dialect by its name; UnsupportedError lists the known ones."""
        if name not in self._known:
            if name not in _FILES:
                known = ", ".join(self.names)
                raise UnsupportedError(f"dialect {name!r} is not known, wants one of {known}")
            self._known[name] = Dialect.read(_FILES[name])
        return self._known[name]

    def is_known(self, name: str) -> bool:
        """Tell whether a dialect has this name."""
        return name in self.names

    @cached_property
    def first(self) -> tuple[Dialect, ...]:
        """BVLC's dialect, the user's own and those whose layers are here, in order."""
        return tuple(self.dialect(name) for name in self.names if not self.is_further(name))

    @cached_property
    def further(self) -> tuple[Dialect, ...]:
        """The other forks', converters' unions last."""
        every = map(self.dialect, filter(self.is_further, self.names))
        return tuple(sorted(every, key=lambda one: one.is_union))

    @property
    def dialects(self) -> tuple[Dialect, ...]:
        """Every dialect, in the order of the names."""
        return (*self.first, *self.further)

    def bases(self, name: str) -> frozenset[str]:
        """Name the dialects that one builds upon, directly or not; BVLC's is not named."""
        imported = {one.path.stem for one in self.dialect(name).fragment.ancestors}
        return frozenset(filter(self.is_known, imported))

    def knows_type(self, layer_type: str) -> bool:
        """Tell whether a dialect claims a type of layer."""
        return any(layer_type in one.types for one in self.first) or any(
            layer_type in one.types for one in self.further
        )

    def value_names(self) -> frozenset[str]:
        """Name every value of every dialect's enums."""
        every = (one.fragment.merged.enum_values() for one in self.dialects)
        return frozenset[str]().union(*every)

    # ---- Which of them a message is of ----------------------------------------------------------

    def candidates(self, layer_type: str, forced: str | None = None) -> Iterator[Dialect]:
        """Yield the dialects that may read a layer of this type, the likeliest first.

        A type that forks claim and BVLC lacks is read by those forks alone, so that a shared field
        name cannot mean another fork's message. A `forced` dialect that lacks such a type has no
        say.
        """
        bvlc = self.dialect("bvlc")
        own = None if forced is None else self.dialect(forced)
        plain = not layer_type or layer_type in bvlc.types  # a header has no type
        if plain:
            yield bvlc  # most layers are: no other file is read for them
        given = list(self.given.values())
        claiming = [one for one in self.first if layer_type in one.types]
        foreign = bool(claiming) and bvlc not in claiming
        if own is not None and foreign and layer_type in own.types:
            claiming = [own]
        elif foreign:
            claiming = [*given, *claiming]
        if foreign:
            every = claiming
        elif own is not None:
            every = [bvlc, own, *given]
        else:
            every = [bvlc, *given, *claiming, *self.first]
        tried = {bvlc} if plain else set()
        for one in every:
            if one not in tried:
                tried.add(one)
                yield one

    def further_candidates(self, layer_type: str, forced: str | None = None) -> Iterator[Dialect]:
        """Yield the further dialects that may read what none of the `candidates` does.

        Of a type that those claim and BVLC lacks it takes one that claims it too.
        """
        claiming = [one for one in self.further if layer_type in one.types]
        known = layer_type in self.dialect("bvlc").types
        foreign = not known and any(layer_type in one.types for one in self.first)
        others = () if foreign else (one for one in self.further if one not in claiming)
        yield from (one for one in (*claiming, *others) if forced in (None, one.name))

    def foreign_field(self, name: str, layer_type: str, message: Any) -> str:
        """Name a set field that is not for layers of this type in a dialect, or return ""."""
        foreign = self._foreign_fields(name, layer_type)
        used: list[str] = [field.name for field, _ in message.ListFields()] if foreign else []
        return next((field for field in used if field in foreign), "")

    def misplaced_field(self, name: str, layer_type: str, message: Any) -> str:
        """Name a set field that is another type's, or return ""; of an unknown type any will do."""
        foreign = self.foreign_field(name, layer_type, message)
        return foreign if foreign and self.knows_type(layer_type) else ""

    def _foreign_fields(self, name: str, layer_type: str) -> frozenset[str]:
        """Name the fields of a dialect that are another type's, or this type's in another fork."""
        key = (name, layer_type)
        if key not in self._foreign:
            own = self.dialect(name)
            foreign = {field for field, types in own.owners.items() if layer_type not in types}
            if name in self.given:
                foreign = set()  # what its user says the file is of
            elif self.is_further(name) and layer_type in self.dialect("bvlc").types:
                foreign |= {field for field, of in own.claims.items() if of != layer_type}
            elif layer_type in own.types and layer_type not in self.dialect("bvlc").types:
                for one in self.first:
                    foreign |= _fields_of(one, layer_type)
                foreign -= own.fields if self.is_further(name) else _fields_of(own, layer_type)
            self._foreign[key] = frozenset(foreign)
        return self._foreign[key]

    def extra_fields(
        self, message: Any, *known: str, phase: str = "", neutral: bool = False
    ) -> Iterator[Extra]:
        """Yield the set fields that neither BVLC's schema nor those of the `known` dialects have.

        Without `neutral` those are left out that no forward pass depends on, in `phase` if it is
        TEST, and those that are set to their fork's default.
        """
        skipped = {} if neutral else self.dialect(dialect_of(message)).neutral
        kind = message.DESCRIPTOR.name
        bases = [self.dialect(name).message(kind).DESCRIPTOR for name in ("bvlc", *known)]
        for extra in extra_fields(message, bases):
            when = skipped.get(extra.full_name, "")
            if neutral or not (when == "true" or (when and when == phase) or extra.is_default):
                yield extra

    def readers(self, message: Any, *, further: bool = False) -> frozenset[str]:
        """Name the dialects that a layer, or a network's header, may be of by type and fields.

        There are none where BVLC's schema has them all: that says nothing. The `further` ones are
        named if that is wanted.
        """
        extras = list(self.extra_fields(message, neutral=True))
        layer_type = type_of(message) if "LayerParameter" in message.DESCRIPTOR.name else ""
        known = layer_type in self.dialect("bvlc").types
        if not extras and (known or not layer_type):
            return frozenset()
        kind = message.DESCRIPTOR.name
        key = (dialect_of(message), kind, layer_type, *map(str, extras), "further" * further)
        if key not in self._readers:
            every = list(self.candidates(layer_type))
            if every[0].name == "bvlc":
                every = every[1:] if extras else []
            if further:
                words = {word for one in extras for word in (one.name, one.value) if word}
                more = self.further_candidates(layer_type)
                every += [
                    one
                    for one in more
                    if words <= one.fragment.words and (words or layer_type in one.types)
                ]
            names = [one.name for one in every if self._reads(one.name, layer_type, message)]
            self._readers[key] = frozenset(names)
        return self._readers[key]

    def is_explained(self, message: Any) -> bool:
        """Tell whether BVLC's dialect or another of the `first` reads a layer, or a header."""
        if self.readers(message):
            return True
        extras = next(self.extra_fields(message, neutral=True), None)
        layer = "LayerParameter" in message.DESCRIPTOR.name
        return extras is None and (not layer or type_of(message) in self.dialect("bvlc").types)

    def _reads(self, name: str, layer_type: str, message: Any) -> bool:
        more = next(self.extra_fields(message, name, neutral=True), None)
        return more is None and not self.misplaced_field(name, layer_type, message)

    def as_dialect(self, message: Any, name: str) -> Any:
        """Return a message as another dialect's class has it, so that its defaults are that one's.

        FormatError for a field that the dialect lacks.
        """
        if dialect_of(message) == name:
            return message
        new: Any = self.dialect(name).message(message.DESCRIPTOR.name)()
        try:
            text_format.Parse(text_format.MessageToString(message), new)
        except text_format.ParseError as error:
            raise FormatError(f"no {name} layer: {error}") from None
        return new


SHIPPED = Schema()
"""BVLC's dialect and its forks'."""


def dialect(name: str) -> Dialect:
    """Return a shipped dialect by its name; UnsupportedError lists them."""
    return SHIPPED.dialect(name)


def _restored(
    own: Sequence[str], given: Sequence[str], found: Sequence[str], problems: Sequence[str]
) -> Schema:
    schema = SHIPPED
    for path in own:
        schema = schema.with_file(path)
    for path in given:
        schema = schema.with_proto(path)
    for path in found:
        schema = schema.with_proto(path, found=True)
    for problem in problems:
        schema = schema.noting(problem)
    return schema


def _fields_of(one: Dialect, layer_type: str) -> set[str]:
    """Name a dialect's fields that belong to layers of this type alone."""
    return {field for field, types in one.owners.items() if layer_type in types}
