"""`docs/field.md`: what stands in the way of a definition, by kinds, and the table of them all."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from converter.version import VERSION

AS_IS = "every blob's shape, without options"
WITH_OPTIONS = "every blob's shape, with the options that the messages name"
ALLOWED = "only with --allow-unknown, which passes over what may matter"
FIELD = "unknown field"
TYPE = "unknown layer type"
PYTHON = "its authors' own Python"
TEMPLATE = "a template, whose values are not known"
DATA = "data that are absent, and whose shapes nothing tells"
NUMBERS = "numbers that contradict each other"
ADVICE = "a shape that a message suggests does not fit"
OTHER = "anything else"
TRACEBACK = "a traceback"
SHOWN = (AS_IS, WITH_OPTIONS)
OUTCOMES = (
    *(AS_IS, WITH_OPTIONS, ALLOWED),
    *(FIELD, TYPE, PYTHON, TEMPLATE, DATA, NUMBERS),
    *(ADVICE, OTHER, TRACEBACK),
)
SHORT = {
    AS_IS: "as it is",
    WITH_OPTIONS: "with options",
    ALLOWED: "allow-unknown",
    FIELD: "field",
    TYPE: "type",
    PYTHON: "Python",
    TEMPLATE: "template",
    DATA: "data",
    NUMBERS: "numbers",
    ADVICE: "advice",
    OTHER: "else",
    TRACEBACK: "traceback",
}
REASONS = (
    (TRACEBACK, r"^(Traceback)"),
    (TEMPLATE, r"([${]\S+) is a placeholder"),
    (FIELD, r"(\w+ has no (?:field|value) '?\w+'?)"),
    (FIELD, r"(\w+\.\w+)(?:: \w+)? is set, a field of"),
    (TYPE, r"layer type '(\w+)' is unknown"),
    (TYPE, r"\((\w+)\): the published facts name its parameters and not its formula"),
    (PYTHON, r"(\S+) is Python code that the file only names"),
    (DATA, r"does not say the shape of ('[^']+')|cannot be read"),
    (NUMBERS, r"do not fill|differ|does not fit|slice points for|wants [\w(]|is larger than"),
    (NUMBERS, r"leave a part of"),
    (NUMBERS, r"is no layer's top|is already the top of an earlier layer|is no number that Caffe"),
)
"""Kinds of refusal, by what the message says; a group is what it names."""
NAMED = 25
"""How many names of a kind are listed."""


@dataclass(frozen=True)
class Result:
    """One definition: what became of it, the options that it took or the message it ended in."""

    name: str
    outcome: str
    message: str = ""
    names: tuple[str, ...] = ()
    seconds: float = 0.0
    parameters: int = 0
    checked: bool = False
    conversion: str = ""
    repository: str = ""
    path: str = ""


def reason(message: str, *, advised: bool) -> tuple[str, tuple[str, ...]]:
    """Return the kind of refusal that a message is, and the fields, types or tops it names.

    Numbers that do not fit each other are the file's own only where no message `advised` a shape.
    """
    for kind, pattern in REASONS:
        if re.search(pattern, message):
            found = (match[1] if match.re.groups else "" for match in re.finditer(pattern, message))
            kind = ADVICE if kind == NUMBERS and advised else kind
            return kind, tuple(dict.fromkeys(filter(None, found)))
    return OTHER, ()


def page(results: Sequence[Result], *, seconds: float) -> str:
    """Return the page as Markdown."""
    return "\n".join(
        [
            "# The public field",
            "",
            *_summary(results, seconds),
            *_outcomes(results),
            *_conversions(results),
            *_refusals(results),
            *_repositories(results),
        ]
    )


def _summary(results: Sequence[Result], seconds: float) -> list[str]:
    total, repositories = len(results), len({one.repository for one in results})
    as_is, shown = _count(results, AS_IS), _count(results, *SHOWN)
    without = repositories - len({one.repository for one in results if one.outcome in SHOWN})
    slow = sum(one.seconds > seconds for one in results)
    traces = _count(results, TRACEBACK)
    checked = sum(one.checked for one in results)
    also = f", and `check` on {checked} of them," if checked else ""
    return [
        f"Of {total} definitions of {repositories} public repositories, caffeport {VERSION} gives "
        f"every blob's shape for {as_is} ({_percent(as_is, total)}) as they are, and for {shown} "
        f"({_percent(shown, total)}) with the options that its own messages name. In {without} "
        f"repositories it shows none. `show`{also} ends in a traceback on {traces}, and takes more "
        f"than {seconds:g} seconds of a processor on {slow}.",
        "",
        "Written by `benchmarks/field.py` from a folder of definitions and an index of where they "
        "come from. The messages' advice is followed to the letter: `--input-shape` as suggested, "
        "`--dialect` where one fork's reading is offered, `--deploy` for what only trains, "
        "`--phase` where another one has what is lacking. A template's placeholders get plain "
        "values by `--set`: sizes of 448 x 1024, 21 labels. No schema is given.",
        "",
    ]


def _outcomes(results: Sequence[Result]) -> list[str]:
    rows = [
        f"| {outcome} | {_count(results, outcome)} | {_homes(results, outcome)} |"
        for outcome in OUTCOMES
    ]
    return [
        "| outcome | definitions | repositories |",
        "|---|---|---|",
        *rows,
        f"| all | {len(results)} | {len({one.repository for one in results})} |",
        "",
    ]


def _conversions(results: Sequence[Result]) -> list[str]:
    tried = [one for one in results if one.conversion]
    if not tried:
        return []
    ends = Counter(one.conversion.partition(":")[0] for one in tried)
    others = [one for one in tried if one.conversion != "verified"]
    return [
        "## Converted to ONNX",
        "",
        f"Of the {_count(results, *SHOWN)} that are shown, {len(tried)} were converted with drawn "
        "weights, each in a process with a limit of time and memory: all, or every so many; larger "
        "ones were left out.",
        "",
        "| end | definitions |",
        "|---|---|",
        *(f"| {end} | {count} |" for end, count in ends.most_common()),
        "",
        *(f"* {one.name}: {_cell(one.conversion)}" for one in others),
        "",
    ]


def _refusals(results: Sequence[Result]) -> list[str]:
    lines = ["## What stands in the way", ""]
    for kind in OUTCOMES[len(SHOWN) :]:
        own = [one for one in results if one.outcome == kind]
        if not own:
            continue
        lines += [f"### {kind[0].upper()}{kind[1:]}: {len(own)}", ""]
        counts = Counter(name for one in own for name in one.names)
        if counts:
            said = ", ".join(f"{name} {count}" for name, count in counts.most_common(NAMED))
            rest = len(counts) - NAMED
            lines += [said + (f", and {rest} more" if rest > 0 else "") + ".", ""]
        listed = own if kind in (NUMBERS, ADVICE, OTHER, TRACEBACK) else _examples(own)
        lines += [f"* {one.name}: {_cell(one.message)}" for one in listed]
        lines.append("")
    return lines


def _examples(results: Iterable[Result]) -> list[Result]:
    """Return the first definition of each of the first repositories."""
    return list({one.repository: one for one in reversed(list(results))}.values())[-3:][::-1]


def _repositories(results: Sequence[Result]) -> list[str]:
    used = [outcome for outcome in OUTCOMES if _count(results, outcome)]
    lines = [
        "## By repository",
        "",
        f"| repository | definitions | {' | '.join(SHORT[one] for one in used)} |",
        f"|---|---|{'---|' * len(used)}",
    ]
    for repository in sorted({one.repository for one in results}, key=str.lower):
        own = [one for one in results if one.repository == repository]
        counts = (str(_count(own, outcome) or "") for outcome in used)
        lines.append(f"| {repository} | {len(own)} | {' | '.join(counts)} |")
    return [*lines, ""]


def _count(results: Iterable[Result], *outcomes: str) -> int:
    return sum(one.outcome in outcomes for one in results)


def _homes(results: Iterable[Result], outcome: str) -> int:
    return len({one.repository for one in results if one.outcome == outcome})


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / max(whole, 1):.0f} %"


def _cell(message: str) -> str:
    """Return a message as Markdown shows it as it is."""
    return re.sub(r"([<>*|\[\]])", r"\\\1", message)
