"""What numpy, scipy, yaml and PIL have dropped since, under its old names."""

from __future__ import annotations

import builtins
import itertools
import string
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

import numpy as np

from .compiled import NotCompiled
from .translate import names

ALIASES = {
    "int": int,
    "float": float,
    "bool": bool,
    "object": object,
    "complex": complex,
    "str": str,
    "long": int,
    "unicode": str,
    "float_": np.float64,
    "complex_": np.complex128,
    "unicode_": np.str_,
    "string_": np.bytes_,
    "product": np.prod,
    "cumproduct": np.cumprod,
    "alltrue": np.all,
    "sometrue": np.any,
    "row_stack": np.vstack,
    "in1d": np.isin,
    "Inf": np.inf,
    "infty": np.inf,
    "NaN": np.nan,
    "PINF": np.inf,
    "NINF": -np.inf,
}
PIL_MODULES = ("Image", "ImageChops", "ImageDraw", "ImageFilter", "ImageFont", "ImageOps")


def give_back() -> None:
    """Give numpy its old names back, other libraries theirs when they are imported.

    R-CNN's compiled modules are there where nobody compiled them.
    """
    for name, value in {**ALIASES, "asscalar": lambda array: array.item()}.items():
        if name not in vars(np):
            setattr(np, name, value)
    _let_arrays_print_whole()
    sys.meta_path.insert(0, _Changed())
    sys.meta_path.extend((NotCompiled(), _PillowAlone()))


def give_back_builtins() -> None:
    """Give the standard library the names that Python 2 had, and what translated code calls."""
    for name in ("izip", "imap", "ifilter"):
        setattr(itertools, name, getattr(builtins, name[1:]))
    itertools.izip_longest = itertools.zip_longest  # type: ignore[attr-defined]
    for name in ("letters", "lowercase", "uppercase"):
        setattr(string, name, getattr(string, f"ascii_{name}"))
    sys.maxint = sys.maxsize  # type: ignore[attr-defined]
    kept = {key: value for key, value in names().items() if key not in vars(builtins)}
    vars(builtins).update(kept)


def _let_arrays_print_whole() -> None:
    """Let NaN and text, which no size was above, be thresholds of numpy's printing."""
    whole = np.set_printoptions

    def set_printoptions(
        precision: Any = None, threshold: Any = None, *args: Any, **named: Any
    ) -> None:
        if isinstance(threshold, str) or threshold != threshold:
            threshold = sys.maxsize
        whole(precision, threshold, *args, **named)

    np.set_printoptions = set_printoptions


class _PillowAlone(MetaPathFinder):
    """Finds PIL's modules without their package, as PIL put them; a script's own come first."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(fullname, _OfPillow()) if fullname in PIL_MODULES else None


class _OfPillow(Loader):
    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        found = vars(import_module(f"PIL.{module.__name__}")).items()
        module.__dict__.update((k, v) for k, v in found if not k.startswith("__"))


class _Changed(MetaPathFinder):
    """Finds modules as Python does, and gives them their old names once they are there."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in CHANGES:
            return None
        spec = PathFinder.find_spec(fullname, path)
        if spec is None:
            return ModuleSpec(fullname, _Changing(None)) if fullname == "scipy.misc" else None
        spec.loader = _Changing(spec.loader)
        return spec


class _Changing(Loader):
    """Runs a module as its own loader does, if there is still one, and adds to it."""

    def __init__(self, own: Any) -> None:
        self._own = own

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        made: ModuleType | None = self._own.create_module(spec) if self._own else None
        return made

    def exec_module(self, module: ModuleType) -> None:
        if self._own is not None:
            self._own.exec_module(module)
        CHANGES[module.__name__](module)


def _change_yaml(yaml: Any) -> None:
    """Let `yaml.load` need no loader."""
    whole = yaml.load

    def load(stream: Any, Loader: Any = None) -> Any:  # noqa: N803  # yaml's name
        return whole(stream, Loader or yaml.Loader)

    yaml.load = load


def _change_scipy_misc(misc: Any) -> None:
    """Let `scipy.misc` read, write and resize images again, with Pillow."""
    for function in (imread, imsave, imresize, toimage):
        if function.__name__ not in vars(misc):
            setattr(misc, function.__name__, function)


def _change_skimage_transform(transform: Any) -> None:
    """Let colours be no axis to resize along, and nothing be smoothed before it is made smaller."""
    whole = {name: getattr(transform, name) for name in ("rescale", "resize")}

    def rescale(image: Any, scale: Any, *args: Any, **others: Any) -> Any:
        coloured = np.ndim(image) == 3 and np.shape(image)[2] in (1, 3, 4)
        if others.pop("multichannel", coloured):
            others.setdefault("channel_axis", np.ndim(image) - 1)
        return whole["rescale"](image, scale, *args, **{"anti_aliasing": False, **others})

    def resize(image: Any, output_shape: Any, *args: Any, **others: Any) -> Any:
        given = {} if args[1:] else {"mode": "constant"}
        return whole["resize"](
            image, output_shape, *args, **{**given, "anti_aliasing": False, **others}
        )

    transform.rescale, transform.resize = rescale, resize


CHANGES = {
    "yaml": _change_yaml,
    "scipy.misc": _change_scipy_misc,
    "skimage.transform": _change_skimage_transform,
}
"""Module -> what is done to it when it is there."""


def _pillow() -> Any:
    return import_module("PIL.Image")


def imread(name: Any, flatten: bool = False, mode: str | None = None) -> np.ndarray:
    """Return an image's pixels."""
    with _pillow().open(name) as image:
        wanted = mode or ("F" if flatten else image.mode)
        if wanted == "P":
            wanted = "RGB"
        return np.array(image.convert(wanted))


def toimage(arr: Any, cmin: float | None = None, cmax: float | None = None) -> Any:
    """Return an array as an image: its values, but bytes, stretched over 0 to 255."""
    values = np.asarray(arr)
    if values.ndim == 3 and values.shape[2] not in (3, 4) and values.shape[0] in (3, 4):
        values = values.transpose((1, 2, 0))
    if values.dtype != np.uint8:
        low = float(values.min()) if cmin is None else cmin
        high = float(values.max()) if cmax is None else cmax
        scaled = (values.astype(float) - low) * 255.0 / ((high - low) or 1.0)
        values = np.clip(scaled, 0, 255).round().astype(np.uint8)
    return _pillow().fromarray(values)


def imsave(name: Any, arr: Any, format: str | None = None) -> None:
    """Write an array as an image."""
    toimage(arr).save(name, format)


def imresize(arr: Any, size: Any, interp: str = "bilinear", mode: str | None = None) -> np.ndarray:
    """Return an image in another size: a share, percents, or height and width."""
    image = toimage(arr)
    if isinstance(size, (int, np.integer)):
        wanted = tuple(int(side * size / 100.0) for side in image.size)
    elif isinstance(size, (float, np.floating)):
        wanted = tuple(int(side * size) for side in image.size)
    else:
        wanted = (int(size[1]), int(size[0]))
    ways = {"nearest": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3, "cubic": 3}
    return np.array(image.resize(wanted, resample=ways[interp]))
