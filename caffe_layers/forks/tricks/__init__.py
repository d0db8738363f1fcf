"""Tricks of training classifiers: Mixup."""

from .mixup import Mixup

__all__ = [
    "Mixup",
]
