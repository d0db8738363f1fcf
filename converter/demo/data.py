"""Make what the demo's network learns from: `python -m converter.demo.data FOLDER`.

Wants scikit-learn and lmdb. The folder then holds scikit-learn's digits as two databases, the
definition that reads them and its solver; in it, `caffeport train digits_sk_solver.prototxt` trains
the network anew.
"""

from __future__ import annotations

import sys
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from prototxt.atomic import writing
from prototxt.data.datum import write_datum
from prototxt.data.images import resize
from prototxt.data.lmdb import write_database
from prototxt.nets import text

from .files import BRIGHTEST, DIGITS

SEED = 1701
HELD_OUT = 360

Digits = tuple["np.ndarray[Any, Any]", "np.ndarray[Any, Any]"]


def split_digits() -> tuple[Digits, Digits]:
    """Return images, N x 8 x 8 bytes of brightness 0 to 16, and labels: to train, and held out."""
    digits = load_digits()
    images, held, labels, held_labels = train_test_split(
        digits.images.astype(np.uint8),
        digits.target.astype(np.uint8),
        test_size=HELD_OUT,
        random_state=SEED,
        stratify=digits.target,
    )
    return (images, labels), (held, held_labels)


def write_digits(
    folder: str | PathLike[str], *, size: int = 8, brightest: int = BRIGHTEST, border: int = 0
) -> None:
    """Write the databases `digits_train` and `digits_test` into a folder.

    Their images are enlarged to 1 x `size` x `size`, of brightness 0 to `brightest`; a dark
    `border` goes around them.
    """
    for name, (images, labels) in zip(("digits_train", "digits_test"), split_digits(), strict=True):
        bright = np.rint(images * (brightest / BRIGHTEST)).astype(np.uint8)
        dark = ((border, border), (border, border), (0, 0))
        enlarged = (np.pad(resize(image[:, :, None], size, size), dark) for image in bright)
        write_database(
            Path(folder, name),
            (
                (b"%08d" % number, write_datum(image.transpose(2, 0, 1), int(label)))
                for number, (image, label) in enumerate(zip(enlarged, labels, strict=True))
            ),
        )


def main(folder: str) -> None:
    """Write the databases, the held-out digits by themselves, the definition and its solver."""
    write_digits(folder, border=1)
    _, (held, labels) = split_digits()
    with writing(Path(folder, DIGITS.name)) as file:
        np.savez_compressed(file, images=held, labels=labels)
    for name in ("digits_sk_train", "digits_sk_solver"):
        with writing(Path(folder, f"{name}.prototxt")) as file:
            file.write(text(name).encode())
    print(f"now run, in {folder}: caffeport train digits_sk_solver.prototxt")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m converter.demo.data FOLDER")
    main(sys.argv[1])
