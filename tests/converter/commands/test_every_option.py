"""Every option of every command: with it a command does something else, or says why not.

The table is held against the parsers: an option without a row fails, and so does a row of none.
"""

from __future__ import annotations

import re
from argparse import ArgumentParser
from dataclasses import dataclass
from pathlib import Path

import pytest

from converter.__main__ import main
from converter.commands import COMMANDS, get_command
from converter.sknet.table2 import ROWS, count
from tests.support.option_rows import COMPUTING, IMAGES, LOADING, Row, write

DATA = {
    "--data": Row("--data list.txt --root flat"),
    "--labels": Row("--labels names.txt"),
    "--root": Row("--root flat", beside="--data list.txt"),
    "--size": Row("--size 9"),
    "--batch": Row("--batch 0", refused="batch"),
    "--workers": Row("--workers -1", refused="workers"),
}
GRAPH = {
    "--opset": Row("--opset 15"),
    "--dynamic": Row("--dynamic batch,height"),
    "--target": Row("--target opencv"),
    "--with-losses": Row("--with-losses"),
    "--softmax": Row("--softmax"),
}
GOLDEN = {
    "--input": Row("--input data=data.npy"),
    "--golden": Row("--golden golden.npz", beside="--input data=data.npy"),
    "--golden-float": Row(
        "--golden-float float.npz", beside="--input data=data.npy --golden golden.npz"
    ),
    "--tolerance": Row("--tolerance 1e-30"),
}
PHOTO = "--input data=photo.png --mean 100"
EIGHT_BITS = "--dtype int8 --calibrate calib.npz --format onnx"
OUT = {"--out": Row("-o other")}

LINES = {
    "attention": "sk_net sk_w --data images --workers 0 --mean 100 --scales 1 -o out",
    "bench": "net w --batch 1 --rounds 1",
    "check": "net w",
    "completion": "bash",
    "convert": "net w -o out",
    "define": "sknet50",
    "demo": "-o out",
    "draw": "net w -o net.svg",
    "eval": "net w --data images --workers 0 --mean 100",
    "features": "net w --data images --workers 0 --mean 100 --blobs fc -o out.npz",
    "layers": "",
    "pycaffe": "script.py",
    "run": "net w --output out.npz",
    "show": "net w",
    "table": "",
    "test": "read_net w --iterations 2",
    "train": "solver.prototxt",
    "upgrade": "net.prototxt out.prototxt",
    "verify": "net w",
}
"""Each command's line, with NET and WEIGHTS first where it takes them."""
READING = {
    "--dialect": LOADING["--dialect"],
    "--layers": LOADING["--layers"],
    "--proto": LOADING["--proto"],
}
NETS = {name for name, line in LINES.items() if re.match(r"\w*net \w*w\b", line)}

