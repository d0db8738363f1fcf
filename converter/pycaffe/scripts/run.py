"""Runs a script, a module or a notebook as Python itself does, but for `import caffe`."""

from __future__ import annotations

import ast
import builtins
import os
import runpy
import sys
import tokenize
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, NamedTuple

from prototxt.errors import UsageError

from . import ipython
from .notebook import cells_of

Parse = Callable[[str, str], ast.Module]
"""Source and its file's name -> what it says."""
FIX_PYTHON_2 = "run it with --python2, which translates it as it is read (pip install fissix)"


def parse_python(source: str, name: str) -> ast.Module:
    """Parse Python 3."""
    return ast.parse(source, name)


class Language(NamedTuple):
    """What a script is written in: how it is parsed, and what it finds beside the builtins."""

    parse: Parse
    names: Mapping[str, Any]


PYTHON = Language(parse_python, {})


def run_script(path: str, args: Sequence[str], language: Language = PYTHON) -> int:
    """Run a script as `python SCRIPT ARGS`; return 1 where it ends by an exception, else 0.

    SystemExit passes through. Raises UsageError where there is no such file, and for Python 2.
    """
    if not Path(path).is_file():
        raise UsageError(f"no file {path!r}", fix="give a .py, a .ipynb, or -m and a module")
    with tokenize.open(path) as file:  # as Python decodes it
        source = file.read()
    tree = _parsed(source, path, language)
    main = _become_main(path, args, os.path.dirname(os.path.abspath(path)))
    main.__dict__.update(language.names)
    return _told(lambda: exec(compile(tree, path, "exec"), main.__dict__))


def run_module(name: str, args: Sequence[str]) -> int:
    """Run a module as `python -m MODULE ARGS`."""
    sys.argv, sys.path[0] = [name, *args], os.getcwd()
    return _told(lambda: runpy.run_module(name, run_name="__main__", alter_sys=True))


def run_notebook(path: str, args: Sequence[str], language: Language = PYTHON) -> int:
    """Run a notebook's code cells, in its folder as Jupyter does; print what they end with."""
    if not Path(path).is_file():
        raise UsageError(f"no file {path!r}")
    cells = cells_of(Path(path))
    trees = [(cell.name, cell.shown(_parsed(cell.source, cell.name, language))) for cell in cells]
    folder = os.path.dirname(os.path.abspath(path))
    os.environ.setdefault("MPLBACKEND", "agg")  # nobody sees a window
    os.chdir(folder)
    main = _become_main(path, args, folder)
    main.__dict__.update(language.names)
    main.__dict__.update(ipython.names(main.__dict__))

    def run() -> None:
        for name, tree in trees:
            exec(compile(tree, name, "exec"), main.__dict__)

    return _told(run)


def _parsed(source: str, name: str, language: Language) -> ast.Module:
    try:
        return language.parse(source, name)
    except SyntaxError as error:
        if language is PYTHON and _is_older(source):
            what = f"{name}:{error.lineno}: Python 2"
            raise UsageError(what, fix=FIX_PYTHON_2) from None
        traceback.print_exception(type(error), error, None)
        raise SystemExit(1) from None


def _is_older(source: str) -> bool:
    """Tell whether source that is no Python 3 looks like Python 2."""
    words = ("print ", "print\t", "except ", "raise ", "exec ", "0777", "<>", "`")
    return any(word in source for word in words)


def _become_main(path: str, args: Sequence[str], folder: str) -> ModuleType:
    main = ModuleType("__main__")
    main.__dict__.update(__file__=path, __builtins__=builtins, __package__=None)
    sys.modules["__main__"] = main
    sys.argv, sys.path[0] = [path, *args], folder
    return main


def _told(run: Callable[[], object]) -> int:
    """Run; print an exception with the traceback of the script alone."""
    try:
        run()
    except Exception as error:
        traceback.print_exception(type(error), error, _beyond_ours(error.__traceback__))
        return 1
    return 0


def _beyond_ours(trace: TracebackType | None) -> TracebackType | None:
    """Return a traceback from where the script's own frames begin."""
    machinery = {__file__, runpy.__file__, "<frozen runpy>"}
    while trace is not None and trace.tb_frame.f_code.co_filename in machinery:
        trace = trace.tb_next
    return trace
