"""ImageData."""

from __future__ import annotations

from functools import partial
from typing import Any

from caffe_layers.base.checks import require
from caffe_layers.base.fields import arguments_of, read_fields
from caffe_layers.base.message import fork_field
from caffe_layers.base.shape import Shape
from prototxt.data.images import read_image, resize
from prototxt.data.lists import beneath, read_image_list
from prototxt.errors import ShapeError

from .base_data import PREFETCH, BaseData, opened
from .batches import SHUFFLE, SKIP, Array, Images, Way
from .data_transformer import DataTransformer


class ImageData(BaseData, type="ImageData", param="image_data_param", bottoms=0, tops=2):
    """Images N x C x H x W and their labels N, from the files that a list names.

    `source` has a line `image label` for each; `root_folder` stands before the names, which may
    not lead out of it. C is 3, or 1 without `is_color`; `new_height` and `new_width` resize. The
    first image gives H and W. With `shuffle` each epoch has another order; a `rand_skip` of n
    passes over less than n images at the start. Where the list is not there, the tops can only be
    fed, and H and W are known where the layer crops or resizes.

    Errors: ShapeError for only one of `new_height` and `new_width`; FormatError for a line that
    names no image and label, and for an image that is missing or damaged.
    Caffe: BVLC/caffe, src/caffe/layers/image_data_layer.cpp
    """

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> ImageData:
        param = layer.image_data_param
        transform = DataTransformer.from_caffe(layer.transform_param)
        height, width, batch = param.new_height, param.new_width, param.batch_size
        if bool(height) != bool(width):
            raise ShapeError(f"new_height is {height} and new_width {width}, wants both or none")
        require(batch > 0, "batch_size is 0, wants 1 or more")
        files = partial(
            ImageFiles,
            transform=transform,
            size=(height, width),
            **read_fields(param, arguments_of(ImageFiles)),
        )
        samples, read_error = opened(files, param.source, param, layer.transform_param)
        if transform.crop_size:
            height = width = transform.crop_size
        image = (batch, 3 if param.is_color else 1, height, width) if height else None
        return cls(
            image,
            (batch,),
            samples=samples,
            read_error=read_error,
            transform=transform,
            prefetch=fork_field(layer.data_param, "prefetch", PREFETCH),
            **cls.fields(layer),
        )


class ImageFiles(Images):
    """The images of a list."""

    def __init__(
        self,
        source: str,
        transform: DataTransformer,
        *,
        root_folder: str = "",
        size: tuple[int, int] = (0, 0),
        is_color: bool = True,
        shuffle: bool = False,
        rand_skip: int = 0,
    ) -> None:
        super().__init__(transform)
        self.source = source
        self.entries = read_image_list(source)
        self.root_folder = root_folder
        self.size = size
        self.is_color = is_color
        self.shuffle = shuffle
        self.rand_skip = rand_skip
        self._order: tuple[tuple[Way, int], Array] | None = None  # of the latest epoch

    def __len__(self) -> int:
        return len(self.entries)

    def index(self, position: int, way: Way) -> int:
        epoch, index = divmod(position + self._skipped(way), len(self))
        if not self.shuffle:
            return index
        if self._order is None or self._order[0] != (way, epoch):
            order = way.random(SHUFFLE, epoch).permutation(len(self))
            self._order = (way, epoch), order
        return int(self._order[1][index])

    def _skipped(self, way: Way) -> int:
        if not self.rand_skip:
            return 0
        skip = int(way.random(SKIP).integers(self.rand_skip))
        if skip >= len(self):
            raise ShapeError(f"rand_skip passes over {skip} images, {self.source} has {len(self)}")
        return skip

    def read(self, index: int) -> tuple[str, Array, int]:
        name, label = self.entries[index]
        image = read_image(beneath(self.root_folder, name, self.source), color=self.is_color)
        if all(self.size):
            image = resize(image, *self.size)
        return f"{self.source}: {name}", image.transpose(2, 0, 1), label
