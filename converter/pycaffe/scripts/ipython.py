"""What a notebook's cells find of IPython: its commands, and what shows values."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from types import ModuleType
from typing import Any

MAGIC, SHELL, SHOW = "__magic__", "__shell__", "__show__"
SILENT = ("matplotlib", "pylab", "load_ext", "reload_ext", "autoreload", "config", "precision")
"""Commands that only change how a notebook looks."""
TIMING = ("time", "timeit", "prun", "capture")
"""Commands that run what follows them."""


def names(main: dict[str, Any]) -> dict[str, Any]:
    """Return the names that cells call; where there is no IPython, give `import` a small one."""
    if importlib.util.find_spec("IPython") is None:
        _stand_in()

    def shell(command: str) -> int:
        sys.stdout.flush()
        return subprocess.call(command.format_map(main) if "{" in command else command, shell=True)

    return {MAGIC: magic, SHELL: shell, SHOW: show, "display": show, "get_ipython": lambda: None}


def show(*values: Any) -> None:
    """Print values but None."""
    for value in values:
        if value is not None:
            print(repr(value))


def magic(word: str, text: str) -> None:
    """Run one of IPython's commands; RuntimeError names one that is not here."""
    if word == "cd":
        os.chdir(os.path.expanduser(text))
    elif word in ("bash", "sh"):
        subprocess.check_call(["bash", "-c", text])
    elif word == "writefile":
        raise RuntimeError("%%writefile is not here: run the notebook in Jupyter")
    else:
        raise RuntimeError(f"%{word} is a command of IPython's that is not here")


class _Shown:
    """A picture, as a notebook would show it: here nothing is."""

    def __init__(self, *args: object, **options: object) -> None:
        self.args = args

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


def _stand_in() -> None:
    whole, shown = ModuleType("IPython"), ModuleType("IPython.display")
    for name in ("Image", "HTML", "SVG", "YouTubeVideo", "Markdown"):
        setattr(shown, name, type(name, (_Shown,), {}))
    shown.__dict__.update(display=show, clear_output=lambda *args, **options: None)
    whole.__dict__.update(display=shown, get_ipython=lambda: None, __path__=[])
    whole.__dict__.update(__version__="9.0.0", version_info=(9, 0, 0))  # matplotlib asks
    sys.modules.update({"IPython": whole, "IPython.display": shown})
