"""Read a network definition, whatever form it has."""

from __future__ import annotations

from pathlib import Path

from prototxt.errors import FormatError
from prototxt.net import Net
from prototxt.text import parse_text


def read_net(path: str | Path, *, allow_unknown: bool = False, dialect: str | None = None) -> Net:
    """Read a definition in today's form: text, or the network that a .caffemodel embeds.

    Older generations are upgraded as Caffe upgrades them; phases are not yet filtered.
    """
    data = Path(path).read_bytes()
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise FormatError(f"{path}: no text, wants a prototxt") from None
    return parse_text(text, str(path), dialect=dialect, allow_unknown=allow_unknown)
