"""`import caffe` is ours after `install`, and only then."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest

from converter import pycaffe
from converter.pycaffe.names import NAMES


def test_without_install_there_is_no_caffe() -> None:
    pycaffe.uninstall()
    with pytest.raises(ModuleNotFoundError, match="caffe"):
        importlib.import_module("caffe")


def test_every_name_is_where_the_table_says(caffe: Any) -> None:
    assert sum(map(len, NAMES.values())) > 100
    for module, names in NAMES.items():
        found = importlib.import_module(module)
        for name in names:
            assert getattr(found, name) is not None, f"{module}.{name}"


def test_modules_that_come_with_a_bare_import(caffe: Any) -> None:
    assert caffe.io.caffe_pb2 is caffe.proto.caffe_pb2
    assert caffe._caffe.Net is caffe.Net is caffe.pycaffe.Net
    assert caffe.layers is caffe.net_spec.layers
    assert (caffe.TRAIN, caffe.TEST, caffe.__version__) == (0, 1, "1.0.0")
    star: dict[str, Any] = {}
    exec("from caffe import *", star)
    assert {"Net", "TRAIN", "TEST", "io", "SGDSolver", "layers"} <= star.keys()


def test_a_caffe_tree_in_front_of_the_path_gives_only_what_we_lack(
    caffe: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "caffe"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise RuntimeError('the tree was taken')\n")
    (folder / "io.py").write_text("raise RuntimeError('the tree was taken')\n")
    (folder / "model_libs.py").write_text("import caffe\nFOUND = caffe.TEST\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    pycaffe.install()
    again = importlib.import_module("caffe")
    assert again.io.load_image
    assert importlib.import_module("caffe.model_libs").FOUND == 1
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("caffe.nothing_of_the_sort")


def test_a_missing_member_says_what_to_use(caffe: Any) -> None:
    with pytest.raises(AttributeError, match="'set_phase_test': give the phase"):
        caffe.set_phase_test()
    with pytest.raises(AttributeError, match=r"has no attribute 'nonsense'$"):
        _ = caffe.nonsense


def test_uninstall_takes_all_of_it_away(caffe: Any) -> None:
    importlib.import_module("caffe.proto.caffe_pb2")
    pycaffe.uninstall()
    assert not [name for name in sys.modules if name.partition(".")[0] == "caffe"]