OWN: dict[str, dict[str, Row]] = {
    "attention": {
        **COMPUTING,
        **DATA,
        **IMAGES,
        **OUT,
        "--scales": Row("--scales 1 1.5"),
        "--deploy": Row("--deploy", "judged", beside="--resize 8x8"),
    },
    "bench": {
        "--dtype": Row("--dtype bfloat16"),
        "--device": COMPUTING["--device"],
        "--deploy": Row("--deploy", "judged"),
        "--batch": Row("--batch 1 2"),
        "--rounds": Row("--rounds 2"),
        "--compiled": Row("--compiled"),
    },
    "check": {
        "--opset": Row("--opset 3"),
        "--dynamic": Row("--dynamic nonsense"),
        "--target": Row("--target nonsense"),
        "--with-losses": Row("--with-losses", "lossy", beside="--layers lossy.py --allow-missing"),
        "--softmax": Row("--softmax", beside="--end pool,fc"),
        "--dtype": Row("--dtype bfloat16"),
        "--json": Row("--json"),
    },
    "convert": {
        **COMPUTING,
        **GRAPH,
        **GOLDEN,
        **IMAGES,
        **OUT,
        "--format": Row("--format caffemodel"),
        "--name": Row("--name other"),
        "--from": Row("--from models.txt", refused="which network"),
        "--no-verify": Row("--no-verify"),
        "--fold-bn": Row("--fold-bn"),
        "--half-io": Row("--half-io", beside="--dtype float16"),
        "--calibrate": Row("--calibrate calib.npz", beside="--dtype int8 --format onnx"),
        "--calibration-method": Row("--calibration-method entropy", beside=EIGHT_BITS),
        "--signed": Row("--signed", beside=EIGHT_BITS),
        "--optimize": Row("--optimize"),
        "--embed-preprocessing": Row("--embed-preprocessing", beside="--mean 100"),
    },
    "completion": {},
    "define": {"--output": Row("-o sk.prototxt")},
    "demo": OUT,
    "draw": {"--out": Row("-o other.svg")},
    "eval": {
        **COMPUTING,
        **DATA,
        **IMAGES,
        "--engine": Row("--engine onnx"),
        "--deploy": Row("--deploy", "judged"),
        "--dtype": Row("--dtype float64", beside="--engine onnx"),
        "--scores": Row("--scores nonsense"),
        "--output": Row("--output out.json"),
    },
    "features": {
        **COMPUTING,
        **DATA,
        **IMAGES,
        "--out": Row("-o out.csv"),
        "--blobs": Row("--blobs pool"),
        "--end": Row("--end fc", refused="--end is said by --blobs"),
        "--deploy": Row("--deploy", "tuned", beside="--phase TRAIN"),
    },
    "layers": {
        "--layers": Row("--layers own.py"),
        "--proto": Row("--proto schema/caffe.proto", refused="--proto says messages, no layers"),
    },
    "pycaffe": {
        "--dialect": Row("--dialect nonsense"),
        "--python2": Row("--python2"),
        "-m": Row("-m"),
    },
    "run": {
        **COMPUTING,
        **{name: Row(row.given, beside=PHOTO) for name, row in IMAGES.items()},
        "--input": Row("--input data=data.npy"),
        "--output": Row("--output other.npz"),
        "--backward": Row("--backward"),
        "--draw": Row("--draw out.png", beside=PHOTO),
        "--labels": Row("--labels names.txt", beside=PHOTO),
        "--blob": Row("--blob fc", beside=f"{PHOTO} --end fc,pool"),
        "--least": Row("--least 0.9", beside=PHOTO, refused="--least is of boxes and maps"),
    },
    "show": {"--json": Row("--json")},
    "table": {"--markdown": Row("--markdown")},
    "test": {
        **COMPUTING,
        "--iterations": Row("--iterations 3"),
        "--ap-version": Row("--ap-version 11point", refused="wants rows of 5 to judge detections"),
    },
    "train": {
        "--weights": Row("--weights read_w.caffemodel"),
        "--snapshot": Row("--snapshot nowhere.solverstate", refused="nowhere.solverstate"),
        "--device": COMPUTING["--device"],
        "--dtype": COMPUTING["--dtype"],
        "--amp": Row("--amp"),
        "--seed": Row("--seed 5"),
        "--workers": Row("--workers -1", refused="workers"),
        "--log": Row("--log out.jsonl"),
        "--map": Row("--map old=fc", beside="--weights old.caffemodel"),
        "--ignore": Row("--ignore fc", beside="--weights wide.caffemodel"),
        "--input-shape": Row("--input-shape data=1,3,9,8"),
        "--set": LOADING["--set"],
        **READING,
        "--allow-unknown": LOADING["--allow-unknown"],
        "--quiet": LOADING["--quiet"],
    },
    "upgrade": {
        "--set": LOADING["--set"],
        **READING,
        "--allow-unknown": LOADING["--allow-unknown"],
        "--quiet": LOADING["--quiet"],
    },
    "verify": {
        **COMPUTING,
        **GOLDEN,
        **{
            name: Row(row.given, beside="--input data=photo.png --mean 100")
            for name, row in IMAGES.items()
        },
        "--engine": Row("--engine nonsense"),
    },
}
TABLE = {name: {**(LOADING if name in NETS else {}), **OWN[name]} for name in COMMANDS}


def options(command: str) -> set[str]:
    """Return a command's options, each by its longest name."""
    parser = ArgumentParser(add_help=False)
    get_command(command).add_arguments(parser)
    return {max(a.option_strings, key=len) for a in parser._actions if a.option_strings}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_has_a_row(command: str) -> None:
    assert set(TABLE[command]) == options(command)


