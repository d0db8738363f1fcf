"""`caffeport pycaffe`: a script, a module and a notebook run as Python runs them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

SCRIPT = """
import sys
import caffe
import helper
print(sys.argv, __name__, __file__, sys.path[0] == helper.FOLDER, caffe.TEST)

def fail():
    raise OSError("gone")

if sys.argv[1:2] == ["--exit"]:
    sys.exit(int(sys.argv[2]))
if sys.argv[1:2] == ["fail"]:
    fail()
"""


def caffeport(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    code = "import sys; from converter.__main__ import main; sys.exit(main(sys.argv[1:]))"
    program = f"import sys; sys.path.insert(1, {str(ROOT)!r}); {code}"
    return subprocess.run(
        [sys.executable, "-c", program, "pycaffe", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "script.py").write_text(SCRIPT)
    (tmp_path / "own" / "helper.py").write_text(
        "import os\nFOLDER = os.path.dirname(os.path.abspath(__file__))\n"
    )
    return tmp_path


def test_a_script_has_its_arguments_and_its_folder(folder: Path) -> None:
    ran = caffeport(folder, "own/script.py", "--dialect", "x")
    assert ran.stdout == "['own/script.py', '--dialect', 'x'] __main__ own/script.py True 1\n"
    assert (ran.returncode, ran.stderr) == (0, "")


def test_its_exit_status_is_the_commands(folder: Path) -> None:
    assert caffeport(folder, "own/script.py", "--exit", "7").returncode == 7


def test_its_traceback_is_its_own(folder: Path) -> None:
    ran = caffeport(folder, "own/script.py", "fail")
    assert ran.returncode == 1
    lines = ran.stderr.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[1] == '  File "own/script.py", line 13, in <module>'
    assert lines[-1] == "OSError: gone"
    assert "converter" not in ran.stderr


def test_a_module_runs_by_its_name(folder: Path) -> None:
    ran = caffeport(folder / "own", "-m", "script", "a")
    assert ran.returncode == 0, ran.stderr
    assert "__main__" in ran.stdout


def test_what_is_not_there_and_what_is_python_2_is_said(folder: Path) -> None:
    ran = caffeport(folder, "lost.py")
    assert ran.returncode == 1
    assert ran.stderr.startswith("caffeport: no file 'lost.py'\n")
    (folder / "old.py").write_text('a = 1\nprint "old"\n')
    ran = caffeport(folder, "old.py")
    assert ran.returncode == 1
    assert ran.stderr.startswith("caffeport: old.py:2: Python 2\n  fix: run it with --python2")


def test_a_syntax_error_is_pythons(folder: Path) -> None:
    (folder / "bad.py").write_text("a = (1\n")
    ran = caffeport(folder, "bad.py")
    assert ran.returncode == 1
    assert ran.stderr.endswith("SyntaxError: '(' was never closed\n")


def test_a_notebook_shows_what_its_cells_end_with(folder: Path) -> None:
    cells = [
        ("code", ["%matplotlib inline\n", "import os, caffe\n", "x = 3\n", "x + caffe.TEST"]),
        ("markdown", ["x +"]),
        ("code", ["!echo shell\n", "%timeit y = x * 2\n", "y;"]),
        ("code", ["%%time\n", "from IPython.display import Image, display\n", "os.getcwd()"]),
        ("code", ["def f():\n", "    raise KeyError('k')\n", "f()"]),
    ]
    notebook = {"cells": [{"cell_type": kind, "source": text} for kind, text in cells]}
    (folder / "own" / "book.ipynb").write_text(json.dumps(notebook))
    ran = caffeport(folder, "own/book.ipynb")
    assert ran.stdout == f"4\nshell\n{str(folder / 'own')!r}\n"
    assert ran.returncode == 1
    assert 'book.ipynb[4]", line 3, in <module>' in ran.stderr
    assert ran.stderr.endswith("KeyError: 'k'\n")


def test_an_old_notebook_and_none(folder: Path) -> None:
    old = {"worksheets": [{"cells": [{"cell_type": "code", "input": "print(5)"}]}]}
    (folder / "old.ipynb").write_text(json.dumps(old))
    assert caffeport(folder, "old.ipynb").stdout == "5\n"
    (folder / "none.ipynb").write_text("{}")
    ran = caffeport(folder, "none.ipynb")
    assert ran.stderr == "caffeport: none.ipynb: no code in it, wants a notebook's cells\n"
