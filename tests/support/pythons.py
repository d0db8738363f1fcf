"""The Pythons of this machine that the packages are for."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

OLDEST = (3, 10)
"""As setup.cfg's python_requires says."""


@cache
def pythons() -> dict[tuple[int, int], Path]:
    """Return one Python of each version that is found on the path or among pyenv's, and runs."""
    found: dict[tuple[int, int], Path] = {}
    for path in _candidates():
        said = re.fullmatch(r"python3\.(\d+)", path.name)
        if said is None or (3, int(said[1])) < OLDEST or (3, int(said[1])) in found:
            continue
        done = subprocess.run([path, "-c", "import venv"], capture_output=True)
        if done.returncode == 0:
            found[3, int(said[1])] = path
    return dict(sorted(found.items()))


def _candidates() -> Iterator[Path]:
    folders = [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep)]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    for folder in (*pyenv.glob("versions/*/bin"), *folders):
        yield from sorted(folder.glob("python3.*"))
