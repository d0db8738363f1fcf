"""What Caffe does to an image between its file and the data blob."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..checks import require
from ..number import float32


@dataclass(frozen=True)
class Transform:
    """One `TransformationParameter`: `top = (image - mean) * scale`, cropped, perhaps mirrored.

    The mean is `mean_file`'s, or `mean_value`: one for all channels or one for each. A crop of
    `crop_size` (0: none) is the middle in TEST and anywhere in TRAIN. Whoever feeds the network
    does all this beforehand.
    """

    scale: float = 1.0
    mirror: bool = False
    crop_size: int = 0
    mean_file: str = ""
    mean_value: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        one = not (self.mean_file and self.mean_value)
        require(one, "it has both mean_file and mean_value, wants one of them")

    @classmethod
    def from_caffe(cls, param: Any) -> Transform:
        """Read a `TransformationParameter` message."""
        return cls(
            scale=float32(param.scale),
            mirror=param.mirror,
            crop_size=param.crop_size,
            mean_file=param.mean_file,
            mean_value=tuple(map(float32, param.mean_value)),
        )
