"""Fillers: how Caffe sets a blob before training.

Caffe: BVLC/caffe, include/caffe/filler.hpp
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from math import ceil, prod, sqrt
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from prototxt.errors import FormatError, ShapeError, UnsupportedError, UsageError

from .checks import require
from .message import fork_field
from .number import float32

FAN_IN, FAN_OUT, AVERAGE = 0, 1, 2
OF_FORKS = ("diag_val", "border_ratio", "file")
"""What only some forks' messages have."""


LARGEST = torch.finfo(torch.float32).max


@dataclass(frozen=True)
class Filler:
    """One `FillerParameter`: fields, numbers and defaults are Caffe's.

    `variance_norm` is 0 (FAN_IN), 1 (FAN_OUT) or 2 (AVERAGE); `sparse` is the mean number of
    non-zero weights of an output, -1 for dense ones. `diag_val` is for the type diagonal,
    FlowNet2's: output n takes input n, times `diag_val[n]` or 1, as a mean over the kernel.

    `border_ratio` is for the type borderMask, of hidden two-stream networks: 1 within, and 0 in a
    border of so much of the shorter side. Their flowBorderMask is 0 where a flow has no neighbour,
    to the right in channel 0 and below in channel 1, and 1 elsewhere.

    `file` is for the type file, of spatial transformers (daerduoCarey/SpatialTransformerLayer,
    include/caffe/filler.hpp): the blob's values in order, as text, in the working folder. Where it
    is not there weights take its place.

    happynear's: gaussian_unitball is a standard normal vector a row, each divided by
    `sqrt(its square + 1e-12)`; identity is 0 but for a 1 as value `n (C + 1)` of C x C x ..., for
    each n below C: with 1 x 1 kernels where an output meets its own input
    (happynear/caffe-windows at 967eedf, include/caffe/filler.hpp).
    """

    type: str = "constant"
    value: float = 0.0
    min: float = 0.0
    max: float = 1.0
    mean: float = 0.0
    std: float = 1.0
    sparse: int = -1
    variance_norm: int = FAN_IN
    diag_val: tuple[float, ...] = ()
    border_ratio: float = 0.0
    file: str = ""

    def __repr__(self) -> str:
        """Return how it is written, without what is so by default: signatures show it."""
        own = (one.name for one in fields(self) if getattr(self, one.name) != one.default)
        return f"Filler({', '.join(f'{name}={getattr(self, name)!r}' for name in own)})"

    @classmethod
    def from_caffe(cls, filler: Any) -> Filler:
        """Read a `FillerParameter` message."""
        plain = {f.name: getattr(filler, f.name) for f in fields(cls) if f.name not in OF_FORKS}
        return cls(
            **plain,
            diag_val=tuple(fork_field(filler, "diag_val", ())),
            border_ratio=fork_field(filler, "border_ratio", 0.0),
            file=fork_field(filler, "file", ""),
        )

    def check(self, shape: tuple[int, ...]) -> None:
        """Raise a CaffeError where Caffe would refuse to fill a blob of this shape.

        A fork's filler is refused where it fills alone: weights take its place.
        """
        if not self.is_known:
            return
        if self.type == "bilinear":
            if len(shape) != 4 or shape[2] != shape[3]:
                raise ShapeError(
                    f"a bilinear filler wants a 4-D blob with square planes, got {shape}"
                )
        elif self.type == "uniform":
            if not self.min <= self.max:
                raise ShapeError(
                    f"a uniform filler's min {self.min:g} is above its max {self.max:g}"
                )
            wide = float32(self.max) - float32(self.min) <= LARGEST
            require(
                wide, f"a uniform filler's {self.min:g} to {self.max:g} is beyond a float's range"
            )
        elif self.type == "gaussian":
            require(self.std > 0, f"a gaussian filler's std is {self.std:g}, wants more than 0")
        elif self.type in {"xavier", "msra"}:
            require(len(shape) >= 1, f"a {self.type} filler wants a blob with at least one axis")
        elif self.type in {"positive_unitball", "gaussian_unitball", "diagonal"}:
            require(len(shape) <= 4, f"a {self.type} filler wants 4 axes at most, got {shape}")
        elif self.type == "identity":
            square = 2 <= len(shape) <= 4 and shape[0] == shape[1]
            require(square, f"an identity filler wants as many outputs as inputs, got {shape}")
        elif self.type in {"borderMask", "flowBorderMask"}:
            require(len(shape) == 4, f"a {self.type} filler wants a 4-D blob, got {shape}")
            flow = self.type == "flowBorderMask"
            require(not flow or shape[1] == 2, f"a flowBorderMask wants 2 channels, got {shape}")
        if self.sparse == -1:
            return
        if self.type != "gaussian":
            raise ShapeError(f"sparse is {self.sparse}, but only a gaussian filler can be sparse")
        if not shape or not 0 <= self.sparse <= shape[0]:
            raise ShapeError(f"sparse is {self.sparse}, wants 0 to the blob's first size, {shape}")

    @torch.no_grad()
    def fill(self, blob: Tensor, generator: torch.Generator | None = None) -> None:
        """Fill `blob` in place; random numbers come from `generator` (torch's own if None)."""
        self.check(tuple(blob.shape))
        self.require_known()
        RULES[self.type](self, blob, generator)

    def require_known(self) -> None:
        """Raise UnsupportedError for a fork's filler, which can be read but not drawn from.

        Raises UsageError for a file that is not there.
        """
        if self.type in RULES and not self.is_known:
            raise UsageError(
                f"a filler's file {self.file!r} is not there",
                fix="put it at that path under the working folder, or give the weights",
            )
        if not self.is_known:
            known = ", ".join(sorted(RULES))
            fix = f"known: {known}; weights take a filler's place"
            raise UnsupportedError(f"filler type {self.type!r} is unknown", fix=fix)

    @property
    def is_known(self) -> bool:
        """Tell whether its rule is here: forks have others (gabor, ...)."""
        return self.type in RULES and (self.type != "file" or Path(self.file).is_file())

    def fan(self, shape: tuple[int, ...]) -> float:
        """Return Caffe's n of xavier and msra for a blob of this shape."""
        count = prod(shape)
        fan_in = count // shape[0]
        fan_out = count // shape[1] if len(shape) > 1 else count
        return {FAN_IN: fan_in, FAN_OUT: fan_out, AVERAGE: (fan_in + fan_out) / 2}[
            self.variance_norm
        ]


