"""BeamSearchNode, of bottom-up and top-down attention: its shapes alone."""

from __future__ import annotations

from typing import Any

from caffe_layers.base.checks import require
from caffe_layers.base.shape import Shape
from caffe_layers.base.shapes_only import ShapesOnly


class BeamSearchNode(
    ShapesOnly,
    type="BeamSearchNode",
    fork="up_down",
    bottoms=(1, None),
    tops=(3, None),
):
    """One word more for each of the sequences that a beam search keeps.

    Bottoms: with two tops more than bottoms, the scores N x V of the first words; else the sums of
    scores, N x 1, the sequences, N x S, and the scores of the next words; then what recurs, N x C.
    Tops: the sums, N x 1, the sequences, N x (S + 1), the last words, N x 1, and what recurs.

    Errors: ShapeError for tops that are neither as many nor two more; UnsupportedError on running:
    the layer's CPU and GPU code choose other words, and a definition does not say which ran.
    Caffe: peteanderson80/caffe, src/caffe/layers/beam_search_node_layer.cpp, .cu
    """

    fork_fields = ("beam_search_param",)
    reason = "chooses other words by its CPU code than by its GPU code"
    fix = "--end BLOB ends the network before it, and a search outside takes the scores"

    def __init__(self, *, tops: int) -> None:
        super().__init__()
        self.count = tops

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> BeamSearchNode:
        return cls(tops=len(layer.top))

    def shapes(self, *bottoms: Shape) -> list[Shape]:
        begins = self.count == len(bottoms) + 2
        require(
            begins or self.count == len(bottoms) >= 3,
            f"{self.count} tops for {len(bottoms)} bottoms, wants as many, or two more",
        )
        for bottom in bottoms:
            require(len(bottom) == 2, f"bottom {bottom} has {len(bottom)} axes, wants 2")
        rows = bottoms[0][0]
        steps = 0 if begins else bottoms[1][1]
        return [(rows, 1), (rows, steps + 1), (rows, 1), *bottoms[1 if begins else 3 :]]
