"""A network with time on axis 0: what its summary counts, and its exported program."""

from __future__ import annotations

from pathlib import Path

import torch

import converter
from converter.network.summary import format_totals, summarize

LSTM = """
name: "sequence"
input: "x" input_shape { dim: 5 dim: 2 dim: 3 }
input: "cont" input_shape { dim: 5 dim: 2 }
layer { name: "lstm" type: "LSTM" bottom: "x" bottom: "cont" top: "h"
  recurrent_param { num_output: 4 weight_filler { type: "uniform" min: -0.5 max: 0.5 } } }
"""
SUMS = 5 * 2 * (4 * 4) * (3 + 4)  # steps x sequences x gates x (inputs and state)


def test_multiply_adds_are_a_whole_passs(tmp_path: Path) -> None:
    (tmp_path / "net.prototxt").write_text(LSTM)
    summary = summarize(converter.load(tmp_path / "net.prototxt"))
    assert (summary.multiply_adds, summary.per) == (SUMS, "pass")
    assert format_totals(summary).endswith(f"{SUMS / 1000:.2f} k multiply-adds a pass")


def test_the_exported_program_says_what_it_fixes(tmp_path: Path) -> None:
    (tmp_path / "net.prototxt").write_text(LSTM)
    report = converter.convert(tmp_path / "net.prototxt", None, tmp_path, formats=["pt2"])
    assert "net.pt2 takes only axis 0 of x at 5, axis 0 of cont at 5" in report.notes
    program = torch.export.load(tmp_path / "net.pt2").module()
    net = converter.load(tmp_path / "net.prototxt")
    generator = torch.Generator().manual_seed(1701)
    fed = {"x": torch.randn(5, 2, 3, generator=generator), "cont": torch.ones(5, 2)}
    fed["cont"][0] = fed["cont"][2, 1] = 0
    with torch.no_grad():
        want = net(fed)["h"]
        assert want.abs().max() > 0.05
        for _ in range(2):  # it keeps no state
            assert torch.equal(program(fed)["h"], want)
