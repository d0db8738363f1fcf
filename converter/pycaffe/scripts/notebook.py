"""A notebook's code cells, with IPython's own commands as Python."""

from __future__ import annotations

import ast
import json
import linecache
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prototxt.errors import FormatError, within

from .ipython import MAGIC, SHELL, SHOW, SILENT, TIMING

_COMMAND = re.compile(r"^(\s*)(%|!)\s*(\w*)(.*)$")
_OPTIONS = re.compile(r"^(\s*-\w+\s*\d*)*")


@dataclass(frozen=True)
class Cell:
    """One code cell: its name in tracebacks, and its source."""

    name: str
    source: str

    def shown(self, tree: ast.Module) -> ast.Module:
        """Return the cell so that the value of the expression it ends with is printed."""
        lines = self.source.splitlines(keepends=True)
        linecache.cache[self.name] = (len(self.source), None, lines, self.name)
        last = tree.body[-1] if tree.body else None
        if isinstance(last, ast.Expr) and not self.source.rstrip().endswith(";"):
            show = ast.Call(ast.Name(SHOW, ast.Load()), [last.value], [])
            tree.body[-1] = ast.copy_location(ast.Expr(show), last)
            ast.fix_missing_locations(tree)
        return tree


def cells_of(path: Path) -> list[Cell]:
    """Return the code cells, of any version of the format; FormatError for another file."""
    with within(str(path)):
        try:
            held: Any = json.loads(path.read_text("utf-8"))
            rows = held.get("cells")
        except (ValueError, AttributeError) as error:
            raise FormatError(f"no notebook: {error}") from None
        if rows is None:
            rows = [cell for sheet in held.get("worksheets", []) for cell in sheet["cells"]]
        codes = [cell for cell in rows if cell.get("cell_type") == "code"]
        if not codes:
            raise FormatError("no code in it, wants a notebook's cells")
        return [
            Cell(f"{path}[{number}]", as_python(_text(cell)))
            for number, cell in enumerate(codes, start=1)
        ]


def _text(cell: Any) -> str:
    source = cell.get("source", cell.get("input", ""))
    return source if isinstance(source, str) else "".join(source)


def as_python(source: str) -> str:
    """Return a cell's source with IPython's commands as calls."""
    lines = source.splitlines()
    if lines and lines[0].startswith("%%"):
        word = lines[0][2:].split(" ")[0]
        if word not in TIMING:
            text = "\n".join(lines[1:])
            return f"{MAGIC}({word!r}, {text!r})\n"
        lines[0] = ""
    return "".join(f"{_line_as_python(line)}\n" for line in lines)


def _line_as_python(line: str) -> str:
    found = _COMMAND.match(line)
    if not found:
        return line
    indent, mark, word, rest = found.groups()
    if mark == "!":
        return f"{indent}{SHELL}({(word + rest)!r})"
    if word in TIMING:
        return indent + _OPTIONS.sub("", rest).strip()
    if word in SILENT:
        return f"{indent}pass"
    return f"{indent}{MAGIC}({word!r}, {rest.strip()!r})"
