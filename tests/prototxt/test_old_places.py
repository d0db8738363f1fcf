"""Modules that the documentation once named are still there, and say where they went."""

from __future__ import annotations

import sys
from importlib import import_module

import pytest

PLACES = {
    "prototxt.database": ("prototxt.data.lmdb", ("Database", "write_database")),
    "prototxt.datum": ("prototxt.data.datum", ("read_datum", "write_datum")),
}


@pytest.mark.parametrize("old", PLACES)
def test_old_place_says_where_it_went(old: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, old, raising=False)
    new, names = PLACES[old]
    with pytest.warns(DeprecationWarning, match=f"^{old} is {new} now$") as warned:
        module = import_module(old)
    assert len(warned) == 1
    for name in names:
        assert getattr(module, name) is getattr(import_module(new), name)
