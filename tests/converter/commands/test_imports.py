"""What a command imports: nobody waits for torch to read a line of help."""

from __future__ import annotations

import subprocess
import sys
from argparse import ArgumentParser
from pathlib import Path

import pytest

from converter.bench import ROUNDS
from converter.commands import COMMANDS, get_command
from converter.evaluation.evaluate import ENGINES
from tests.support.paths import ROOT

HEAVY = {"torch", "onnx", "onnxruntime", "caffe_layers"}
PROGRAM = """
import sys
from converter.__main__ import main
try:
    main(sys.argv[1:])
except SystemExit:
    pass
print(*{name.partition(".")[0] for name in sys.modules}, file=sys.stderr)
"""


def imported(*words: str) -> set[str]:
    """Return the packages that a command line has imported when it is done."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words], cwd=ROOT, capture_output=True, text=True
    )
    assert "Traceback" not in done.stderr, done.stderr
    return set(done.stderr.splitlines()[-1].split())


@pytest.mark.parametrize(
    "words",
    [["--help"], ["--version"], [], ["--nope"], ["nope"], ["layers"], ["define", "nope"]],
    ids=" ".join,
)
def test_saying_how_it_is_used_imports_nothing_heavy(words):
    assert not imported(*words) & (HEAVY | {"numpy"})


@pytest.mark.parametrize("command", COMMANDS)
def test_a_commands_help_and_a_wrong_option_import_nothing_heavy(command):
    assert not imported(command, "--help") & HEAVY
    assert not imported(command, "--no-such-option") & HEAVY


def test_rewriting_and_defining_networks_takes_no_torch(tmp_path):
    old, new = Path(tmp_path, "old.prototxt"), Path(tmp_path, "new.prototxt")
    assert not imported("define", "sknet50", "-o", str(old)) & HEAVY
    assert not imported("upgrade", str(old), str(new)) & HEAVY
    assert new.read_text().count("layer {") == old.read_text().count("layer {") > 100


def test_layers_of_ones_own_stand_in_the_table(tmp_path):
    own = tmp_path / "my_own.py"
    own.write_text(
        "from caffe_layers import Layer\n"
        "class Mine(Layer, type='MineAlone', fork='mine'):\n    pass\n"
    )
    words = [sys.executable, "-m", "converter", "layers"]
    table = subprocess.run([*words, "--layers", str(own)], cwd=ROOT, capture_output=True, text=True)
    plain = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert "MineAlone (mine)" in table.stdout
    assert "MineAlone" not in plain.stdout
    assert set(plain.stdout.splitlines()) < set(table.stdout.splitlines())


def test_help_names_what_the_code_knows():
    parser = ArgumentParser()
    get_command("eval").add_arguments(parser)
    (engine,) = (action for action in parser._actions if action.dest == "engine")
    assert engine.choices == ENGINES
    parser = ArgumentParser()
    get_command("bench").add_arguments(parser)
    (rounds,) = (action for action in parser._actions if action.dest == "rounds")
    assert rounds.default == ROUNDS


NEEDLESS = {
    *("torch._dynamo", "torch._inductor", "torch.onnx", "torch.distributed.tensor", "sympy"),
    *("onnx.reference", "onnxruntime.quantization", "triton", "scipy", "matplotlib", "PIL"),
    *("h5py", "lmdb", "torchvision", "safetensors.torch", "networkx", "http.server"),
}
"""What takes tenths of a second, and only some conversion, photo or file needs."""
CONVERTING = """
import sys
import onnx, onnxruntime, torch
before = set(sys.modules)
import converter.conversion
print(*(set(sys.modules) - before))
"""


def test_converting_imports_what_every_conversion_needs():
    done = subprocess.run(
        [sys.executable, "-c", CONVERTING], cwd=ROOT, capture_output=True, text=True, check=True
    )
    later = set(done.stdout.split())
    assert "converter.verification.verify" in later
    assert not later & NEEDLESS
