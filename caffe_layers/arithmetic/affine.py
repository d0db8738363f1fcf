"""A step that is affine for each channel, and its folding into the convolution before it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from torch import Tensor

Node = TypeVar("Node")


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


def affine_chain(
    value: str,
    reader: Callable[[str], Node | None],
    affine_of: Callable[[Node, str], Affine | None],
    output: Callable[[Node], str],
) -> tuple[list[Node], Affine | None]:
    """Return what follows a value and is affine, one after another, and what all of it does.

    `reader` gives what alone reads a value, `affine_of` what that does to it if it is affine, and
    `output` the value that it makes.
    """
    chain: list[Node] = []
    whole: Affine | None = None
    while (node := reader(value)) is not None and (step := affine_of(node, value)) is not None:
        chain.append(node)
        whole = whole.then(step) if whole else step
        value = output(node)
    return chain, whole
