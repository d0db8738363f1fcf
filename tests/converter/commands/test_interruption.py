"""Ctrl-C and SIGTERM: one line, the shell's status, nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import converter.conversion
from converter.__main__ import main

NET = """layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }
layer { name: "fc" type: "InnerProduct" bottom: "x" top: "y" inner_product_param { num_output: 4 } }
"""


@pytest.fixture(autouse=True)
def heeded() -> Iterator[None]:
    """Heed Ctrl-C, which a shell lets what it runs in the background ignore."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


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


@pytest.mark.parametrize(
    ("number", "said"), [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "terminated")]
)
@pytest.mark.parametrize("place", ["start", "import"])
def test_a_signal_within_an_import_is_neither_lost_nor_another_error(
    number: signal.Signals, said: str, place: str, tmp_path: Path
) -> None:
    """What a handler raises there, a class's names or a module's lock may swallow."""
    (tmp_path / "slow.py").write_text(
        "import os, time\n"
        "class Name:\n"
        "    def __set_name__(self, owner, name):\n"
        f"        os.kill(os.getpid(), {number.value})\n"
        "        time.sleep(0.1)\n"
        "class Owner:\n"
        "    name = Name()\n"
        "print('imported')\n"
    )
    run = "start('slow')" if place == "start" else "import_module('slow') and None"
    (tmp_path / "own.py").write_text(
        "import sys, time\n"
        "from importlib import import_module\n"
        "import converter.commands.layers as command\n"
        "from converter.__main__ import main\n"
        "from converter.commands._start import start\n"
        f"command.run = lambda args: {run} or time.sleep(5)\n"
        "sys.exit(main(['layers']))\n"
    )
    paths = {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    done = subprocess.run(
        [sys.executable, "own.py"],
        cwd=tmp_path,
        env=os.environ | paths,
        capture_output=True,
        text=True,
        check=False,
    )
    printed = "" if place == "start" else "imported\n"
    assert (done.stderr, done.stdout) == (f"caffeport: {said}\n", printed)
    assert done.returncode == 128 + number
