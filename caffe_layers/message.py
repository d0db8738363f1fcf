"""Reading protobuf messages of layers."""

from __future__ import annotations

from typing import Any


def enum_name(message: Any, field: str) -> str:
    """Return the name of an enum field's value: `MAX` for `pool: MAX`."""
    values = message.DESCRIPTOR.fields_by_name[field].enum_type.values_by_number
    return str(values[getattr(message, field)].name)
