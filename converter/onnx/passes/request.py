"""What is asked of a graph's rewriting."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from converter.keywords import complete
from converter.onnx.options import ExportOptions
from converter.onnx.quantization.calibration import Calibration
from converter.onnx.quantization.file_scales import LayerScales
from converter.preprocessing.spec import Preprocessing


@dataclass(frozen=True)
class Request:
    """The options of the export, all of them, and what comes from elsewhere."""

    options: ExportOptions = field(default_factory=lambda: complete(ExportOptions, {}))
    optimized: bool = False
    """Whether the network is an optimised one."""
    half: bool = False
    calibration: Calibration | None = None
    """What eight bits are measured on, where they are asked for."""
    file_scales: Mapping[str, LayerScales] = field(default_factory=dict)
    """The file's own scales of eight bits, by layers, where these are asked for."""
    preprocessing: Preprocessing | None = None
    data: str = ""
    """The input that `preprocessing` makes of images."""
