"""Where `prototxt.data.lmdb` was, for code that still looks here."""

from warnings import warn

from .data.lmdb import Database as Database
from .data.lmdb import write_database as write_database

warn("prototxt.database is prototxt.data.lmdb now", DeprecationWarning, stacklevel=2)
