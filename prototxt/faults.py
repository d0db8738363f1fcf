"""What of a definition's text does not read, and was left out so that the rest is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from .errors import FormatError

Kind = Literal["field", "placeholder", "value"]
"""An unknown field, a template's placeholder, or a value that its field does not take."""


@dataclass(frozen=True)
class Fault:
    """One field that was left out, and why.

    `place` is as error messages have it, and `what` names the placeholder, or the field as
    `PoolingParameter.dilation`; `path` is the layer's, `pooling_param.dilation`. `messages` are the
    types of the messages around the field, the layer's own first; none for the network's header.
    `layer`, `type` and `line` are those of the layer that it is in, 0 the line of a binary one.
    """

    kind: Kind
    place: str
    problem: str
    fix: str = ""
    what: str = ""
    path: str = ""
    messages: tuple[str, ...] = ()
    layer: str = ""
    type: str = ""
    line: int = 0

    def error(self) -> FormatError:
        """Return the error of a reader that leaves nothing out."""
        return FormatError(f"{self.place}: {self.problem}", fix=self.fix)

    def is_of(self, layer: Any, line: int) -> bool:
        """Tell whether it is of a layer, as written or in today's form, that begins in a line."""
        return bool(self.messages) and (self.line, self.layer) == (line, layer.name)
