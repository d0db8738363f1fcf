"""Files that a Caffe file names: here as in Caffe, or moved together with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from prototxt.named_file import find_named


@pytest.mark.parametrize(
    ("there", "found"),
    [
        (["data/mean.file", "moved/data/mean.file", "moved/mean.file"], "data/mean.file"),
        (["moved/data/mean.file", "moved/mean.file"], "moved/data/mean.file"),
        (["moved/mean.file"], "moved/mean.file"),
        (["mean.file"], None),
        ([], None),
    ],
    ids=["where it says", "from the owner's folder", "beside the owner", "elsewhere", "nowhere"],
)
def test_the_first_of_three_places_counts(
    there: list[str], found: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in there:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    assert find_named("data/mean.file", "moved/net.prototxt") == (found and Path(found))


def test_a_folder_of_that_name_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mean.file").mkdir()
    Path("moved").mkdir()
    Path("moved/mean.file").touch()
    assert find_named("mean.file", "moved/net.prototxt") == Path("moved/mean.file")
