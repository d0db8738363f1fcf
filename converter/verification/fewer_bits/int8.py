"""Judging a model of eight bits: against torch in double, by what rounding to them alone does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from converter.onnx.quantization.numbers import LARGEST_WEIGHT, Rounding
from converter.verification.compare import NOISE, Measure
from converter.verification.run import Runs

from .int8_model import Int8Model
from .judge import RoundedJudge


@dataclass(frozen=True)
class Int8Judge(RoundedJudge):
    """Errors are noise: the root of their mean square, of the blob's own.

    The largest single error says little of eight bits: a value beyond the range is cut.
    """

    model: Int8Model

    DTYPE: ClassVar[str] = "int8"
    LEAST: ClassVar[float] = 2.0**-8
    """Half the distance of two numbers of eight bits, of their largest."""
    LARGEST: ClassVar[float] = 1.0
    """0 dB: of the blob nothing is left."""
    MEASURE: ClassVar[Measure] = NOISE

    def round_blob(self, runs: Runs, layer: str, blob: Tensor) -> Tensor:
        """Round the weights of a layer that has them in eight bits, each output's by its largest.

        Folding scales an output's weights as a whole, which changes nothing of how they round.
        """
        if blob.dim() < 2 or not self.model.holds_weights_of(layer):
            return blob
        axis = 1 if getattr(runs.net.layers[layer], "transpose", False) else 0
        others = [one for one in range(blob.dim()) if one != axis]
        scale = blob.abs().amax(others, keepdim=True) / LARGEST_WEIGHT
        return torch.where(scale > 0, (blob / scale).round() * scale, blob)

    def round_value(self, name: str, value: Tensor) -> Tensor:
        """Round a value that is in eight bits in the file."""
        rounding = self.model.roundings.get(name)
        return value if rounding is None else rounded(value, rounding)

    def holds(self, name: str) -> bool:
        """Tell whether a value is in eight bits in the file."""
        return name in self.model.roundings


def rounded(value: Tensor, rounding: Rounding) -> Tensor:
    """Return the nearest values that eight bits hold, in the type that they came in."""
    limits = np.iinfo(rounding.zero.dtype)
    scale, zero = float(rounding.scale), int(rounding.zero)
    numbers = (value / scale).round() + zero
    return (numbers.clamp(int(limits.min), int(limits.max)) - zero) * scale
