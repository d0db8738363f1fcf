"""One run of one engine, in the environment that has it.

    python -m converter.engines NAME                        tell its version
    python -m converter.engines NAME FILE.onnx IN.npz OUT.npz

The status is 0 when it ran; 1 when it cannot be asked; 3 when the engine refused, whose own words
are then the last line on standard error.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from converter.errors import CaffeError
from converter.npz import write_npz

from . import ENGINES, installed

REFUSED = 3
LONGEST = 400
"""How many characters of a refusal are told: some engines append where in their code it arose."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run an engine, or say which there are."""
    asked = sys.argv[1:] if argv is None else list(argv)
    if len(asked) not in (1, 4):
        print(f"usage: python -m converter.engines {{{','.join(ENGINES)}}} [FILE IN OUT]")
        return 2
    try:
        engine = installed(asked[0])
    except CaffeError as error:
        print(error, file=sys.stderr)
        return 1
    if len(asked) == 1:
        print(engine.version())
        return 0
    path, source, target = asked[1:]
    with np.load(source) as archive:
        feeds = dict(archive)
    try:
        outputs = engine.run(path, feeds)
    except Exception as error:  # whatever an engine raises is its answer
        words = " ".join(str(error).split()) or "without a word"
        print(f"{type(error).__name__}: {words}"[:LONGEST], file=sys.stderr)
        return REFUSED
    with Path(target).open("wb") as file:
        write_npz(file, outputs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
