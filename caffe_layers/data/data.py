"""Data."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from caffe_layers.base.message import enum_name
from caffe_layers.base.shape import Shape
from prototxt.data.backends import BACKENDS, backend_of
from prototxt.data.database import Database
from prototxt.data.datum import read_datum
from prototxt.errors import FormatError, UnsupportedError, within

from .base_data import BaseData, opened
from .batches import Array, Images, Way
from .data_transformer import DataTransformer


class Data(BaseData, type="Data", param="data_param", bottoms=0, tops=(1, 2)):
    """Images N x C x H x W and their labels N: the records of a database in the order of its keys.

    The database is a LevelDB or an LMDB of Datum messages with raw or encoded images; the first
    one gives C, H and W. Where it is not there, the tops can only be fed, and the definition says
    N, and H and W where it crops; C only where there is a mean value for each channel.
    `force_encoded_color` is the transform's `force_color`; `rand_skip` says nothing, as in today's
    Caffe.

    Errors: FormatError for a database or record that is damaged, with its key; UnsupportedError for
    a database of another kind than `backend` says.
    Caffe: BVLC/caffe, src/caffe/layers/data_layer.cpp
    """

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> Data:
        param = layer.data_param
        transform = DataTransformer.from_caffe(layer.transform_param)
        batch, crop, channels = param.batch_size, transform.crop_size, len(transform.mean_value)
        known = batch and crop and channels > 1
        tops = ((batch, channels, crop, crop) if known else None, (batch,) if batch else None)
        color = True if param.force_encoded_color else transform.color
        records = partial(_records, param.source, enum_name(param, "backend"), transform, color)
        samples, read_error = opened(records, param.source, param, layer.transform_param)
        return cls(
            *tops[: len(layer.top)],
            samples=samples,
            read_error=read_error,
            transform=transform,
            **cls.fields(layer),
        )


class Records(Images):
    """The records of a database of Datum messages."""

    def __init__(
        self, database: Database, transform: DataTransformer, color: bool | None = None
    ) -> None:
        super().__init__(transform)
        self.database = database
        self.color = color

    def __len__(self) -> int:
        return len(self.database)

    def index(self, position: int, way: Way) -> int:
        return position  # a LevelDB's records are not counted to read them in order

    def read(self, index: int) -> tuple[str, Array, int]:
        key, value = self.database.at(index)
        place = f"{self.database.path}: record {key!r}"
        with within(place):
            return place, *read_datum(value, color=self.color)


def _records(source: str, backend: str, transform: DataTransformer, color: bool | None) -> Records:
    folder = Path(source)
    if not (source and folder.exists()):
        raise FormatError(
            f"there is no database {source!r}", fix="paths begin in the working folder"
        )
    found = backend_of(folder)
    if found is not None and found != backend:
        raise UnsupportedError(f"{source}: no {backend}", fix=f"say `backend: {found}`: it is one")
    return Records(BACKENDS[backend](source), transform, color)
