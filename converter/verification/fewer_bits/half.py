"""Judging a model of float16: against torch in double, by what rounding to float16 alone does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from converter.verification.compare import RELATIVE, Measure
from converter.verification.run import Runs
from converter.verification.torch_pass import rounded_to_half

from .half_model import HalfModel
from .judge import RoundedJudge


@dataclass(frozen=True)
class HalfJudge(RoundedJudge):
    """Errors are of a blob's largest value; casts are not choices, nor are roundings."""

    model: HalfModel

    DTYPE: ClassVar[str] = "float16"
    LEAST: ClassVar[float] = 2.0**-9
    """Four roundings to float16, of 2**-11 each."""
    LARGEST: ClassVar[float] = 0.25
    MEASURE: ClassVar[Measure] = RELATIVE

    def round_blob(self, runs: Runs, layer: str, blob: Tensor) -> Tensor:
        """Round the blobs of a layer that has weights in float16."""
        return rounded_to_half(blob) if self.model.holds_weights_of(layer) else blob

    def round_value(self, name: str, value: Tensor) -> Tensor:
        """Round a value that is float16 in the file."""
        return rounded_to_half(value) if self.holds(name) else value

    def holds(self, name: str) -> bool:
        """Tell whether a value is float16 in the file."""
        return name in self.model.values
