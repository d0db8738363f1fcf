"""What a `param` row of a layer says of one blob."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ParamSpec:
    """One `param` row of a layer: how training treats one blob, and by what name it is shared.

    `lr_mult` and `decay_mult` multiply the solver's learning rate and weight decay; None means
    that the row, or the field, is absent, which Caffe reads as 1.
    """

    name: str = ""
    share_mode: str = "STRICT"
    lr_mult: float | None = None
    decay_mult: float | None = None

    @classmethod
    def from_caffe(cls, spec: Any) -> ParamSpec:
        """Read a `ParamSpec` message."""
        return cls(
            spec.name,
            "PERMISSIVE" if spec.share_mode else "STRICT",
            spec.lr_mult if spec.HasField("lr_mult") else None,
            spec.decay_mult if spec.HasField("decay_mult") else None,
        )
