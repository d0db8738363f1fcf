"""The tables of docs/engines.md, of what `benchmarks/engines.py` found."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.engine_results import kind_of, write_between_marks

KINDS = {"bvlc": "Caffe's types", "forks": "forks' types", "models": "trained networks"}
LONGEST = 150
"""Characters of an engine's words."""

Results = Mapping[str, Any]


def ending(outcome: list[Any]) -> str:
    """Return one word for a case: what the default export, then the target's, came to."""
    if outcome[0] == "right":
        return "right"
    after = outcome[2] if len(outcome) > 2 else None
    return {None: str(outcome[0]), "right": "target"}.get(after, str(after))


def write_page(kept: Results, page: Path) -> None:
    """Put the tables between the page's marks."""
    parts = {
        "summary": summary(kept),
        "models": table(kept, "models", "network"),
        "bvlc": table(kept, "bvlc", "type"),
        "forks": table(kept, "forks", "type"),
        "reasons": reasons(kept),
    }
    write_between_marks(page, parts)


def _of(kept: Results, engine: str, kind: str) -> dict[str, list[list[Any]]]:
    """Return an engine's outcomes of one kind of cases, by type or network."""
    found: dict[str, list[list[Any]]] = defaultdict(list)
    for name, outcome in kept[engine]["cases"].items():
        found[kind_of(name)].append(outcome)
    for name, count in kept[engine]["asked"].items():
        found[name] += [["right"]] * (count - len(found[name]))
    return {name.split("/")[1]: of for name, of in found.items() if name.startswith(f"{kind}/")}


def summary(kept: Results) -> str:
    """Return a row an engine: how much of each kind is right, by default and with `--target`."""
    lines = ["| engine | " + " | ".join(KINDS.values()) + " | cases: right, with `--target`, "
             "noted, error, wrong, refused |", "|---" * (len(KINDS) + 2) + "|"]  # fmt: skip
    for engine in kept:
        cells = [kept[engine]["version"]]
        total: Counter[str] = Counter()
        for kind in KINDS:
            of = _of(kept, engine, kind)
            endings = {
                thing: {ending(outcome) for outcome in outcomes} for thing, outcomes in of.items()
            }
            asked = [words for words in endings.values() if words]
            right = sum(words <= {"right"} for words in asked)
            either = sum(words <= {"right", "target"} for words in asked)
            more = f", {either}" if either > right else ""
            cells.append(f"{right} of {len(asked)}{more}" if asked else "-")
            total.update(ending(outcome) for outcomes in of.values() for outcome in outcomes)
        words = ("right", "target", "noted", "error", "wrong", "refused")
        counts = [total[word] for word in words]
        lines.append(f"| {' | '.join(cells)} | {', '.join(map(str, counts))} |")
    return "\n".join(lines)


def table(kept: Results, kind: str, head: str) -> str:
    """Return a row a type or network, a column an engine."""
    found = {engine: _of(kept, engine, kind) for engine in kept}
    things = sorted({thing for of in found.values() for thing in of}, key=str.lower)
    lines = [f"| {head} | {' | '.join(kept)} |", "|---" * (len(kept) + 1) + "|"]
    for thing in things:
        cells = [cell(found[engine].get(thing, [])) for engine in kept]
        lines.append(f"| {thing} | {' | '.join(cells)} |")
    return "\n".join(lines)


def cell(outcomes: Iterable[list[Any]]) -> str:
    """Return what became of a type's cases in an engine: right, or how many of how many are not."""
    asked = list(outcomes)
    counts = Counter(ending(outcome) for outcome in asked)
    if not asked:
        return "-"
    if set(counts) == {"right"}:
        return "right"
    said = []
    for word in ("target", "noted", "error", "wrong", "refused"):
        if counts[word]:
            count = "" if len(asked) == 1 else f"{counts[word]} of {len(asked)} "
            said.append(count + {"target": "with `--target`"}.get(word, word))
    worst = [outcome[-1] for outcome in asked if ending(outcome) == "wrong"]
    numbers = [value for value in worst if isinstance(value, float)]
    return ", ".join(said) + (f" ({max(numbers):.2g})" if numbers else "")


def reasons(kept: Results) -> str:
    """Return what is not right, an engine after the other, with the engine's own words."""
    lines = []
    for engine in kept:
        said: dict[tuple[str, str, str], list[str]] = defaultdict(list)
        for name, outcome in kept[engine]["cases"].items():
            word = ending(outcome)
            if word in ("right", "target"):
                continue
            _, thing, *case = name.split("/")
            what = {float: "off by {:.2g}"}.get(type(outcome[-1]), "{}").format(outcome[-1])
            said[thing, word, short(what)].append("/".join(case))
        lines.append(f"**{kept[engine]['version']}**\n")
        for (thing, word, what), cases in said.items():
            where = f" ({', '.join(cases)})" if any(cases) and len(cases) < 6 else ""
            lines.append(f"* {thing}{where}: {word}: {what}")
        lines.append("" if said else "Nothing.\n")
    return "\n".join(lines).rstrip()


def short(words: str) -> str:
    """Return an engine's words on one line of a page, without folders."""
    plain = re.sub(r"[\s|`<>*_]+", " ", words)
    plain = re.sub(r"(/[\w.+-]+){2,}/", "", plain)
    return plain if len(plain) <= LONGEST else plain[:LONGEST].rsplit(" ", 1)[0] + " ..."
