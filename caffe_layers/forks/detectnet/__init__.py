"""DetectNet, of NVIDIA/caffe; its Python layers are in `python`."""

from .detectnet_transformation import DetectNetTransformation

__all__ = ["DetectNetTransformation"]
