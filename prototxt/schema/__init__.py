"""Caffe's schema and its forks': one set of message classes for each dialect.

A dialect is BVLC's schema with one fork's file merged over it. No file is read until a layer asks
for it. A user's own fragment joins with `Schema.with_file`. What several forks have alike and none
of them began stands in `shared/`, which they import. `forks/` has the further dialects, made from
those forks' own `caffe.proto`: they read what the others do not.
"""

from .dialect import Dialect, dialect_of
from .dialects import SHIPPED, Schema, dialect
from .extra_fields import Extra

__all__ = ["SHIPPED", "Dialect", "Extra", "Schema", "dialect", "dialect_of"]
