"""Figures as text: aligned tables, Markdown, shapes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence


def format_table(rows: Sequence[Sequence[str]], *, right: Collection[int] = ()) -> str:
    """Return rows of cells, aligned; the columns in `right` end in line, as numbers do."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def format_markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table as Markdown."""
    head, *body = [f"| {' | '.join(row)} |" for row in (header, *rows)]
    return "\n".join([head, "|" + "---|" * len(header), *body])


def format_shape(shape: Iterable[object], times: str = "x") -> str:
    """Return sizes as `2x3x224x224`; `scalar` where there are none."""
    return times.join(map(str, shape)) or "scalar"
