"""Where `prototxt.data.datum` was, for code that still looks here."""

from warnings import warn

from .data.datum import read_datum as read_datum
from .data.datum import write_datum as write_datum

warn("prototxt.datum is prototxt.data.datum now", DeprecationWarning, stacklevel=2)
