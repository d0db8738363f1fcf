"""Caffe's file formats: definitions and weights, of BVLC and of its forks. Needs no torch."""

import lazy_loader

# `__init__.pyi` names what comes from where: each is imported when it is first asked for.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
