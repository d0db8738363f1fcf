"""How imports find Python 2: the script's own modules, and the standard library's old names."""

from __future__ import annotations

import ast
import io
import pickle
import sys
import sysconfig
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from .files import ENCODING, ERRORS
from .translate import names, parse_python_2

RENAMED = {
    "Queue": "queue",
    "ConfigParser": "configparser",
    "SocketServer": "socketserver",
    "HTMLParser": "html.parser",
    "Tkinter": "tkinter",
    "copy_reg": "copyreg",
    "thread": "_thread",
    "commands": "subprocess",
    "anydbm": "dbm",
    "httplib": "http.client",
    "__builtin__": "builtins",
}
GATHERED = {
    "urllib2": ("urllib.request", "urllib.error"),
    "urlparse": ("urllib.parse",),
}
OWN = ("cPickle", "StringIO", "cStringIO")


class OldModules(MetaPathFinder):
    """Finds the standard library's modules under the names that they had."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname in RENAMED or fullname in GATHERED or fullname in OWN:
            return ModuleSpec(fullname, _OldLoader())
        return None


class _OldLoader(Loader):
    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        name = module.__name__
        if name == "cPickle":
            module.__dict__.update(vars(pickle), load=load, loads=loads, dump=dump)
        elif name in OWN:
            module.__dict__["StringIO"] = Text
        else:
            for one in GATHERED.get(name, (RENAMED.get(name, name),)):
                found = vars(import_module(one)).items()
                module.__dict__.update((k, v) for k, v in found if not k.startswith("__"))


class Text(io.BytesIO):
    """Python 2's StringIO, which took text and bytes alike."""

    def __init__(self, given: Any = b"") -> None:
        self._text = isinstance(given, str) and bool(given)
        super().__init__(_bytes(given))

    def write(self, given: Any) -> int:
        """Write text or bytes."""
        if isinstance(given, str):
            self._text = True
        return super().write(_bytes(given))

    def getvalue(self) -> Any:
        """Return text where text was written, else bytes."""
        value = super().getvalue()
        return value.decode(ENCODING, ERRORS) if self._text else value


def load(file: Any) -> Any:
    """Read a pickle, Python 2's too, also from a file that is opened as text."""
    return pickle.load(getattr(file, "buffer", file), encoding="latin1")


def loads(data: Any) -> Any:
    """Read a pickle, Python 2's too."""
    return pickle.loads(_bytes(data), encoding="latin1")


def dump(value: Any, file: Any, protocol: int | None = None) -> None:
    """Write a pickle, also to a file that is opened as text."""
    pickle.dump(value, getattr(file, "buffer", file), protocol)


def _bytes(given: Any) -> Any:
    return given.encode(ENCODING, ERRORS) if isinstance(given, str) else given


class OwnModules(MetaPathFinder):
    """Translates the script's own modules: those under folders that it has on `sys.path`.

    They are its folder and what it adds. Of other folders (PYTHONPATH's) what does not parse as
    Python 3; where packages are installed nothing is touched.
    """

    def __init__(self) -> None:
        self._others = set(sys.path[1:])  # what stands first there is the script's folder

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(fullname, path)
        if spec is None or not isinstance(spec.loader, SourceFileLoader):
            return None
        own = [Path(entry or ".").resolve() for entry in sys.path if entry not in self._others]
        file = Path(spec.origin or "").resolve()
        if is_installed(file):
            return None
        if any(file.is_relative_to(folder) for folder in own) or not _is_today(file):
            spec.loader = _Translating(spec.loader.name, spec.loader.path)
            return spec
        return None


def _is_today(file: Path) -> bool:
    try:
        ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):
        return False
    return True


def is_installed(path: Path) -> bool:
    """Tell whether a file is the standard library's, an installed package's, or this project's."""
    if {"site-packages", "dist-packages"} & set(path.parts):
        return True
    ours = Path(__file__).resolve().parents[3]
    known = [Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib")]
    packages = [ours / name for name in ("converter", "caffe_layers", "prototxt")]
    return any(path.is_relative_to(folder.resolve()) for folder in [*known, *packages])


class _Translating(SourceFileLoader):
    """Compiles a module from Python 2; nothing of it is cached beside it."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        source = self.get_source(fullname) or ""
        return compile(parse_python_2(source, path), path, "exec")

    def exec_module(self, module: ModuleType) -> None:
        module.__dict__.update(names())
        super().exec_module(module)
