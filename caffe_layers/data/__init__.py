"""What brings blobs in and carries them out."""

from .data import Data
from .dummy_data import DummyData
from .hdf5_data import HDF5Data
from .hdf5_output import HDF5Output
from .image_data import ImageData
from .input import Input
from .memory_data import MemoryData
from .python import Python
from .window_data import WindowData

__all__ = [
    "Data",
    "DummyData",
    "HDF5Data",
    "HDF5Output",
    "ImageData",
    "Input",
    "MemoryData",
    "Python",
    "WindowData",
]
