"""Write the definitions anew: `python -m prototxt.nets [FOLDER]`."""

from __future__ import annotations

import sys
from pathlib import Path

from . import DEFINITIONS, text

folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
for name in DEFINITIONS:
    (folder / f"{name}.prototxt").write_text(text(name), encoding="utf-8")
    print(folder / f"{name}.prototxt")
