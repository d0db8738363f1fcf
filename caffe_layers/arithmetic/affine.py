"""A step that is affine for each channel, and its folding into the convolution before it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Affine:
    """`y = x * scale + shift` per channel, in double."""

    scale: Tensor
    shift: Tensor

    def then(self, after: Affine) -> Affine:
        """Return this one followed by another."""
        return Affine(self.scale * after.scale, self.shift * after.scale + after.shift)

    def folded_into(self, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor] | None:
        """Return the weight and bias of a convolution that does this step too.

        None where their type cannot hold them: a running variance near 0 makes large scales.
        """
        scale, shift = self.scale.to(weight.device), self.shift.to(weight.device)
        new_weight = weight.double() * scale.reshape(-1, *(1,) * (weight.dim() - 1))
        new_bias = shift if bias is None else bias.double() * scale + shift
        folded = new_weight.to(weight.dtype), new_bias.to(weight.dtype)
        return folded if all(bool(blob.isfinite().all()) for blob in folded) else None
