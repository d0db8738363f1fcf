"""Many conversions at once: each on its own, and one table of how they went."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from prototxt.atomic import writing
from prototxt.errors import CaffeError, FormatError, UsageError

from .text import format_table
from .verification.report import Report

SUMMARY = "summary.json"
DEFINITION, WEIGHTS = ".prototxt", (".caffemodel", ".h5", ".hdf5", ".safetensors")


@dataclass(frozen=True)
class Model:
    """A network to convert, and the stem of what is written of it."""

    net: str
    weights: str | None
    name: str = ""


@dataclass(frozen=True)
class Outcome:
    """How a conversion went; `error` is a message where it did not come to an end."""

    net: str
    name: str
    passed: bool
    worst: float | None = None
    """The largest error of all blobs, None where nothing was compared."""
    error: str = ""
    verified: bool = True
    caveats: tuple[str, ...] = ()
    """What a reader has to know of a verification that shows less than it seems to."""

    @property
    def word(self) -> str:
        """How it went, in a word."""
        passed = "passed" if self.verified else "written"
        return "failed" if self.error else passed if self.passed else "differs"


def models_of(words: Sequence[str]) -> list[Model]:
    """Return the networks among files in a row: weights are those of the definition before them.

    A `.caffemodel` that follows none is a network itself. Names are the files' stems, with those of
    their folders before where several are alike.
    """
    models: list[Model] = []
    for word in words:
        last = models[-1] if models else None
        weights = word.split(",")[0].endswith(WEIGHTS)
        if weights and last and last.weights is None and last.net.endswith(DEFINITION):
            models[-1] = Model(last.net, word)
        else:
            models.append(Model(word, None))
    return _named(models)


def read_list(path: str) -> list[Model]:
    """Return the networks of a list: NET [WEIGHTS [NAME]] in each line, `-` for no weights.

    A `#` begins a comment; words with spaces are quoted. Files are looked for beside the list where
    they are not in the working folder. Raises FormatError for a line of other words.
    """
    models = []
    for number, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), 1):
        try:
            words = shlex.split(line, comments=True)
        except ValueError as error:
            raise FormatError(f"{path}:{number}: {error}") from None
        if not words:
            continue
        if len(words) > 3:
            raise FormatError(f"{path}:{number}: {len(words)} words, wants NET [WEIGHTS [NAME]]")
        net, weights, name = [*words, *["-", ""][len(words) - 1 :]]
        found = None if weights == "-" else _found(weights, path)
        models.append(Model(_found(net, path), found, name))
    if not models:
        raise FormatError(f"{path}: no line names a network")
    return _named(models)


def _found(file: str, beside: str) -> str:
    other = Path(beside).parent / file
    return str(other) if not Path(file).exists() and other.exists() else file


def _named(models: Sequence[Model]) -> list[Model]:
    """Give each a name of its own; UsageError where that cannot be."""
    stems = [model.name or _stem(model.net) for model in models]
    often = Counter(stems)
    names = []
    for model, stem in zip(models, stems, strict=True):
        alone = often[stem] == 1 or model.name
        names.append(stem if alone else f"{Path(model.net).resolve().parent.name}-{stem}")
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise UsageError(
            f"several networks would be written as {twice[0]!r}",
            fix="name each in a list for --from: NET WEIGHTS NAME",
        )
    return [
        Model(model.net, model.weights, name) for model, name in zip(models, names, strict=True)
    ]


def _stem(net: str) -> str:
    return Path(net).name.removesuffix(DEFINITION).removesuffix(WEIGHTS[0])


def convert_all(
    models: Sequence[Model], out: str, convert: Callable[[Model], Report]
) -> list[Outcome]:
    """Convert each, whatever becomes of the others; write `OUT/summary.json`."""
    outcomes = [_outcome(model, convert) for model in models]
    Path(out).mkdir(parents=True, exist_ok=True)
    with writing(Path(out, SUMMARY)) as file:
        rows = [{**asdict(one), "outcome": one.word} for one in outcomes]
        file.write(json.dumps(rows, indent=1).encode() + b"\n")
    return outcomes


def _outcome(model: Model, convert: Callable[[Model], Report]) -> Outcome:
    try:
        report = convert(model)
    except (CaffeError, OSError) as error:
        return Outcome(model.net, model.name, passed=False, error=str(error))
    errors = [row.error for one in report.comparisons for row in one.rows]
    worst = max(errors, default=None)
    finite = worst is None or worst - worst == 0
    return Outcome(
        model.net,
        model.name,
        report.passed,
        worst if finite else None,
        verified=bool(report.comparisons),
        caveats=tuple(report.caveats),
    )


def table(outcomes: Sequence[Outcome]) -> str:
    """Return a line for each network, and below them messages, of each that failed above all."""
    rows = [("network", "files", "outcome", "worst error")]
    for one in outcomes:
        worst = "" if one.worst is None else f"{one.worst:.2g}"
        rows.append((one.net, one.name, one.word, worst))
    failed = [f"{one.net}: {one.error}" for one in outcomes if one.error]
    caveats = [f"{one.net}: {said}" for one in outcomes for said in one.caveats]
    return "\n".join([format_table(rows), *failed, *caveats])
