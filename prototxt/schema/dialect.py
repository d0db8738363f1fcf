"""One dialect: BVLC's message classes with a fork's file merged over them."""

from __future__ import annotations

import copyreg
from functools import cache, cached_property
from pathlib import Path
from threading import RLock
from typing import Any

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.message import Message

from prototxt.errors import FormatError

from . import definitions
from .descriptors import to_file
from .fragment import BVLC, FOLDER, Fragment

_building = RLock()
"""Two threads must not build one dialect twice: messages of two classes cannot be mixed."""


class Dialect:
    """The message classes of one dialect, built when first asked for."""

    def __init__(self, fragment: Fragment, name: str) -> None:
        self.fragment = fragment
        self.name = name
        self._classes: dict[str, type[Message]] = {}

    @classmethod
    def read(cls, path: Path, name: str = "") -> Dialect:
        """Return the dialect of a file, named as its stem if not otherwise; of a text there is one.

        Raises FormatError for what is wrong with the file.
        """
        with _building:
            return _of(Fragment.read(path), name or path.stem)

    @cached_property
    def types(self) -> frozenset[str]:
        """The layer types that the dialect's own file claims."""
        return self._layer.layer_types.union(*self.owners.values())

    @cached_property
    def owners(self) -> dict[str, frozenset[str]]:
        """The fields that belong to certain layer types alone."""
        fields = self._layer.fields
        return {field.name: field.layer_types for field in fields if field.layer_types}

    @property
    def is_union(self) -> bool:
        """Tell whether it is a converter's, which took over what other forks had."""
        return self.fragment.parsed.is_union

    @cached_property
    def fields(self) -> frozenset[str]:
        """The fields of layers in the dialect's own file."""
        return frozenset(field.name for field in self._layer.fields)

    @cached_property
    def claims(self) -> dict[str, str]:
        """The fields of messages of its own and the type that each is for, by the message's name.

        A guess, for schemas that do not say it.
        """
        bvlc = Fragment.read(BVLC).merged
        return {
            field.name: field.type.removesuffix("Parameter")
            for field in self._layer.fields
            if field.name.endswith("_param") and field.type not in bvlc.messages
        }

    @property
    def _layer(self) -> definitions.Message:
        return _layer_of(self.fragment)

    @cached_property
    def neutral(self) -> dict[str, str]:
        """The fields that no forward pass depends on: "true", or "TEST" where that is so there."""
        return dict(self.fragment.merged.neutral_fields("caffe"))

    def message(self, name: str) -> type[Message]:
        """Return the class of one message, as `LayerParameter`."""
        with _building:
            if name not in self._classes:
                found = self._pool.FindMessageTypeByName(f"caffe.{name}")
                made = message_factory.GetMessageClass(found)
                copyreg.pickle(made, self._reduce)  # pickle would look for it in a module
                self._classes[name] = made
            return self._classes[name]

    def find(self, name: str) -> Any:
        """Return the descriptor of one message, None where the dialect has none of that name."""
        try:
            return self._pool.FindMessageTypeByName(f"caffe.{name}")
        except KeyError:
            return None

    @cached_property
    def _pool(self) -> descriptor_pool.DescriptorPool:
        whole = self.fragment.merged
        if self.fragment.path != BVLC:
            whole = whole.over(Fragment.read(BVLC).merged)
        pool = descriptor_pool.DescriptorPool()
        # The file's name is where `dialect_of` reads the dialect from.
        file = to_file(whole, f"{self.name}.proto")
        try:
            pool.AddSerializedFile(file.SerializeToString())
            pool.FindFileByName(file.name)
        except (TypeError, ValueError, KeyError) as error:  # by protobuf's implementation
            raise FormatError(f"{self.fragment.path}: {error}") from None
        return pool

    def _reduce(self, message: Message) -> tuple[Any, ...]:
        path = self.fragment.path
        if path.is_relative_to(FOLDER):  # ours moves with the package
            path = path.relative_to(FOLDER)
        kind = message.DESCRIPTOR.name
        return _restore, (str(path), self.name, kind, message.SerializePartialToString())


def _layer_of(fragment: Fragment) -> definitions.Message:
    name = "LayerParameter"
    return fragment.merged.messages.get(name, definitions.Message(name))


@cache
def _of(fragment: Fragment, name: str) -> Dialect:
    return Dialect(fragment, name)


def _restore(path: str, name: str, kind: str, data: bytes) -> Message:
    return Dialect.read(FOLDER / path, name).message(kind).FromString(data)


def dialect_of(message: Message) -> str:
    """Name the dialect whose class a message is of: "bvlc", "sknet", ..."""
    return str(message.DESCRIPTOR.file.name).removesuffix(".proto")
