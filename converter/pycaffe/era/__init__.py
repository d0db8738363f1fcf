"""Python 2: scripts and their own modules translated as they are read, with the libraries of then.

Packages that are installed are never touched.
"""

from __future__ import annotations

import sys

from converter.pycaffe.scripts.run import Language

from .libraries import give_back as give_back
from .libraries import give_back_builtins
from .modules import OldModules, OwnModules
from .translate import names, parse_python_2, require_fissix


def translated() -> Language:
    """Let what is imported from now on be Python 2 too; return the language of a script.

    `install` comes after it, so that `import caffe` is answered first. Raises UsageError without
    fissix.
    """
    require_fissix()
    sys.meta_path[:0] = [OldModules(), OwnModules()]
    give_back_builtins()
    return Language(parse_python_2, names())
