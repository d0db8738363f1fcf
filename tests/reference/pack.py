"""Pack what was recorded from real Caffe into the archives that the parity suite reads.

`python tests/reference/pack.py SHARED_REFERENCE` writes one `.tar.xz` for each folder, and a copy
of each file, beside this file; equal folders give equal bytes.
"""

from __future__ import annotations

import io
import lzma
import shutil
import sys
import tarfile
from pathlib import Path

FOLDERS = ("layers", "solvers", "protos", "tiny_sk", "pycaffe")
FILES = ("axpy_cudnn_batch_norm.npz",)


def pack(folder: Path, archive: Path) -> None:
    """Write the files of `folder` into `archive`, without owners and times."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                info = tarfile.TarInfo(path.relative_to(folder).as_posix())
                info.size = path.stat().st_size
                tar.addfile(info, io.BytesIO(path.read_bytes()))
    archive.write_bytes(lzma.compress(buffer.getvalue(), preset=9))


if __name__ == "__main__":
    for name in FOLDERS:
        pack(Path(sys.argv[1]) / name, Path(__file__).with_name(f"{name}.tar.xz"))
    for name in FILES:
        shutil.copyfile(Path(sys.argv[1]) / name, Path(__file__).with_name(name))
