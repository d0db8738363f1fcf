"""LMDB databases: in the order of the keys, from any process, and what is wrong with them."""

from __future__ import annotations

import copy
import os
import pickle
import sys
from pathlib import Path

import pytest

from prototxt import CaffeError, FormatError
from prototxt.data.lmdb import Database, write_database
from tests.support.databases import write_lmdb

lmdb = pytest.importorskip("lmdb", reason="databases need lmdb")

COUNT = 300  # more than one page


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a database whose records were not put in order."""
    records = {b"%04d" % i: b"value %d" % i * 20 for i in range(COUNT)}
    write_lmdb(tmp_path / "db", dict(reversed(records.items())))
    return tmp_path / "db"


def numbers(database: Database, indices: list[int]) -> list[int]:
    return [int(key) for key, value in map(database.__getitem__, indices) if key.encode() and value]


def test_records_come_in_the_order_of_their_keys(folder: Path) -> None:
    database = Database(folder)
    assert len(database) == COUNT
    assert [database[i] for i in range(COUNT)] == [
        (f"{i:04d}", b"value %d" % i * 20) for i in range(COUNT)
    ]
    assert numbers(database, [7, 7, 250, 3, 0, COUNT - 1, 12]) == [7, 7, 250, 3, 0, COUNT - 1, 12]
    for beyond in (COUNT, -1):
        with pytest.raises(IndexError):
            database[beyond]


def test_readers_and_copies_have_places_of_their_own(folder: Path) -> None:
    one, two = Database(folder), Database(folder)
    assert numbers(one, [5]) == [5]
    copies = [copy.deepcopy(one), pickle.loads(pickle.dumps(one))]
    for reader in (two, *copies):
        assert numbers(reader, [1, 2]) == [1, 2]
        assert len(reader) == COUNT
    assert numbers(one, [6]) == [6]


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_reads_on_by_itself(folder: Path) -> None:
    database, other = Database(folder), Database(folder)
    assert numbers(database, [5]) == [5]
    child = os.fork()
    if not child:
        good = numbers(database, [9, 4]) == [9, 4] and numbers(other, [COUNT - 1]) == [COUNT - 1]
        # LMDB forbids to use what the parent has opened.
        good &= {one._environment().process for one in (database, other)} == {os.getpid()}
        good &= database._process == os.getpid()
        os._exit(0 if good else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert numbers(database, [6]) == [6]


def test_reading_writes_nothing(folder: Path) -> None:
    (folder / "lock.mdb").unlink()
    before = (folder / "data.mdb").stat().st_mtime_ns
    assert Database(folder)[0][0] == "0000"
    assert os.listdir(folder) == ["data.mdb"]
    assert (folder / "data.mdb").stat().st_mtime_ns == before


def test_keys_of_any_bytes_have_a_name(tmp_path: Path) -> None:
    write_lmdb(tmp_path, {b"\xff\x00a": b"x"})
    assert Database(tmp_path)[0] == ("\\xff\x00a", b"x")


def test_what_is_wrong_is_named(folder: Path, tmp_path: Path) -> None:
    whole = (folder / "data.mdb").read_bytes()
    empty = tmp_path / "empty"
    write_lmdb(empty, {})
    for name, content, says in (
        ("cut", whole[: len(whole) // 2], "data.mdb has .* it is cut off"),
        ("header", whole[:100], "no LMDB that can be read"),
        ("nothing", b"", "no LMDB that can be read"),
        ("other", b"no database" * 1000, "no LMDB that can be read"),
        ("no records", (empty / "data.mdb").read_bytes(), "the database holds no record"),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "data.mdb").write_bytes(content)
        with pytest.raises(FormatError, match=rf"/{name}: {says}"):
            Database(tmp_path / name)
    with pytest.raises(
        FormatError, match=r"/nowhere: no LMDB: its data\.mdb cannot be read: No such file"
    ):
        Database(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


def test_a_damaged_page_is_an_error_with_the_record_s_number(folder: Path) -> None:
    path = folder / "data.mdb"
    pages = bytearray(path.read_bytes())
    found = pages.index(b"value 0value 0") // 4096 * 4096
    pages[found : found + 4096] = bytes(4096)
    path.write_bytes(bytes(pages))
    with pytest.raises(FormatError, match="/db: record 0 cannot be read: "):
        Database(folder)[0]


def test_a_database_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    write_database(tmp_path / "db", ((b"%03d" % i, b"v%d" % i) for i in range(5)))
    database = Database(tmp_path / "db")
    assert [database[i] for i in range(len(database))] == [
        (f"{i:03d}", b"v%d" % i) for i in range(5)
    ]
    assert os.listdir(tmp_path / "db") == ["data.mdb"]
    assert (tmp_path / "db" / "data.mdb").stat().st_size < 1 << 20
    with pytest.raises(FormatError, match="key b'a' is not after the one before it"):
        write_database(tmp_path / "bad", [(b"b", b""), (b"a", b"")])
    assert not (tmp_path / "bad").exists()


def test_a_missing_lmdb_is_named_with_its_command(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "lmdb", None)
    with pytest.raises(CaffeError, match=r'needs lmdb\n  fix: pip install "caffeport\[lmdb\]"'):
        Database(folder)
