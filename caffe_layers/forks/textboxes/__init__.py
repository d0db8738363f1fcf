"""The layers of TextBoxes++: SSD's, with denser boxes, and with corners of text beside them."""

from .detection_output import TextDetectionOutput
from .prior_box import DenserPriorBox

__all__ = ["DenserPriorBox", "TextDetectionOutput"]
