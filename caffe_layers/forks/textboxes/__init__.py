"""The layers of TextBoxes and TextBoxes++: SSD's, with denser boxes, and corners of text."""

from .detection_output import TextDetectionOutput
from .prior_box import DenserPriorBox, TextBoxesPriorBox

__all__ = ["DenserPriorBox", "TextBoxesPriorBox", "TextDetectionOutput"]
