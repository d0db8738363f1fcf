"""The README says what is so."""

from __future__ import annotations

import re

from converter.commands import COMMANDS
from converter.commands.layers import WRITTEN
from converter.layer_table import format_layers
from tests.support.paths import ROOT

README = (ROOT / "README.md").read_text()


def test_links_lead_somewhere() -> None:
    linked = re.findall(r"\]\(([^)]+)\)", README)
    assert "converter/layer_table.md" in linked
    for name in linked:
        assert (ROOT / name).is_file(), f"README links to {name}"


def test_every_guide_is_linked() -> None:
    for guide in (ROOT / "docs").glob("*.md"):
        assert f"](docs/{guide.name})" in README, guide.name


def test_written_table_of_layers_is_the_programs() -> None:
    written = WRITTEN.read_text(encoding="utf-8")
    assert written == f"{format_layers()}\n", "write it anew: python -m converter.layer_table"


def test_every_command_is_real() -> None:
    named = set(re.findall(r"^caffeport (\w+)", README, re.MULTILINE))
    assert named
    assert named <= set(COMMANDS)


def test_ci_runs_the_second_command() -> None:
    script = (ROOT / ".ci" / "run").read_text()
    assert "<!-- tests -->" in script
    commands = re.findall(r"^python3 -m venv .*$", README, re.MULTILINE)
    assert [("pytest" in command, "demo" in command) for command in commands] == [
        (False, True),
        (True, False),
    ]
