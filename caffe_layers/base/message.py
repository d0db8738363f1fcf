"""Reading protobuf messages of layers."""

from __future__ import annotations

from typing import Any

TRAINING = frozenset({"LossParameter", "ParamSpec", "TransformationParameter"})
"""Messages whose fields matter in training, or to the reading of data, alone."""

FILLING = frozenset({"FillerParameter"})
"""Messages whose fields matter where no weights are given."""


def enum_name(message: Any, field: str) -> str:
    """Return the name of an enum field's value: `MAX` for `pool: MAX`."""
    values = message.DESCRIPTOR.fields_by_name[field].enum_type.values_by_number
    return str(values[getattr(message, field)].name)


def fork_field(message: Any, field: str, default: Any = None) -> Any:
    """Return a field that some forks' messages have; `default` where this one lacks it."""
    return getattr(message, field) if field in message.DESCRIPTOR.fields_by_name else default


def is_set(message: Any, field: str) -> bool:
    """Tell whether a field that only some forks' messages have is there and says something."""
    return any(descriptor.name == field for descriptor, _ in message.ListFields())
