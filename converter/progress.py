"""Progress bars: shown on a terminal, for what takes more than a second."""

from __future__ import annotations

import sys
from typing import NoReturn

from tqdm import tqdm


def progress(what: str, total: int, *, quiet: bool = False, unit: str = "step") -> tqdm[NoReturn]:
    """Return a bar of `total` steps; silent where standard error is no terminal or `quiet`."""
    return tqdm(
        total=total,
        desc=what,
        unit=unit,
        unit_scale=unit == "B",
        delay=1,
        leave=False,
        file=sys.stderr,
        disable=True if quiet else None,
    )
