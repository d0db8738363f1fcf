"""Caffe's Python interface, `import caffe`, on this project's layers.

`install()` lets every later `import caffe` be answered from here, also where a Caffe tree stands
in front of `sys.path`.
"""

from __future__ import annotations

import sys

from .finder import Finder
from .finder import installed_dialect as installed_dialect


def install(dialect: str | None = None) -> None:
    """Let `import caffe` mean this package; a `dialect` wins where forks read a file differently.

    Needs no torch: what computes is imported when it is first asked for.
    """
    uninstall()
    sys.meta_path.insert(0, Finder(dialect))


def uninstall() -> None:
    """Let `import caffe` be what it was before `install`."""
    sys.meta_path[:] = [one for one in sys.meta_path if not isinstance(one, Finder)]
    for name in [name for name in sys.modules if name == "caffe" or name.startswith("caffe.")]:
        del sys.modules[name]
