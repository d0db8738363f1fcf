"""Ctrl-C and SIGTERM: one line, the shell's status, nothing left behind."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

import converter.conversion
from converter.__main__ import main

NET = """layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }
layer { name: "fc" type: "InnerProduct" bottom: "x" top: "y" inner_product_param { num_output: 4 } }
"""


@pytest.mark.parametrize(
    ("number", "said", "status"),
    [(signal.SIGINT, "interrupted", 130), (signal.SIGTERM, "terminated", 143)],
)
def test_a_signal_in_the_middle_of_a_conversion(
    number: signal.Signals,
    said: str,
    status: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    net = tmp_path / "net.prototxt"
    net.write_text(NET)

    def verify(*args: object, **options: object) -> None:
        assert list(tmp_path.rglob("net.onnx"))  # what is written lies there by now
        os.kill(os.getpid(), number)
        signal.sigtimedwait([], 5)  # returns for the handler, at the latest after five seconds
        pytest.fail("the signal did not come through")

    monkeypatch.setattr(converter.conversion, "verify", verify)
    before = signal.getsignal(signal.SIGTERM)
    assert main(["convert", str(net), "-o", str(tmp_path / "out")]) == status
    assert capsys.readouterr() == ("", f"caffeport: {said}\n")
    assert [path.name for path in tmp_path.iterdir()] == ["net.prototxt"]
    assert signal.getsignal(signal.SIGTERM) is before
