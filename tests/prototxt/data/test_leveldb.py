"""LevelDB databases, as LevelDB itself wrote them, against what was put into them."""

from __future__ import annotations

import os
import pickle
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from prototxt import CaffeError, FormatError
from prototxt.data.backends import backend_of
from prototxt.data.leveldb import Database
from prototxt.data.leveldb.log import BLOCK, FIRST, FULL, HEADER, LAST, read_log
from prototxt.data.leveldb.manifest import read_manifest
from prototxt.data.leveldb.table import _block
from tests.reference.record_leveldb import NAMES, contents
from tests.support.recorded import unpack

HOLDING = [name for name in NAMES if name != "empty"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with all that was recorded."""
    shutil.copytree(unpack("leveldb"), tmp_path / "dbs")
    return tmp_path / "dbs"


def wants(name: str) -> list[tuple[str, bytes]]:
    if name in ("levels", "pieces"):
        pytest.importorskip("cramjam", reason="compressed tables need cramjam")
    return [(key.decode(), value) for key, value in contents(name).items()]


@pytest.mark.parametrize("name", HOLDING)
def test_a_database_holds_what_was_put_into_it(folder: Path, name: str) -> None:
    want = wants(name)
    database = Database(folder / name)
    assert [database[index] for index in range(len(want))] == want
    with pytest.raises(IndexError):
        database[len(want)]
    assert len(database) == len(want)
    with pytest.raises(IndexError):
        database[-1]


@pytest.mark.parametrize("name", HOLDING)
def test_positions_count_on_over_the_end(folder: Path, name: str) -> None:
    want = wants(name)
    positions = [0, 3, 3, 1, len(want) - 1, len(want), len(want) + 2, 3 * len(want) + 1]
    database = Database(folder / name)
    assert [database.at(at) for at in positions] == [want[at % len(want)] for at in positions]
    assert Database(folder / name).at(2 * len(want) + 3) == want[3]


def test_the_levels_that_were_recorded_are_several(folder: Path) -> None:
    assert {level for level, _ in read_manifest(folder / "levels").tables} == {0, 1, 2}
    assert {level for level, _ in read_manifest(folder / "plain").tables} == {0, 1, 2}


def test_reading_changes_nothing_and_needs_no_lock(folder: Path) -> None:
    path = folder / "plain"
    before = {file.name: file.read_bytes() for file in path.iterdir()}
    (path / "LOCK").touch()
    database, other = Database(path), Database(path)
    assert len(database) == len(other)
    assert pickle.loads(pickle.dumps(database))[5] == database[5] == other[5]
    assert {file.name: file.read_bytes() for file in path.iterdir()} == {**before, "LOCK": b""}


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_has_a_place_of_its_own(folder: Path) -> None:
    want = wants("plain")
    database = Database(folder / "plain")
    assert database[5] == want[5]
    child = os.fork()
    if not child:
        os._exit(0 if [database[9], database[4]] == [want[9], want[4]] else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert database[6] == want[6]


def test_tables_may_have_their_older_name(folder: Path) -> None:
    for table in (folder / "plain").glob("*.ldb"):
        table.rename(table.with_suffix(".sst"))
    assert Database(folder / "plain")[0] == wants("plain")[0]


def piece(kind: int, data: bytes) -> bytes:
    return b"#sum" + len(data).to_bytes(2, "little") + bytes([kind]) + data


def test_a_log_leaves_the_end_of_a_block_empty_where_no_piece_has_room(tmp_path: Path) -> None:
    """Six bytes hold no header; and zeros are room that was made before it was needed."""
    first, second = bytes(BLOCK - HEADER - (HEADER - 1)), b"second"
    log = piece(FULL, first) + bytes(HEADER - 1) + piece(FULL, second)
    log += bytes(2 * BLOCK - len(log)) + piece(FIRST, b"th") + piece(LAST, b"ird") + bytes(3)
    (tmp_path / "log").write_bytes(log)
    found = [record.bytes(0, len(record)) for record in read_log(tmp_path / "log")]
    assert found == [first, second, b"third"]


def test_a_write_that_was_cut_off_never_was(folder: Path) -> None:
    """LevelDB passes over what a process that died did not write to its end."""
    want = wants("pieces")
    log = journal_of(folder / "pieces")
    log.write_bytes(log.read_bytes()[:-1])
    database = Database(folder / "pieces")
    assert [database[index] for index in range(len(database))] == want[:-1]


def table_of(path: Path) -> Path:
    """Return the file of a table that is not at level 0."""
    return path / f"{max(read_manifest(path).tables)[1]:06d}.ldb"


def journal_of(path: Path) -> Path:
    return path / f"{read_manifest(path).log:06d}.log"


def test_what_is_wrong_is_named(folder: Path) -> None:
    table = table_of(folder / "plain")
    size = table.stat().st_size
    for name, file, change, says in (
        ("empty", "CURRENT", None, "empty: the database holds no record"),
        ("nowhere", "CURRENT", None, "nowhere: no LevelDB: its CURRENT cannot be read: No such"),
        (
            "journal",
            "CURRENT",
            b"nothing",
            "no LevelDB: its CURRENT says 'nothing', wants a manifest's",
        ),
        ("journal", "CURRENT", b"../MANIFEST-000002\n", "its CURRENT says '../MANIFEST-000002'"),
        ("journal", "CURRENT", b"MANIFEST-000009\n", "its MANIFEST-000009 cannot be read: No such"),
        ("plain", table.name, b"", f"plain: {table.name} has 0 bytes, wants {size}: it is cut off"),
        (
            "plain",
            table.name,
            bytes(size),
            f"plain: record 0 cannot be read: {table.name}: it does not end as a table of LevelDB",
        ),
        ("journal", "000003.log", bytes(6) + b"\x07", "000003.log: byte 0: a damaged record"),
        ("journal", "000003.log", bytes(6) + b"\x03", "000003.log: byte 0: a damaged record"),
        ("journal", "000003.log", bytes(6) + b"\x01", "000003.log: a batch of 0 bytes, wants 12"),
    ):
        if change is not None:
            held = folder / name / file
            whole = held.read_bytes()
            held.write_bytes(change)
        with pytest.raises(FormatError) as caught:
            Database(folder / name)
        assert says in str(caught.value)
        if change is not None:
            held.write_bytes(whole)
    table.unlink()
    with pytest.raises(FormatError, match=rf"plain: its table {table.name} \(or .sst\) is missing"):
        Database(folder / "plain")


def test_keys_in_another_order_are_refused(folder: Path) -> None:
    manifest = folder / "journal" / "MANIFEST-000002"
    manifest.write_bytes(manifest.read_bytes().replace(b"Bytewise", b"Foolwise"))
    with pytest.raises(
        FormatError,
        match=r"MANIFEST-000002: keys in the order 'leveldb\.FoolwiseComparator', wants",
    ):
        Database(folder / "journal")


def test_a_block_of_a_method_that_is_not_snappy_s_is_named() -> None:
    trailer = bytes([2, 0, 0, 0, 0])
    with pytest.raises(FormatError, match="block at byte 1: compressed by method 2, wants 0 or"):
        _block(memoryview(b"#block" + trailer), 1, 5)
    with pytest.raises(FormatError, match="block at byte 1: it ends after byte 11"):
        _block(memoryview(b"#block" + trailer), 1, 6)


@pytest.mark.parametrize("part", ["CURRENT", "MANIFEST-000002", "journal", "table"])
def test_any_damage_is_a_result_or_one_error(folder: Path, part: str) -> None:
    plain = folder / "plain"
    path = {"journal": journal_of(plain), "table": table_of(plain)}.get(part, plain / part)
    whole = path.read_bytes()
    random = np.random.default_rng(1701)
    errors = 0
    for _ in range(60):
        data = bytearray(whole)
        for at in [*random.integers(0, len(data), 3), len(data) - 1 - random.integers(16)]:
            data[at] = random.integers(256)
        cut = int(random.integers(len(data))) if random.random() < 0.3 else len(data)
        path.write_bytes(data[:cut])
        try:
            database = Database(plain)
            database[len(database) - 1]
        except FormatError:
            errors += 1
    assert errors


def test_a_missing_cramjam_is_named_with_its_command(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cramjam", None)
    with pytest.raises(CaffeError, match=r'needs cramjam\n  fix: pip install "caffeport\[leveldb'):
        Database(folder / "levels")
    assert Database(folder / "plain")[0]


def test_a_folder_is_known_by_its_files(folder: Path) -> None:
    assert backend_of(folder / "plain") == "LEVELDB"
    assert backend_of(folder) is None
