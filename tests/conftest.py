"""What every test may ask for."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import recorded

SHARED = Path(os.environ.get("CAFFEPORT_SHARED", Path(__file__).parents[2] / "shared"))


def pytest_configure() -> None:
    """Let each process that shares the machine have one thread, before torch starts its own."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of recorded cases of real Caffe."""
    if not SHARED.is_dir():
        pytest.skip(f"the recorded cases are not there: no folder {SHARED} (CAFFEPORT_SHARED)")
    return SHARED


@pytest.fixture(scope="session")
def sknet(shared: Path) -> Path:
    """Return the folder of the released SKNet definitions and what Caffe computed with them."""
    return shared / "reference" / "sknet"


@pytest.fixture(scope="session")
def checkpoints(sknet: Path) -> Iterator[Path]:
    """Return a folder with the seeded `sknet50.caffemodel` and `sknet101.caffemodel`, rebuilt."""
    with tempfile.TemporaryDirectory(prefix="caffe-sknet-") as folder:
        script = sknet / "build_checkpoints.py"
        subprocess.run([sys.executable, script, folder], check=True, capture_output=True)
        yield Path(folder)


@pytest.fixture(scope="session")
def layer_cases() -> Path:
    """Return the folder of the recorded single-layer cases."""
    return recorded.unpack("layers")


@pytest.fixture(scope="session")
def tiny_sk() -> Path:
    """Return the folder of the tiny SK network and its training."""
    return recorded.unpack("tiny_sk")
