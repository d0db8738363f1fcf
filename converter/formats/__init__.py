"""What `convert` writes: one file a format, each found by itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Protocol

from converter.keywords import complete
from converter.onnx.options import FormatOptions
from prototxt.errors import UnsupportedError

if TYPE_CHECKING:
    from converter.network.net import CaffeNet
    from converter.onnx.free_axes import Fixed
    from converter.onnx.quantization.calibration import Calibration
    from converter.preprocessing import Preprocessing

DEFAULT_FORMATS = ("onnx", "safetensors")


@dataclass(frozen=True)
class Options:
    """What the user asked of the conversion."""

    asked: FormatOptions = field(default_factory=lambda: complete(FormatOptions, {}))
    preprocessing: Preprocessing | None = None
    """What is built in."""
    images: Preprocessing | None = None
    """What images need, where that is known and not built in."""
    half: bool = False
    """Write float16; the network itself is in float32."""
    calibration: Calibration | None = None
    """Write eight bits, with ranges that are measured on it, where the format holds them."""
    file_scales: bool = False
    """Write eight bits with the scales that the network's file has."""
    fixed: Fixed = field(default_factory=dict)
    """Axes of the ONNX model that are fixed, since a run of it with another size was wrong."""


class Format(Protocol):
    """A module of this package: its format's name is the module's."""

    SUFFIX: str
    """Appended to the output's stem."""

    HALF: bool
    """Whether it can hold weights in float16."""

    PROGRAM: bool
    """Whether it computes, and is not run by `verify`."""

    HEEDS: frozenset[str]
    """The options of FormatOptions that it does as they ask."""

    def write(self, net: CaffeNet, path: Path, options: Options) -> list[str]:
        """Write `path`, whole or not at all; return notes for the report."""


FORMATS: tuple[str, ...] = tuple(
    module.name for module in iter_modules(__path__) if not module.name.startswith("_")
)


def get_format(name: str) -> Format:
    """Return a format by its name; raises UnsupportedError for one that is not there."""
    if name not in FORMATS:
        raise UnsupportedError(f"format {name!r} is unknown", fix=f"known: {', '.join(FORMATS)}")
    module: Format = import_module(f"{__name__}.{name}")
    return module
