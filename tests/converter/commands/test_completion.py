"""Completion in bash, by the script alone: what it offers is what the parsers take."""

from __future__ import annotations

import shutil
import subprocess
from argparse import ArgumentParser
from pathlib import Path

import pytest

from converter.__main__ import main
from converter.commands import COMMANDS, get_command

BASH = shutil.which("bash")
pytestmark = pytest.mark.skipif(BASH is None, reason="there is no bash")
TRY = """source "$1"; shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) PATH=
_caffeport
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        said: list[str] = []
        patch.setattr("builtins.print", lambda text, end: said.append(text))
        assert main(["completion", "bash"]) == 0
    path = tmp_path_factory.mktemp("completion") / "caffeport.bash"
    path.write_text("".join(said))
    return path


def offered(script: Path, *words: str) -> set[str]:
    """Return what is offered for the last of the words, of which "" is one that is not begun."""
    assert BASH is not None
    line = [BASH, "--norc", "-c", TRY, "bash", str(script), "caffeport", *words]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    assert not done.stderr
    return set(done.stdout.split())


def test_commands_are_offered(script):
    assert offered(script, "") == {*COMMANDS, "--help", "--version"}
    assert offered(script, "con") == {"convert"}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_offered(command, script):
    parser = ArgumentParser()
    get_command(command).add_arguments(parser)
    options = {option for action in parser._actions for option in action.option_strings}
    assert offered(script, command, "-") == options
    for action in parser._actions:
        for option in action.option_strings if action.choices else ():
            words = {str(one) for one in action.choices}
            assert offered(script, command, option, "") == words


def test_choices_are_offered_after_an_equals_sign_too(script):
    assert offered(script, "convert", "--phase", "=", "TR") == {"TRAIN"}
    assert offered(script, "convert", "--phase", "=") == {"TRAIN", "TEST"}


def test_where_a_file_belongs_the_shell_offers_files(script):
    assert "complete -o default" in script.read_text()
    assert offered(script, "convert", "ne") == set()
    assert offered(script, "convert", "--out", "") == set()
    assert offered(script, "no-such-command", "-") == set()
    assert offered(script, "completion", "") == {"bash"}


def test_another_shell_is_named_by_the_error(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["completion", "csh"])
    assert ended.value.code == 2
    assert "invalid choice: 'csh'" in capsys.readouterr().err
