"""DetectNetTransformation, of NVIDIA's Caffe."""

from __future__ import annotations

from typing import Any

from caffe_layers.base.checks import legacy_shape, require
from caffe_layers.base.shape import Shape
from caffe_layers.base.shapes_only import ShapesOnly

GRID_NUMBERS = 8
"""Of a cell: whether there is an object, its corners, its size, and two weights."""


class DetectNetTransformation(
    ShapesOnly, type="DetectNetTransformation", fork="nvidia", bottoms=2, tops=2
):
    """Images cut and changed at random, and a grid of cells that hold their boxes: shapes alone.

    Images N x 3 x H x W become N x 3 x `image_size_y` x `image_size_x`, and the second bottom's
    boxes N x (8 + C) x `image_size_y / stride` x `image_size_x / stride`, rounded, where C is one
    more than the largest `dst` of the `object_class`, or 1.

    Errors: ShapeError for images without 3 channels and other numbers of images and lists of boxes;
    UnsupportedError on running.
    Caffe: NVIDIA/caffe at 87a2554, src/caffe/layers/detectnet_transform_layer.cpp,
    src/caffe/util/detectnet_coverage_rectangular.cpp
    """

    fixed_bottoms = (0, 1)
    reason = "changes images at random, in training, and reads boxes of a database"
    fix = "--end, or --input-shape for its tops, does without it"

    def __init__(self, image: tuple[int, int], stride: int, classes: int) -> None:
        super().__init__()
        require(stride > 0, f"stride {stride} wants 1 or more")
        self.image, self.classes = image, classes
        self.grid = tuple(round(side / stride) for side in image)

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> DetectNetTransformation:
        param = layer.detectnet_groundtruth_param
        classes = max((one.dst for one in param.object_class), default=0) + 1
        return cls((param.image_size_y, param.image_size_x), param.stride, classes)

    def shapes(self, images: Shape, boxes: Shape) -> list[Shape]:
        count, channels, *_ = legacy_shape(images, "the images' bottom")
        require(channels == 3, f"the images are {images}, wants 3 channels")
        lists = f"{boxes[0] if boxes else 0} lists of boxes for {count} images"
        require(boxes[:1] == (count,), f"{lists}, wants as many")
        return [(count, 3, *self.image), (count, GRID_NUMBERS + self.classes, *self.grid)]
