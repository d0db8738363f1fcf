"""Memory that is given back to the system: only what can be read from the file again."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from prototxt.binary import resident
from prototxt.file_state import open_file

MEBIBYTE = 1 << 20
linux = pytest.mark.skipif(sys.platform != "linux", reason="the page table is Linux's")


def held_of_files() -> int:
    """Return the mebibytes of files that lie in this process's memory."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    said = next(line for line in lines if line.startswith("RssFile:"))
    return int(said.split()[1]) >> 10


@pytest.fixture
def private(tmp_path):
    path = tmp_path / "numbers"
    np.arange(8 * MEBIBYTE, dtype=np.float32).tofile(path)
    _, data = open_file(path, private=True)
    return path, data, np.frombuffer(data, np.float32)


@linux
def test_what_was_read_is_let_go_and_read_again(private):
    _, data, values = private
    total = values.sum(dtype=np.float64)
    before = held_of_files()
    resident.let_go(data)
    assert before - held_of_files() >= 24
    assert values.sum(dtype=np.float64) == total


@linux
def test_where_one_page_was_written_all_stay_and_the_file_is_as_it_was(private):
    path, data, values = private
    content = path.read_bytes()
    total = values.sum(dtype=np.float64)
    values[-1] = 7
    before = held_of_files()
    resident.let_go(data)
    assert values[-1] == 7
    assert before - held_of_files() < 4
    assert path.read_bytes() == content
    values[-1] = np.frombuffer(content, np.float32)[-1]
    assert values.sum(dtype=np.float64) == total


@pytest.mark.parametrize("table", [b"", None], ids=["cut off", "not there"])
def test_where_the_system_does_not_tell_all_stays(table, private, tmp_path, monkeypatch):
    _, data, values = private
    values[0] = 7
    if table is not None:
        (tmp_path / "pagemap").write_bytes(table)
    monkeypatch.setattr(resident, "_TABLE", tmp_path / "pagemap")
    resident.let_go(data)
    assert values[0] == 7


def test_other_memory_is_left_alone(tmp_path):
    resident.let_go(memoryview(b"bytes"))
    resident.let_go(memoryview(b""))
    (tmp_path / "empty").touch()
    resident.let_go(open_file(tmp_path / "empty", private=True)[1])
    resident.trim()
