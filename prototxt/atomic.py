"""Write files that appear whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import EISDIR
from pathlib import Path
from typing import BinaryIO


@contextmanager
def writing(path: str | Path) -> Iterator[BinaryIO]:
    """Open a binary file for writing; it takes its name when the block ends without an error.

    Until then the bytes are in a file beside it. Folders that are not there are made. After an
    error, a full disk included, nothing is left behind and a file that was there before is
    untouched; an OSError names `path`.
    """
    with replacing(path) as part, open(part, "wb") as file:
        yield file


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield the path of a file to write instead, which replaces `path` when the block ends well.

    For writers that open their file themselves; errors as in `writing`. The file's mode is the
    process's usual one, also where the writer made a private file.
    """
    target = Path(os.path.realpath(path))
    part = target.with_name(f".{os.getpid()}.{target.name}")
    made = [folder for folder in target.parents if not folder.exists()]
    try:
        if target.exists() and not target.is_file():  # a device or a pipe: nothing to replace
            yield target
            return
        if made:
            target.parent.mkdir(parents=True, exist_ok=True)
        part.touch()
        mode = part.stat().st_mode
        yield part
        part.chmod(mode)
        os.replace(part, target)
    except BaseException as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        with suppress(OSError):  # somebody else's files may lie there by now
            for folder in made:
                folder.rmdir()
        if isinstance(error, OSError) and error.filename in (None, part, str(part)):
            error.filename, error.filename2 = str(path), None
        raise


@contextmanager
def filling(folder: str | Path) -> Iterator[Path]:
    """Yield a folder to write files into, which move to `folder` when the block ends well.

    After an error none of them appears, and a `folder` that was not there is not there again; an
    OSError names the file as it would have been called.
    """
    folder = Path(folder)
    made = not folder.exists()
    part = folder / f".{os.getpid()}"
    try:
        part.mkdir(parents=True)
        yield part
        files = sorted(part.iterdir())
        for file in files:
            if (folder / file.name).is_dir():
                raise IsADirectoryError(EISDIR, os.strerror(EISDIR), str(file))
        for file in files:
            os.replace(file, folder / file.name)
        part.rmdir()
    except BaseException as error:
        shutil.rmtree(part, ignore_errors=True)
        if made:
            with suppress(OSError):
                folder.rmdir()
        if isinstance(error, OSError) and error.filename is not None:
            name = Path(error.filename)
            if name == part:
                error.filename = str(folder)
            elif name.is_relative_to(part):
                error.filename, error.filename2 = str(folder / name.relative_to(part)), None
        raise
