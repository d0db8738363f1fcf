"""What C3D's convolution and its transpose share."""

from __future__ import annotations

from typing import Any

from typing_extensions import Self

from caffe_layers.base.shape import Shape
from caffe_layers.vision.base_conv import BaseConvolution

from .volume import require_volume, volume_window


class VolumeFilters(BaseConvolution):
    """Base: one weight for all channels, a bias of five axes, fields as `volume_window` reads."""

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> Self:
        require_volume(bottoms[0])
        window = volume_window(getattr(layer, cls.param))
        fields = cls.fields(layer, group=1, axis=1, dilation=1, **window)
        return cls(bottoms[0][1], **fields)

    def bias_shape(self) -> Shape:
        return (1, 1, 1, 1, self.num_output)
