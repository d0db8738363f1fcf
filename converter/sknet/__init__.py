"""SKNet as a plain PyTorch network, and its weights from and to Caffe's files."""

from .caffe import caffe_names, load_caffemodel, save_caffemodel
from .networks import SKNet, sknet50, sknet101
from .recognize import arguments, from_net

__all__ = [
    "SKNet",
    "arguments",
    "caffe_names",
    "from_net",
    "load_caffemodel",
    "save_caffemodel",
    "sknet50",
    "sknet101",
]
