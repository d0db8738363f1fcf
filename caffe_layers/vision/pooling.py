"""Pooling."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from caffe_layers.arithmetic.pool import (
    Pool,
    ave_pool,
    bound_max_pool,
    max_pool,
    onnx_ave_pool,
    onnx_global_max,
    onnx_max_places,
    onnx_max_pool,
    pool_source,
)
from caffe_layers.arithmetic.stochastic_pool import drawn, onnx_weighted_mean, weighted_mean
from caffe_layers.arithmetic.window import Sizes, Window, make_window
from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.message import enum_name
from caffe_layers.base.op import Op, Py, Values
from caffe_layers.base.shape import Shape
from prototxt.errors import ShapeError, UnsupportedError

from .pooling_param import EACH, read_each_axis, read_kernel, read_round_mode, read_sizes

METHODS = ("MAX", "AVE", "STOCHASTIC")
MODES = ("CEIL", "FLOOR")


class Pooling(Layer, type="Pooling", param="pooling_param", tops=(1, 2)):
    """The largest value (MAX), the mean (AVE) or a drawn value (STOCHASTIC) of each window.

    N x C x H x W becomes N x C x H' x W', `H' = ceil((H + 2 pad - kernel) / stride) + 1`, or
    floor in `round_mode` FLOOR; with any padding a last window that would start beyond H + pad is
    dropped. `mask` gives a second top with the place of each maximum, `h * W + w`.

    AVE divides by the window's size up to H + pad, so that zeros of the padding count and what
    hangs over does not. MAX starts from -FLT_MAX, and NaN never wins. STOCHASTIC draws by the
    values in training and else gives `sum(x**2) / sum(x)`. A window wholly outside, which a stride
    larger than the kernel allows, gives -FLT_MAX with place -1, or 0 / 0.

    Forks of volumes take N x C x D x H x W too: `kernel_size`, `stride` and `pad` count along
    all three axes, and a place is `(d * H + h) * W + w`. STOCHASTIC is for images.

    Intel's `avg_include_pad`, if false, lets AVE divide by how much of the bottom a window sees;
    Caffe's others always include the padding. soeaver's `ceil_mode` is `round_mode`.

    Errors: ShapeError for a bottom without 4 or 5 axes, pad as large as the kernel, an empty top.
    Caffe: BVLC/caffe, src/caffe/layers/pooling_layer.cpp
    """

    family = "pooling"
    fork_fields = ("pooling_param.ceil_mode", "pooling_param.avg_include_pad")

    def __init__(
        self,
        *,
        pool: str = "MAX",
        kernel_size: Sizes | None = None,
        stride: Sizes = 1,
        pad: Sizes = 0,
        global_pooling: bool = False,
        round_mode: str = "CEIL",
        mask: bool = False,
        avg_include_pad: bool = True,
    ) -> None:
        super().__init__()
        for name, value, known in (("pool", pool, METHODS), ("round_mode", round_mode, MODES)):
            require(value in known, f"{name} {value!r} is none of {', '.join(known)}")
        if pool != "MAX" and mask:
            raise ShapeError(f"2 tops, but {pool} pooling makes 1: only MAX has places to tell")
        self.pool, self.round_mode, self.mask = pool, round_mode, mask
        self.avg_include_pad = avg_include_pad
        self.window: Window | None = None
        if global_pooling:
            require(kernel_size is None, "global_pooling takes the bottom's size, wants no kernel")
            if not (_only(1, stride) and _only(0, pad)):
                raise ShapeError(f"global_pooling wants stride 1 and pad 0, got {stride} and {pad}")
            return
        require(kernel_size is not None, "no kernel size, wants one, or global_pooling")
        assert kernel_size is not None
        self.window = make_window(kernel_size, stride, pad)
        axes = len(self.window.kernel)
        require(axes in (2, 3), f"kernel_size has {axes} numbers, wants 1, 2 or 3")
        padded = any(self.window.pad)
        require(not padded or pool != "STOCHASTIC", "padding is for MAX and AVE, got STOCHASTIC")
        for size, margin in zip(self.window.kernel, self.window.pad, strict=True):
            require(margin < size, f"pad {margin} wants to be less than the kernel, {size}")

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> Pooling:
        param = layer.pooling_param
        axes = 3 if len(bottoms[0]) == 5 else 2
        computed = {
            "kernel_size": read_kernel(param, axes),
            "stride": read_sizes(param, "stride", axes),
            "pad": read_sizes(param, "pad", axes),
            "round_mode": read_round_mode(param),
        }
        return cls(mask=len(layer.top) == 2, **cls.fields(layer, **computed))

    @property
    def details(self) -> list[str]:
        return [self.pool, *(self.window.details() if self.window else ["global"])]

    def shapes(self, x: Shape) -> list[Shape]:
        wanted = "4: N x C x H x W, or 5 of a volume"
        if self.window is not None:
            wanted = "4: N x C x H x W" if len(self.window.kernel) == 2 else "5: N x C x D x H x W"
        fits = len(x) in (4, 5) if self.window is None else len(x) == 2 + len(self.window.kernel)
        require(fits, f"bottom {x} has {len(x)} axes, wants {wanted}")
        flat = self.pool != "STOCHASTIC" or len(x) == 4
        require(flat, f"STOCHASTIC pooling is for images, the bottom is {x}")
        pool = self._pool(x[2:])
        top = (*x[:2], *pool.sizes(x[2:]))
        if min(top) < 1:
            kernel = pool.window.kernel
            raise ShapeError(f"the top would be {top}: kernel {kernel} does not fit {x}")
        return [top] * (1 + self.mask)

    def _pool(self, spatial: Sequence[int]) -> Pool:
        window = self.window or make_window(tuple(spatial))
        return Pool(window, self.round_mode == "CEIL", self.avg_include_pad)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        pool = self._pool(x.shape[2:])
        if self.pool == "MAX":
            y, places = max_pool(x, pool)
            return (y, places.to(y.dtype)) if self.mask else y
        if self.pool == "AVE":
            return ave_pool(x, pool) if self.window else x.mean(_spatial(x.dim()), keepdim=True)
        return drawn(x, pool) if self.training else weighted_mean(x, pool)

    def bound(self, x: Shape) -> Callable[[Tensor], Any] | None:
        if self.pool != "MAX" or self.mask:
            return None
        pool = self._pool(x[2:])
        return bound_max_pool(pool) if len(x) == 4 and pool.native else None

    def onnx(self, op: Op, x: str) -> Values:
        if self.window is None:
            return self._onnx_global(op, x)
        pool = self._pool(())
        if self.pool == "MAX":
            return onnx_max_places(op, x, pool) if self.mask else onnx_max_pool(op, x, pool)
        if self.pool == "AVE":
            return onnx_ave_pool(op, x, pool)
        return onnx_weighted_mean(op, x, pool, training=self.training)

    def python(self, py: Py, x: str) -> str:
        if self.mask or self.pool == "STOCHASTIC":
            raise UnsupportedError(f"no Python source of {self.pool} pooling with its places")
        if self.window is None:
            spatial = _spatial(len(py.shapes[0]))
            return f"{x}.{'mean' if self.pool == 'AVE' else 'amax'}({spatial}, keepdim=True)"
        return pool_source(py, x, self._pool(()), self.pool)

    def _onnx_global(self, op: Op, x: str) -> Values:
        if self.pool == "AVE":
            return op.GlobalAveragePool(x)
        if self.pool == "STOCHASTIC":
            return onnx_weighted_mean(op, x, None, training=self.training)
        if not self.mask:
            return onnx_global_max(op, x)
        ones = (1,) * (len(op.shape(x)) - 3)
        flat = op.Reshape(x, op.ints(0, 0, -1, *ones))
        return op.GlobalMaxPool(x), op.to_float(op.ArgMax(flat, axis=2, keepdims=1))


def _spatial(rank: int) -> tuple[int, ...]:
    """Return the axes of an image or a volume."""
    return tuple(range(2, rank))


def _only(number: int, sizes: Sizes) -> bool:
    """Tell whether the sizes are all this number."""
    return {sizes} == {number} if isinstance(sizes, int) else set(sizes) <= {number}


class PoolingND(Pooling, type="PoolingND", fork="caffe_3d", param="pooling_nd_param", tops=(1, 2)):
    """Pooling over 2 or 3 axes; `kernel_size`, `stride` and `pad` are given once or once an axis.

    Errors: those of Pooling; UnsupportedError for STOCHASTIC, which Caffe lacks too, and another
    channel axis than 1.
    Caffe: yulequan/3D-Caffe (branch 3D-Caffe), src/caffe/layers/pooling_nd_layer.cpp
    """

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> Pooling:
        param, axes = layer.pooling_nd_param, len(bottoms[0]) - 2
        if param.axis != 1 or enum_name(param, "pool") == "STOCHASTIC":
            raise UnsupportedError("PoolingND is here for MAX and AVE, with the channels on axis 1")
        whole = param.global_pooling
        found = {name: read_each_axis(param, name, axes, none) for name, none in EACH.items()}
        if whole and found["kernel_size"]:
            raise ShapeError("global_pooling takes the bottom's size, wants no kernel")
        return cls(mask=len(layer.top) == 2, **cls.fields(layer, **found))
