"""What every test may ask for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SHARED = Path(os.environ.get("CAFFEPORT_SHARED", Path(__file__).parents[2] / "shared"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """Give the folder of recorded cases of real Caffe."""
    if not SHARED.is_dir():
        pytest.skip(f"the recorded cases are not there: no folder {SHARED} (CAFFEPORT_SHARED)")
    return SHARED
