"""Print a fork's `caffe.proto` as the fragment to ship: what it has beyond BVLC's.

`python -m prototxt.schema owner/name path/in/the/repository < caffe.proto > forks/name.proto`
"""

from __future__ import annotations

import sys

from . import reader
from .difference import difference
from .fragment import BVLC, Fragment
from .write import write


def main(repository: str, path: str) -> None:
    """Read the schema from the standard input, print the fragment."""
    fork = reader.read(sys.stdin.read(), path)
    found = difference(fork, Fragment.read(BVLC).merged)
    print(write(found, f"What it is known for ({repository}, {path})."), end="")


if __name__ == "__main__":
    main(*sys.argv[1:])
