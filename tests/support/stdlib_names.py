"""Say what files import of the standard library that the Python which runs this has not.

`python stdlib_names.py FOLDER ...` needs that Python alone, and prints a line for each.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path


def missing(path: Path) -> Iterator[str]:
    """Yield the names that a file takes from standard modules, and that they lack."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            if node.module.partition(".")[0] not in sys.stdlib_module_names:
                continue
            module = import_module(node.module)
            for alias in node.names:
                if not hasattr(module, alias.name):
                    yield f"{path}:{node.lineno}: {node.module} has no {alias.name}"


if __name__ == "__main__":
    for folder in sys.argv[1:]:
        for file in sorted(Path(folder).rglob("*.py")):
            for line in missing(file):
                print(line)
