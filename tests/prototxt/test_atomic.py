"""Files appear whole or not at all."""

from __future__ import annotations

import errno
import os
import stat

import pytest

from prototxt.atomic import replacing, writing


def test_the_file_has_its_name_only_when_the_block_ends(tmp_path):
    path = tmp_path / "out.bin"
    with writing(path) as file:
        file.write(b"new")
        assert not path.exists()
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["out.bin"]


def fail(path, error: BaseException) -> None:
    """Write half a file, then fail."""
    with writing(path) as file:
        file.write(b"half")
        raise error


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_after_an_error_the_old_file_stands(tmp_path, error):
    path = tmp_path / "out.bin"
    path.write_bytes(b"old")
    with pytest.raises(error):
        fail(path, error())
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["out.bin"]


def test_a_full_disk_leaves_nothing_and_names_the_file(tmp_path):
    path = tmp_path / "out.bin"
    with pytest.raises(OSError, match="No space left") as caught:
        fail(path, OSError(errno.ENOSPC, "No space left on device"))
    assert caught.value.filename == str(path)
    assert os.listdir(tmp_path) == []


def test_a_full_device_is_an_error():
    with pytest.raises(OSError, match="No space left"), writing("/dev/full") as file:
        file.write(b"x" * 100_000)


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path / "file" / "out.bin", tmp_path / "file" / "missing" / "out.bin"):
        with pytest.raises(NotADirectoryError, match="Not a directory"), writing(path):
            pass


def test_a_folder_as_target_is_an_error(tmp_path):
    with pytest.raises(IsADirectoryError), writing(tmp_path) as file:
        file.write(b"x")
    assert os.listdir(tmp_path) == []


def test_a_link_keeps_pointing(tmp_path):
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to("real")
    with writing(tmp_path / "link") as file:
        file.write(b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"


def test_a_new_file_has_the_rights_that_the_user_set(tmp_path):
    old = os.umask(0o027)
    try:
        with writing(tmp_path / "out") as file:
            file.write(b"x")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o640


def test_replacing_gives_a_path_with_the_same_ending(tmp_path):
    with replacing(tmp_path / "model.pt2") as part:
        assert part.suffix == ".pt2"
        assert part.parent == tmp_path
        part.write_bytes(b"x")
    assert os.listdir(tmp_path) == ["model.pt2"]


def test_folders_that_are_not_there_are_made_for_a_file_that_is_written(tmp_path):
    path = tmp_path / "a" / "b" / "out.bin"
    with pytest.raises(ValueError, match="no"):
        fail(path, ValueError("no"))
    assert not os.listdir(tmp_path)
    with writing(path) as file:
        file.write(b"new")
    assert path.read_bytes() == b"new"
    assert os.listdir(path.parent) == ["out.bin"]
