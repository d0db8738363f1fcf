"""Where the files are that a Caffe file names."""

from __future__ import annotations

from pathlib import Path


def find_named(name: str, owner: str | Path) -> Path | None:
    """Return where a file is that the file `owner` names, or None.

    As in Caffe a path is the working folder's. What is not there was perhaps moved together with
    its owner: it is looked for from the owner's folder, then in that folder itself.
    """
    folder = Path(owner).parent
    for path in (Path(name), folder / name, folder / Path(name).name):
        if path.exists() and not path.is_dir():
            return path
    return None