@dataclass(frozen=True)
class Seen:
    """What a command line does."""

    status: int | str | None
    printed: str
    said: str
    files: dict[str, bytes]


def line(command: str, row: Row) -> list[str]:
    """Return a command's line for a row, without its option."""
    words = LINES[command].split()
    if command in NETS:
        prefix = words[0].removesuffix("net")
        words[0] = f"{prefix}{row.net or 'net'}.prototxt"
        words[1] = f"{prefix}{'w' if row.weights is None else row.weights}.caffemodel"
        if row.weights == "":
            del words[1]
    elif row.net and command == "train":
        words[0] = f"solver_{row.net}.prototxt"
    elif row.net:
        words[0] = f"{row.net}.prototxt"
    return [command, *_without(words, row.beside.split()), *row.beside.split()]


def _without(words: list[str], others: list[str]) -> list[str]:
    """Leave out options that others give anew."""
    kept, skip = [], False
    for word in words:
        skip = word in others if word.startswith("-") else skip
        if not skip:
            kept.append(word)
    return kept


class Folder:
    """Where the commands run; what each line does is looked at once."""

    def __init__(self, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.path, self.capsys = path, capsys
        self.held = set(path.rglob("*"))

    def seen(self, words: list[str]) -> Seen:
        """Run a line; return what it does, and take back what it wrote."""
        try:
            status: int | str | None = main(words)
        except SystemExit as stopped:
            status = stopped.code
        printed, said = self.capsys.readouterr()
        files = {}
        for path in sorted(set(self.path.rglob("*")) - self.held, reverse=True):
            if path.is_dir():
                path.rmdir()
                continue
            if "report." not in path.name and not path.name.endswith(".jsonl"):
                files[path.name] = path.read_bytes()
            path.unlink()
        return Seen(status, _steady(printed), said, files)


def _steady(printed: str) -> str:
    """Leave out what is never twice the same: how long something took."""
    printed = re.sub(r" {2,}", "  ", printed)
    printed = re.sub(r" +[\d.]+ ms +[\d.]+ x|[\d.]+ a second|\(.* iter/s.*\)", "", printed)
    return re.sub(r"(?m)^.*\b(seconds|elapsed)\b.*$", "", printed)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("options")
    write(folder)
    return folder


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what is slow and not asked about: pictures, scripts, compilers, Table 2's rows."""
    monkeypatch.setattr("converter.sknet.attention.draw_attention", lambda *_: [])
    monkeypatch.setattr("converter.training.run.can_draw", lambda: False)
    monkeypatch.setattr("torch.compile", lambda function, **_: function)
    monkeypatch.setattr("converter.pycaffe.install", lambda dialect: print(dialect))
    for name in ("run_script", "run_module"):
        said = lambda *words, name=name: print(name, *words) or 0  # noqa: E731
        monkeypatch.setattr(f"converter.pycaffe.scripts.{name}", said)
    counted = count(ROWS[:1])
    monkeypatch.setattr("converter.sknet.table2.count", lambda: counted)


def test_the_lines_do_the_same_twice(files, quick, monkeypatch, capsys):
    monkeypatch.chdir(files)
    folder = Folder(files, capsys)
    for command in COMMANDS:
        words = line(command, Row(""))
        first, second = folder.seen(words), folder.seen(words)
        assert (command, first.status, first.said) == (command, 0, "")
        assert first == second, command


@pytest.mark.parametrize("command", COMMANDS)
def test_an_option_is_heeded_or_refused(command, files, quick, monkeypatch, capsys):
    monkeypatch.chdir(files)
    folder, before, faults = Folder(files, capsys), {}, []
    for option, row in TABLE[command].items():
        words = line(command, row)
        if tuple(words) not in before:
            before[tuple(words)] = folder.seen(words)
        plain, got = before[tuple(words)], folder.seen([*words, *row.given.split()])
        good = got != plain and not (plain.status and got.status)
        if row.refused:
            good = got.status in (1, 2) and row.refused in got.said
        if not good:
            faults.append((option, plain.status, plain.said, got.status, got.said))
    assert not faults, "\n".join(map(str, faults))


IDLE = {
    "show net.prototxt --map a=fc": "no weights are given whose layers could be mapped",
    "show net.prototxt --ignore fc": "no weights are given whose layers could be mapped",
    "show net.prototxt --stage moer": "names stage 'moer'\n  fix: did you mean 'more'",
    "show net.prototxt w.caffemodel --require-weights --ignore fc": "values are left for fc",
    "convert net.prototxt w.caffemodel -o out --name ..": "name '..' is no file's name",
    "show net.prototxt w.caffemodel --ignore fc --map fc=fc": "'fc' is mapped and ignored",
    "show net.prototxt w.caffemodel --end ,": "',' wants names with commas between",
    "features net.prototxt w.caffemodel --data images --mean 5 --blobs , -o f.npz": (
        "--blobs names no blob"
    ),
    "convert net.prototxt w.caffemodel -o out --name=": "name '' is no file's name",
    "convert net.prototxt w.caffemodel -o out --dynamic batch,none": "neither none nor axes",
    "convert net.prototxt w.caffemodel -o out --tolerance nan": "is no limit of an error",
    "eval net.prototxt w.caffemodel --data images --mean 5 --scale nan": "the scale is nan",
    "eval net.prototxt w.caffemodel --data images --mean 5 --scale 0": "the scale is 0",
    "eval net.prototxt w.caffemodel --data images --mean 1e999": "wants finite values",
    "features net.prototxt w.caffemodel --data images --mean 5 --blobs data -o f.npz": (
        "computes nothing: the network cannot end at it"
    ),
    "show net.prototxt --seed 5": "unrecognized arguments: --seed",
    "draw net.prototxt -o net.svg --dtype float64": "unrecognized arguments: --dtype",
    "check net.prototxt --device cpu": "unrecognized arguments: --device",
    "check net.prototxt --opset 3": "opset 3 is not in 13",
    "check net.prototxt --target litert --dtype float16 --opset 99": "opset 99 is not in 13",
    "run net.prototxt --output out.npz --mean 100": "--mean: none of the inputs are photos",
    "run net.prototxt --output out.npy": "blobs are written as .npz",
    "run net.prototxt --output out.npz --labels names.txt": "--labels: none of the inputs",
    "run net.prototxt --input data=photo.png --mean 5 --output out.npz --blob no": (
        "there is no output 'no'"
    ),
    "run demo.onnx --output out.npz --input data=data.npy --phase TRAIN --end fc": (
        "demo.onnx: --phase, --end: an ONNX model runs as it is"
    ),
    "verify net.prototxt --golden-float float.npz": "there is no --golden",
    "verify net.prototxt --mean 100": "--mean: nothing to prepare",
    "convert net.prototxt -o out --no-verify --golden golden.npz --tolerance 1": (
        "--golden, --tolerance: nothing is verified"
    ),
    "convert net.prototxt -o out --format pt2 --embed-preprocessing --mean 5": (
        "--embed-preprocessing changes nothing of the format pt2"
    ),
    "convert net.prototxt -o out --half-io": "only a model of half precision",
    "eval net.prototxt --data list.txt --root flat --labels names.txt --mean 5": (
        "--labels names folders, and list.txt is no folder of them"
    ),
    "eval net.prototxt --data images --root flat --mean 5": "images is no list",
    "features net.prototxt --data flat --labels names.txt --mean 5 --blobs fc -o f.npz": (
        "--labels names folders, and flat is no folder of them"
    ),
    "features net.prototxt --data flat --mean 5 --blobs fc,loss -o f.npz": "'loss' wants labels",
    "bench net.prototxt --rounds 0": "wants 1 or more of each",
    "train solver.prototxt --ignore fc": "no weights are given whose layers could be mapped",
}
"""Lines with an option that has nothing to act on, and what is said of it."""


@pytest.mark.parametrize("words", IDLE)
def test_an_option_with_nothing_to_act_on_is_refused(words, files, monkeypatch, capsys):
    monkeypatch.chdir(files)
    seen = Folder(files, capsys).seen(words.split())
    assert seen.status in (1, 2)
    assert IDLE[words] in seen.said
    assert not seen.files
