"""Databases for tests, written with lmdb itself and Datum messages put together by hand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from prototxt.schema import dialect


def write_lmdb(folder: str | Path, records: Mapping[bytes, bytes]) -> None:
    import lmdb

    with lmdb.open(str(folder), map_size=1 << 26) as opened, opened.begin(write=True) as all_:
        for key, value in records.items():
            all_.put(key, value)


def datum(image: np.ndarray, label: int = 0) -> bytes:
    """Return a Datum of a C x H x W image."""
    fields: dict[str, Any] = dict(zip(("channels", "height", "width"), image.shape, strict=True))
    if image.dtype == np.uint8:
        fields["data"] = image.tobytes()
    else:
        fields["float_data"] = image.ravel().tolist()
    return dialect("bvlc").message("Datum")(label=label, **fields).SerializeToString()


def write_images(folder: str | Path, images: np.ndarray) -> None:
    """Write images N x C x H x W, labelled by their numbers."""
    write_lmdb(folder, {b"%08d" % i: datum(image, i) for i, image in enumerate(images)})
