"""From Python 2's source to what it says in Python 3."""

from __future__ import annotations

import ast
import builtins
from functools import cache
from typing import Any

import numpy as np

from prototxt.errors import FormatError, UsageError

from .files import opened

DIVIDE, DIVIDE_IN_PLACE = "__divided__", "__divided_in_place__"
LEFT_OUT = frozenset({"fix_imports", "fix_imports2", "fix_idioms", "fix_buffer", "fix_ws_comma"})
"""Fixers of no use: old modules are found under their old names (`OldModules`)."""


def parse_python_2(source: str, name: str) -> ast.Module:
    """Parse Python 2 or 3: whole numbers divide to whole numbers, but where `division` is imported.

    Raises UsageError without fissix, FormatError for what is neither.
    """
    own = "from __future__ import division" in source
    tree = ast.parse(_fixed(source if source.endswith("\n") else f"{source}\n", name), name)
    if not own:
        tree = ast.fix_missing_locations(_Division().visit(tree))
    return tree


def require_fissix() -> None:
    """Raise UsageError without fissix."""
    _tool(True)


def names() -> dict[str, Any]:
    """Return what translated modules find among the builtins."""
    own = {"round": rounded, "open": opened, "file": opened}
    return {DIVIDE: divided, DIVIDE_IN_PLACE: divided_in_place, **own}


def _fixed(source: str, name: str) -> str:
    tools = [_tool(print_function) for print_function in (False, True)]
    from fissix.pgen2.parse import ParseError
    from fissix.pgen2.tokenize import TokenError

    problem = ""
    for tool in tools:
        try:
            return str(tool.refactor_string(source, name))
        except (ParseError, TokenError) as error:
            problem = problem or str(error)
    raise FormatError(f"{name}: neither Python 2 nor 3: {problem}")


@cache
def _tool(print_function: bool) -> Any:
    try:
        from fissix import refactor
    except ImportError:
        raise UsageError(
            "--python2 translates with fissix, which is not installed",
            fix="pip install 'caffeport[python2]'",
        ) from None
    fixers = [
        fixer
        for fixer in refactor.get_fixers_from_package("fissix.fixes")
        if fixer.rpartition(".")[2] not in LEFT_OUT
    ]
    return refactor.RefactoringTool(fixers, {"print_function": print_function})


class _Division(ast.NodeTransformer):
    """Puts Python 2's division in place of `/`."""

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:  # ast's name
        self.generic_visit(node)
        if not isinstance(node.op, ast.Div):
            return node
        call = ast.Call(ast.Name(DIVIDE, ast.Load()), [node.left, node.right], [])
        return ast.copy_location(call, node)

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST:  # ast's name
        self.generic_visit(node)
        if not isinstance(node.op, ast.Div):
            return node
        read = ast.parse(ast.unparse(node.target), mode="eval").body
        call = ast.Call(ast.Name(DIVIDE_IN_PLACE, ast.Load()), [read, node.value], [])
        return ast.copy_location(ast.Assign([node.target], call), node)


def _is_whole(value: Any) -> bool:
    if isinstance(value, (int, np.integer)):
        return True
    return isinstance(value, np.ndarray) and value.dtype.kind in "iub"


def divided(a: Any, b: Any) -> Any:
    """Return `a / b` of Python 2."""
    return a // b if _is_whole(a) and _is_whole(b) else a / b


def divided_in_place(a: Any, b: Any) -> Any:
    """Do `a /= b` of Python 2."""
    if isinstance(a, np.ndarray):
        if _is_whole(a):
            np.floor_divide(a, b, out=a, casting="unsafe")
        else:
            a /= b
        return a
    return divided(a, b)


def rounded(number: Any, digits: int = 0) -> Any:
    """Return a float, halves rounded away from 0."""
    if isinstance(number, (int, float, np.floating, np.integer)):
        scale = 10.0**digits
        value = abs(float(number)) * scale
        whole = np.floor(value + 0.5) / scale
        return float(-whole if number < 0 else whole)
    return builtins.round(number, digits)
