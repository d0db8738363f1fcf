"""The shape of a blob."""

Shape = tuple[int, ...]
