"""What every test may ask for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import recorded

SHARED = Path(os.environ.get("CAFFEPORT_SHARED", Path(__file__).parents[2] / "shared"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """Give the folder of recorded cases of real Caffe."""
    if not SHARED.is_dir():
        pytest.skip(f"the recorded cases are not there: no folder {SHARED} (CAFFEPORT_SHARED)")
    return SHARED


@pytest.fixture(scope="session")
def layer_cases() -> Path:
    """Give the folder of the recorded single-layer cases."""
    return recorded.unpack("layers")
