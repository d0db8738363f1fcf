"""Blobs of many images, gathered: what Caffe's tool extract_features did."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from converter.network.arrays import array_of, arrays_of
from converter.network.net import CaffeNet
from converter.npz import write_npz
from converter.preprocessing import Preprocessing, Transform, image_input
from converter.progress import progress
from prototxt.atomic import replacing
from prototxt.errors import UsageError
from prototxt.optional import optional

from .batches import batches
from .evaluate import identity_of
from .kept_rows import KeptRows
from .samples import LabelledImages

NAMES, LABELS = "names", "labels"
"""What a file of features calls the images and their labels."""


def extract(
    net: CaffeNet,
    samples: LabelledImages,
    preprocessing: Preprocessing,
    path: Path,
    *,
    batch: int = 32,
    workers: int = 0,
    quiet: bool = True,
) -> dict[str, tuple[int, ...]]:
    """Write the network's outputs for every image; return their shapes, M x ... for M images.

    What is done so far lies in the folder `PATH.state`: what was cut off goes on from it, and it is
    gone in the end.

    Args:
        net: one that was loaded to end at the blobs wanted (`load(end=...)`).
        samples: the images, as `open_samples` gives them.
        preprocessing: what its input wants done to an image.
        path: the file, whose ending is the form: `.npz` and `.h5` hold an array for each blob, and
            `names` and `labels`; `.csv` has a line for each image.
        batch: how many images run at once.
        workers: processes that read images (0: none but this one).
        quiet: no progress is shown.

    Raises UsageError for another ending, ShapeError for a blob without a row for each image,
    FormatError, with its name, for an image that cannot be read.
    """
    write = FORMS.get(path.suffix.lower())
    if write is None:
        raise UsageError(f"{path}: features are written as one of {', '.join(FORMS)}")
    if lost := set(net.outputs) - net.exported().plan.outputs.keys():
        raise UsageError(f"blob {min(lost)!r} wants labels, and images alone are fed")
    if taken := {NAMES, LABELS} & net.exported().plan.outputs.keys():
        raise UsageError(f"blob {taken.pop()!r} is called as what a file of features says besides")
    data, total = image_input(net), len(samples)
    kept = KeptRows.open(Path(f"{path}.state"), _identity(net, samples, preprocessing), total)
    with (
        progress("features", total, quiet=quiet, unit="image") as bar,
        torch.inference_mode(),
        kept.saving(),
    ):
        bar.update(kept.done)
        left, transform = range(kept.done, total), Transform(preprocessing)
        for loaded in batches(samples, left, transform, batch=batch, workers=workers):
            outputs = net({data: loaded.images.to(net.device, net.dtype)})
            rows = arrays_of(outputs)
            kept.add({**rows, LABELS: array_of(loaded.labels)}, len(loaded.labels))
            bar.update(len(loaded.labels))
    arrays = dict(kept.arrays)
    labels = arrays.pop(LABELS)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as part:
        write(part, arrays, [samples.name(index) for index in range(total)], labels)
    kept.remove()
    return {name: tuple(value.shape) for name, value in arrays.items()}


def _identity(
    net: CaffeNet, samples: LabelledImages, preprocessing: Preprocessing
) -> dict[str, Any]:
    """Return what must be the same where an extraction goes on."""
    blobs = list(net.exported().plan.outputs)
    return {**identity_of(net, samples, preprocessing), "blobs": blobs, "dtype": str(net.dtype)}


def _npz(
    path: Path, arrays: Mapping[str, np.ndarray], names: Sequence[str], labels: np.ndarray
) -> None:
    with path.open("wb") as file:
        write_npz(file, {**arrays, NAMES: np.array(names), LABELS: labels})


def _hdf5(
    path: Path, arrays: Mapping[str, np.ndarray], names: Sequence[str], labels: np.ndarray
) -> None:
    h5py = optional("h5py", "hdf5", "HDF5 files need")
    with h5py.File(path, "w") as file:
        for name, value in {**arrays, LABELS: labels}.items():
            file.create_dataset(name, data=value)
        file.create_dataset(NAMES, data=list(names), dtype=h5py.string_dtype())


def _csv(
    path: Path, arrays: Mapping[str, np.ndarray], names: Sequence[str], labels: np.ndarray
) -> None:
    flat = {name: value.reshape(len(names), -1) for name, value in arrays.items()}
    columns = [f"{name}[{i}]" for name, value in flat.items() for i in range(value.shape[1])]
    with path.open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(["name", "label", *columns])
        for index, (name, label) in enumerate(zip(names, labels.tolist(), strict=True)):
            lines.writerow([name, label, *(x for value in flat.values() for x in value[index])])


Write = Callable[[Path, Mapping[str, np.ndarray], Sequence[str], np.ndarray], None]

FORMS: dict[str, Write] = {".npz": _npz, ".h5": _hdf5, ".csv": _csv}
"""By the ending of a file's name."""
