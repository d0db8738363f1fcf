"""Interp, from DeepLab and PSPNet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from caffe_layers.arithmetic.window import pad_spatial
from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Py, Values
from caffe_layers.base.shape import Shape
from caffe_layers.vision.corner_resize import emit_resized, resized
from prototxt.errors import ShapeError, UnsupportedError

END = 2**63 - 1
"""An end beyond every axis: ONNX's Slice stops at the axis' own."""


class Interp(Layer, type="Interp", fork="pspnet", param="interp_param", bottoms=(1, 2)):
    """Bilinear resizing of N x C x H x W whose corner values stay at the corners.

    `pad_beg` and `pad_end`, which are not positive, first cut so many rows and columns off. The
    top's height is then, by what is given (None is absent; a number may be 1 and still count):
    `(H - 1) / shrink_factor + 1` rounded down; `H + (H - 1) (zoom_factor - 1)`; `height`; or with
    both factors the shrunk size zoomed; alike its width. `use_blob_size` takes the sizes of a
    second bottom, which gets no gradient.

    A top's row `i` lies at `i * r` in the bottom, `r = (H - 1) / (H' - 1)`, both computed in
    float32; half a pixel is not added, as most libraries do when they resize.

    Errors: ShapeError for positive pads, factors below 1, an empty top, or no size at all.
    Caffe: hszhao/PSPNet, src/caffe/layers/interp_layer.cpp, src/caffe/util/interp.cpp
    """

    fixed_bottoms = (1,)
    fork_fields = ("interp_param.use_blob_size",)

    def __init__(
        self,
        *,
        height: int | None = None,
        width: int | None = None,
        zoom_factor: int | None = None,
        shrink_factor: int | None = None,
        pad_beg: int = 0,
        pad_end: int = 0,
        use_blob_size: bool = False,
    ) -> None:
        super().__init__()
        for name, pad in (("pad_beg", pad_beg), ("pad_end", pad_end)):
            require(pad <= 0, f"{name} is {pad}, wants 0 or less: Interp only crops")
        for name, factor in (("zoom_factor", zoom_factor), ("shrink_factor", shrink_factor)):
            require(factor is None or factor >= 1, f"{name} is {factor}, wants 1 or more")
        factors = zoom_factor is not None or shrink_factor is not None
        sized = height is not None and width is not None
        if not (factors or sized or use_blob_size):
            raise ShapeError("no size, wants a factor, height and width, or use_blob_size")
        self.height, self.width = height, width
        self.zoom_factor, self.shrink_factor = zoom_factor, shrink_factor
        self.pad_beg, self.pad_end = pad_beg, pad_end
        self.use_blob_size = use_blob_size

    def shapes(self, x: Shape, *reference: Shape) -> list[Shape]:
        for name, shape in zip(("bottom", "reference"), (x, *reference), strict=False):
            require(len(shape) == 4, f"{name} {shape} has {len(shape)} axes, wants 4")
        wants = 1 + self.use_blob_size
        got = 1 + len(reference)
        fix = "say use_blob_size" if got == 2 else ""
        require(got == wants, f"{got} bottoms, wants {wants}", fix=fix)
        inner = self._inner(x[2:])
        require(min(inner) > 0, f"pads {self.pad_beg} and {self.pad_end} leave nothing of {x}")
        sizes = self._sizes(inner, reference[0][2:] if reference else ())
        require(min(sizes) > 0, f"the top would be {sizes}")
        return [(*x[:2], *sizes)]

    def _inner(self, spatial: Sequence[int]) -> Shape:
        return tuple(size + self.pad_beg + self.pad_end for size in spatial)

    def _sizes(self, inner: Sequence[int], reference: Sequence[int]) -> Shape:
        if reference:
            return tuple(reference)
        if self._explicit():
            assert self.height is not None
            assert self.width is not None
            return self.height, self.width
        zoom, shrink = self._factors()
        return tuple(((size - 1) // shrink) * zoom + 1 for size in inner)

    def _explicit(self) -> bool:
        """Tell whether height and width count: one factor alone goes before them."""
        one = (self.zoom_factor is None) != (self.shrink_factor is None)
        return not one and self.height is not None and self.width is not None

    def _factors(self) -> tuple[int, int]:
        # Zooming n values makes n + (n - 1) (zoom - 1) = (n - 1) zoom + 1 of them.
        return self.zoom_factor or 1, self.shrink_factor or 1

    def forward(self, x: Tensor, *reference: Tensor) -> Tensor:
        x = pad_spatial(x, (self.pad_beg,) * 2, (self.pad_end,) * 2)
        sizes = self._sizes(x.shape[2:], reference[0].shape[2:] if reference else ())
        return resized(x, sizes)

    def onnx(self, op: Op, x: str, *reference: str) -> Values:
        whole = op.shape(x)
        moves = op.dynamic(x)[2:] if not self._explicit() or reference else (False, False)
        if reference:
            moves = op.dynamic(reference[0])[2:]
        cuts = self.pad_beg or self.pad_end
        sizes = self._sizes(self._inner(whole[2:]), op.shape(reference[0])[2:] if reference else ())
        if cuts:
            ends = op.ints(*(self.pad_end or END,) * 2)
            x = op.Slice(x, op.ints(*(-self.pad_beg,) * 2), ends, op.ints(2, 3))
        places = self._onnx_places(op, x, reference, sizes) if any(moves) else op.ints(*sizes)
        return emit_resized(op, x, places)

    def python(self, py: Py, x: str, *reference: str) -> str:
        if self.pad_beg or self.pad_end:
            raise UnsupportedError("no Python source of an Interp that crops")
        size = f"{reference[0]}.shape[2:]" if reference else self.shapes(*py.shapes)[0][2:]
        options = {"size": size, "mode": "'bilinear'", "align_corners": True}
        return py.call("F.interpolate", x, **options)

    def _onnx_places(self, op: Op, x: str, reference: Sequence[str], sizes: Shape) -> str:
        """Append the top's sizes where they are known only when the network runs."""
        source = reference[0] if reference else x
        shape = op.Shape(source)
        spatial = op.Slice(shape, op.ints(2), op.ints(4))
        if reference:
            return spatial
        zoom, shrink = self._factors()
        steps = op.Div(op.Sub(spatial, op.ints(1)), op.ints(shrink))
        return op.Add(op.Mul(steps, op.ints(zoom)), op.ints(1))


class OpenVinoInterp(Interp, type="Interp", fork="openvino", bottoms=(1, 2)):
    """DeepLab's `Interp`, but that `zoom_factor` alone makes a top of `H zoom_factor` rows.

    Nothing in a layer tells the two apart: only where a network's sizes must meet.

    Caffe: openvinotoolkit/training_toolbox_caffe, src/caffe/layers/interp_layer.cpp
    """

    @classmethod
    def fits(cls, layer: Any, blobs: Sequence[Shape] | None) -> bool:
        return False  # only --dialect names it

    def _zoomed(self) -> int | None:
        """Return what the sizes are multiplied by, if that is what the layer does."""
        return self.zoom_factor if self.shrink_factor is None else None

    def _sizes(self, inner: Sequence[int], reference: Sequence[int]) -> Shape:
        zoom = self._zoomed()
        if reference or zoom is None:
            return super()._sizes(inner, reference)
        return tuple(size * zoom for size in inner)

    def _onnx_places(self, op: Op, x: str, reference: Sequence[str], sizes: Shape) -> str:
        zoom = self._zoomed()
        if reference or zoom is None:
            return super()._onnx_places(op, x, reference, sizes)
        return op.Mul(op.Slice(op.Shape(x), op.ints(2), op.ints(4)), op.ints(zoom))
