"""Evaluation of a classifier on labelled images: its top-1 and top-5 error."""

from .evaluate import Evaluation, evaluate
from .features import extract
from .samples import LabelledImages, open_samples

__all__ = ["Evaluation", "LabelledImages", "evaluate", "extract", "open_samples"]
