"""What a file is named by."""

from __future__ import annotations

from os import PathLike

PathName = str | PathLike[str]
