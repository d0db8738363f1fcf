"""Parts that need not be installed, and what is said of a request that cannot be met."""

from __future__ import annotations

import re
import sys

import pytest

from prototxt import UsageError
from prototxt.optional import optional
from tests.support.paths import ROOT


def test_what_is_installed_is_returned() -> None:
    assert optional("json", "data", "reading needs") is sys.modules["json"]


def test_what_is_not_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, package in (("lmdb", "lmdb"), ("PIL.Image", "Pillow")):
        monkeypatch.setitem(sys.modules, module.partition(".")[0], None)
        with pytest.raises(UsageError) as caught:
            optional(module, "data", "net.h5: reading it needs")
        assert str(caught.value) == (
            f'net.h5: reading it needs {package}\n  fix: pip install "caffeport[data]"'
        )


def test_every_error_says_who_is_at_fault() -> None:
    bare = [
        str(path.relative_to(ROOT))
        for package in ("prototxt", "caffe_layers", "converter")
        for path in (ROOT / package).rglob("*.py")
        if re.search(r"raise CaffeError\(", path.read_text())
    ]
    assert bare == []
