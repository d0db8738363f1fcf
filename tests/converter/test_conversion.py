"""A conversion as a whole: every file opened once, every plan made once."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import converter
from converter.demo.files import NET, WEIGHTS
from converter.network import net as networks
from converter.network.exported import exported_part
from tests.support.paths import ROOT

OPENED = """
import sys
opened = []
sys.addaudithook(lambda event, args: opened.append(args[0]) if event == "open" else None)
import converter
converter.convert(*sys.argv[1:4], formats=("onnx", "safetensors", "python"))
print(*map(str, opened), sep="\\n")
"""


def test_a_conversion_opens_its_definition_once(tmp_path: Path) -> None:
    net = shutil.copy(NET, tmp_path)
    command = [sys.executable, "-c", OPENED, net, WEIGHTS, tmp_path / "out"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines().count(str(net)) == 1


def test_a_conversion_plans_its_export_once(tmp_path: Path, monkeypatch) -> None:
    planned = []
    monkeypatch.setattr(
        networks,
        "exported_part",
        lambda *args, **options: planned.append(options) or exported_part(*args, **options),
    )
    formats = ("onnx", "safetensors", "python", "pt2")
    assert converter.convert(NET, WEIGHTS, tmp_path / "out", formats=formats).passed
    assert [options["with_losses"] for options in planned] == [False]