def _constant(filler: Filler, blob: Tensor, generator: torch.Generator | None) -> None:
    blob.fill_(float32(filler.value))


def _uniform(filler: Filler, blob: Tensor, generator: torch.Generator | None) -> None:
    blob.uniform_(float32(filler.min), float32(filler.max), generator=generator)


def _gaussian(filler: Filler, blob: Tensor, generator: torch.Generator | None) -> None:
    blob.normal_(float32(filler.mean), float32(filler.std), generator=generator)
    if filler.sparse >= 0:
        keep = filler.sparse / blob.shape[0]
        blob.mul_(torch.empty_like(blob).bernoulli_(keep, generator=generator))


def _positive_unitball(filler: Filler, blob: Tensor, generator: torch.Generator | None) -> None:
    blob.uniform_(0, 1, generator=generator)
    rows = blob.view(blob.shape[0] if blob.dim() else 1, -1)
    rows.div_(rows.sum(dim=1, keepdim=True))


def _gaussian_unitball(filler: Filler, blob: Tensor, generator: torch.Generator | None) -> None:
    blob.normal_(0, 1, generator=generator)
    rows = blob.view(blob.shape[0] if blob.dim() else 1, -1)
    rows.div_(((rows * rows).sum(dim=1, keepdim=True) + 1e-12).sqrt_())


def _identity(filler: Filler, blob: Tensor, generator: torch.Generator | None) -> None:
    size = blob.shape[0]
    blob.zero_().view(-1)[: size * size : size + 1] = 1


def _xavier(filler: Filler, blob: Tensor, generator: torch.Generator | None) -> None:
    limit = sqrt(3 / filler.fan(tuple(blob.shape)))
    blob.uniform_(-limit, limit, generator=generator)


def _msra(filler: Filler, blob: Tensor, generator: torch.Generator | None) -> None:
    blob.normal_(0, sqrt(2 / filler.fan(tuple(blob.shape))), generator=generator)


def _bilinear(filler: Filler, blob: Tensor, generator: torch.Generator | None) -> None:
    size = blob.shape[-1]
    half = ceil(size / 2)
    # Caffe computes both in float.
    centre = float32((2 * half - 1 - half % 2) / (2 * half))
    at = torch.arange(size, dtype=torch.float32)
    line = 1 - (at / half - centre).abs()
    blob.copy_(line[:, None] * line[None, :])


def _diagonal(filler: Filler, blob: Tensor, generator: torch.Generator | None) -> None:
    outputs, inputs, height, width = (*blob.shape, 1, 1, 1, 1)[:4]
    area = height * width
    planes = blob.view(outputs, inputs, area).zero_()
    for n in range(min(outputs, inputs)):
        value = filler.diag_val[n] if n < len(filler.diag_val) else 1.0
        planes[n, n] = float32(value) / area


def _border_mask(filler: Filler, blob: Tensor, generator: torch.Generator | None) -> None:
    height, width = blob.shape[2:]
    border = int(float32(min(height, width) * float32(filler.border_ratio)) + 0.5)
    blob.zero_()[..., border : height - border, border : width - border] = 1


def _flow_border_mask(filler: Filler, blob: Tensor, generator: torch.Generator | None) -> None:
    blob.fill_(1)
    blob[:, 0, :, -1] = 0
    blob[:, 1, -1, :] = 0


def _file(filler: Filler, blob: Tensor, generator: torch.Generator | None) -> None:
    try:
        values = [float(word) for word in Path(filler.file).read_text("utf-8").split()]
    except (OSError, ValueError) as error:
        raise FormatError(
            f"a filler's file {filler.file!r} is no list of numbers: {error}"
        ) from None
    require(
        len(values) >= blob.numel(),
        f"a filler's file {filler.file!r} has {len(values)} numbers, wants {blob.numel()}",
    )
    blob.copy_(blob.new_tensor(values[: blob.numel()]).reshape(blob.shape))


RULES = {
    "constant": _constant,
    "uniform": _uniform,
    "gaussian": _gaussian,
    "gaussian_unitball": _gaussian_unitball,
    "identity": _identity,
    "positive_unitball": _positive_unitball,
    "xavier": _xavier,
    "msra": _msra,
    "bilinear": _bilinear,
    "diagonal": _diagonal,
    "borderMask": _border_mask,
    "flowBorderMask": _flow_border_mask,
    "file": _file,
}
