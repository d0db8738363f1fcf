"""The base of layers that are known by name and not computed: each says why."""

from __future__ import annotations

from typing import Any, ClassVar, NoReturn

from prototxt.errors import UnsupportedError

from .layer import Layer
from .shape import Shape


class Refused(Layer):
    """Base of layers that cannot be computed: building one raises UnsupportedError."""

    why: ClassVar[str]
    fix: ClassVar[str] = "pass the layer's own code with --layers"

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> NoReturn:
        raise UnsupportedError(cls.why, fix=cls.fix)
