"""Print the seconds that writing a loaded network's ONNX takes: the median of five.

python benchmarks/emission.py NET WEIGHTS
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import converter

net = converter.load(sys.argv[1], sys.argv[2])
seconds = []
with tempfile.TemporaryDirectory() as out:
    for _ in range(5):
        begin = time.perf_counter()
        converter.export_onnx(net, Path(out, "net.onnx"))
        seconds.append(time.perf_counter() - begin)
print(f"{median(seconds):.3f}")
