"""Results that are kept: how many cases of each type were asked, and those that are not right.

A file an engine or tool, `benchmarks/results/KIND/NAME.json`. A result's cases are named
`KIND/TYPE/...`; what is run again replaces a type's results in whole.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

NOT_ASKED = "not asked"


def kind_of(name: str) -> str:
    """Return the part of a case's name that says its kind and type."""
    return "/".join(name.split("/")[:2])


def merge(folder: Path, engine: str, version: str, found: Mapping[str, list[Any]]) -> None:
    """Put an engine's outcomes in the place of those of the same types."""
    path = folder / f"{engine}.json"
    entry = {"version": "", "asked": {}, "cases": {}}
    if path.exists():
        entry = json.loads(path.read_text())
    again = {kind_of(name) for name in found}
    asked = Counter(kind_of(name) for name, one in found.items() if one[0] != NOT_ASKED)
    entry["version"] = version
    entry["asked"] |= {kind: asked[kind] for kind in again}
    entry["cases"] = {n: one for n, one in entry["cases"].items() if kind_of(n) not in again}
    entry["cases"] |= {n: one for n, one in found.items() if one[0] != NOT_ASKED and _told(one)}
    for part in ("asked", "cases"):
        entry[part] = dict(sorted(entry[part].items()))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_format(entry))


def read_results(folder: Path) -> dict[str, Any]:
    """Return what is kept of every engine or tool of a folder."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}


def write_between_marks(page: Path, parts: Mapping[str, str]) -> None:
    """Put texts between a page's marks, `<!-- NAME -->` and `<!-- end -->`."""
    text = page.read_text()
    for mark, made in parts.items():
        wanted = rf"(?<=<!-- {mark} -->\n).*?(?=\n<!-- end -->)"
        text, found = re.subn(wanted, lambda _, made=made: made, text, flags=re.DOTALL)
        if found != 1:
            raise SystemExit(f"{page} has no <!-- {mark} --> ... <!-- end -->")
    page.write_text(text)


def _told(outcome: list[Any]) -> bool:
    """Tell whether there is more to say of an outcome than that it is right."""
    return outcome[0] != "right" or len(outcome) > 2


def _format(entry: Mapping[str, Any]) -> str:
    """Return an entry as JSON with a line a case."""
    lines = [f"  {json.dumps(name)}: {json.dumps(one)}" for name, one in entry["cases"].items()]
    cases = "{\n" + ",\n".join(lines) + "\n }" if lines else "{}"
    said = (f' "{part}": {json.dumps(entry[part])},\n' for part in ("version", "asked"))
    return "{\n" + "".join(said) + f' "cases": {cases}\n}}\n'
