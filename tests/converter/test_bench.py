"""The table of timings: which engines, which batches; no time is asserted."""

from __future__ import annotations

import json

from converter.__main__ import main
from converter.bench import Timing, format_timings
from converter.demo.files import NET, WEIGHTS


def test_every_engine_and_batch(capsys):
    args = ["bench", str(NET), str(WEIGHTS), "--batch", "1", "3", "--rounds", "1"]
    assert main(args) == 0
    printed = capsys.readouterr().out
    assert "note: optimized: fused 2 selections of kernels" in printed
    table = printed.splitlines()[-5:]
    assert table[0].split() == ["batch", "1", "batch", "3"]
    engines = [line.split("  ")[0] for line in table[1:]]
    assert engines == [
        "torch, eager",
        "torch, optimized",
        "ONNX Runtime, as converted",
        "ONNX Runtime, optimized",
    ]
    assert all(line.count(" ms ") == line.count(" x") == 2 for line in table[1:])


def test_ratios_are_of_the_first_engines_time():
    table = format_timings([Timing("a", 1, 0.2), Timing("b", 1, 0.05)])
    assert table.splitlines()[1].endswith("200.0 ms  1.00 x")
    assert table.splitlines()[2].endswith("50.0 ms  4.00 x")


def test_convert_optimizes(tmp_path, capsys):
    args = ["convert", str(NET), str(WEIGHTS), "-o", str(tmp_path), "--optimize"]
    assert main([*args, "--format", "onnx"]) == 0
    notes = json.loads((tmp_path / "report.json").read_text())["notes"]
    assert "optimized: fused 2 selections of kernels" in notes
    assert any(note.startswith("optimized: folded") for note in notes)
    assert "optimized: fused 2" in capsys.readouterr().out
