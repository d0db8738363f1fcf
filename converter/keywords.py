"""Keyword arguments that are declared once: a TypedDict, with each one's default beside its type.

mypy checks a call of `f(**options: Unpack[Kind])` by the declaration; the command line reads its
help from the same line.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, cast, get_type_hints

Kind = TypeVar("Kind")


@dataclass(frozen=True)
class Option:
    """What an option is where nobody says, and what the command line says of it."""

    default: Any
    help: str
    metavar: str | None = None
    parse: Callable[[str], Any] = str


def options_of(kind: type) -> dict[str, Option]:
    """Return the options of a TypedDict whose fields are `Annotated[type, Option(...)]`."""
    hints = get_type_hints(kind, include_extras=True)
    return {name: hint.__metadata__[0] for name, hint in hints.items()}


def complete(kind: type[Kind], given: Mapping[str, object]) -> Kind:
    """Return the options given, and the others of their kind by their defaults."""
    defaults = {name: option.default for name, option in options_of(kind).items()}
    return cast(Kind, {name: given.get(name, default) for name, default in defaults.items()})


def only(kind: type[Kind], given: Mapping[str, object]) -> Kind:
    """Return those of the options given that are of a kind."""
    names = kind.__annotations__
    return cast(Kind, {name: value for name, value in given.items() if name in names})


def refuse_unknown(
    function: Callable[..., object], kind: type, given: Mapping[str, object]
) -> None:
    """Raise TypeError for a keyword that a function of such options does not take."""
    parameters = inspect.signature(function).parameters.values()
    own = [one.name for one in parameters if one.kind is inspect.Parameter.KEYWORD_ONLY]
    known = sorted([*own, *kind.__annotations__])
    for name in given:
        if name not in known:
            raise TypeError(
                f"{function.__name__}() has no option {name!r}; it has {', '.join(known)}"
            )
