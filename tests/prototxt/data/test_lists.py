"""Lists of images and of windows, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from prototxt import FormatError
from prototxt.data.lists import beneath, read_image_list, read_windows


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "list.txt"


def test_a_label_follows_the_last_space(path: Path) -> None:
    path.write_text("a.jpg 3\n\nwith space.png  -1 \r\nd\xe9/b.jpg 12", encoding="utf-8")
    assert read_image_list(path) == [("a.jpg", 3), ("with space.png ", -1), ("d\xe9/b.jpg", 12)]


@pytest.mark.parametrize("line", ["a.jpg", "a.jpg x", "a.jpg 1.5", "3", " 3", "a.jpg 3 4x"])
def test_a_line_without_name_and_label_is_named(path: Path, line: str) -> None:
    path.write_text(f"a.jpg 3\n{line}\n")
    with pytest.raises(FormatError, match=rf"list\.txt:2: '{line}', wants `image label`"):
        read_image_list(path)


@pytest.mark.parametrize("read", [read_image_list, read_windows])
def test_an_empty_or_missing_list_is_named(path: Path, read) -> None:
    with pytest.raises(FormatError, match=r"the list '.*list\.txt' cannot be read: No such file"):
        read(path)
    path.write_text(" \n")
    with pytest.raises(FormatError, match=r"list\.txt: the (list|window file) names no image"):
        read(path)


WINDOWS = """# 0
a.jpg
3
20
30
2
1 0.75 0 1 9 8
0 0.25 2 3 4 5
# 1
b.jpg
3 40 50 0
# 2
c.jpg
3
20
30
1
7 1 5 6 7 8
"""


def test_windows_are_rows_of_image_class_and_corners(path: Path) -> None:
    path.write_text(WINDOWS)
    found = read_windows(path)
    assert found.paths == ["a.jpg", "b.jpg", "c.jpg"]
    assert found.channels == 3
    assert found.boxes.tolist() == [[0, 1, 0, 1, 9, 8], [0, 0, 2, 3, 4, 5], [2, 7, 5, 6, 7, 8]]
    assert found.overlaps.tolist() == [0.75, 0.25, 1]
    assert (found.boxes.dtype, found.overlaps.dtype) == (np.int32, np.float32)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("# 1", "1", r"list\.txt:9: '1', wants `#` and an image's number"),
        ("# 1", "# 4", r"list\.txt:9: image 4, wants 1: they count from 0"),
        ("0.75", "much", r"list\.txt:1: line 7: 'much' is no number"),
        ("b.jpg\n3", "b.jpg\n-3", r"list\.txt:9: line 11: '-3' is no whole number"),
        ("5 6 7 8", "5 6 7", r"list\.txt:12: the file ends within this image"),
        ("5 6 7 8", "5 6 7 8.5", "a class or a corner of a window is no whole number"),
    ],
)
def test_what_is_wrong_with_windows_is_named(path: Path, old: str, new: str, says: str) -> None:
    path.write_text(WINDOWS.replace(old, new))
    with pytest.raises(FormatError, match=says):
        read_windows(path)


def test_names_stay_beneath_their_folder() -> None:
    assert beneath("", "/any/where.jpg", "l") == "/any/where.jpg"
    assert beneath("data/", "a/../b.jpg", "l") == "data/a/../b.jpg"
    assert beneath("data/train_", "1.jpg", "l") == "data/train_1.jpg"
    assert beneath("/", "/a.jpg", "l") == "//a.jpg"
    for name in ("../a.jpg", "x/../../a.jpg"):
        with pytest.raises(FormatError, match=f"^l: '{name}' leads out of root_folder 'data'$"):
            beneath("data/", name, "l")
