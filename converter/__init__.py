"""Whole networks: from Caffe's files to PyTorch and ONNX, and the proof that they agree."""

import lazy_loader

from .version import VERSION

# `__init__.pyi` names what comes from where: each is imported when it is first asked for, so that
# a command needs no torch to say its help.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__version__ = VERSION
