"""`import caffe` is ours in these tests, and gone after each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from converter import pycaffe


@pytest.fixture
def caffe() -> Iterator[Any]:
    pycaffe.install()
    import caffe as module  # type: ignore[import-not-found]

    yield module
    pycaffe.uninstall()
