"""What selective kernels select: the attention of each branch, over images, classes and scales.

Figures 3 and 4 of the SKNet paper.
"""

from .measure import Attention, measure_attention
from .plots import draw_attention
from .tables import write_tables
from .units import Unit, attention_of, units_of

__all__ = [
    "Attention",
    "Unit",
    "attention_of",
    "draw_attention",
    "measure_attention",
    "units_of",
    "write_tables",
]
