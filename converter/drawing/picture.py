"""A picture as a file: SVG as it is drawn, PNG and PDF made of it."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO, StringIO
from pathlib import Path

from prototxt.atomic import writing
from prototxt.errors import UsageError
from prototxt.optional import optional

EXTRA, NEEDS = "pictures", "pictures of this form need"
FONT = "DejaVu Sans"
"""What the text is set in; matplotlib brings it along, for machines that have no fonts."""


def write_picture(svg: str, path: Path) -> None:
    """Write a picture in the form that the path's ending names, whole or not at all.

    UsageError for another ending, and where what makes the form is not installed.
    """
    form = FORMS.get(path.suffix.lower())
    if form is None:
        known = ", ".join(FORMS)
        raise UsageError(f"{path}: a picture's name ends in one of {known}")
    data = form(svg)
    with writing(path) as file:
        file.write(data)


def _svg(svg: str) -> bytes:
    return svg.encode()


def _png(svg: str) -> bytes:
    resvg = optional("resvg_py", EXTRA, NEEDS)
    return bytes(
        resvg.svg_to_bytes(
            svg_string=svg,
            font_files=[str(_font(weight)) for weight in ("", "-Bold")],
            font_family=FONT,
            sans_serif_family=FONT,
            skip_system_fonts=True,
        )
    )


def _pdf(svg: str) -> bytes:
    svglib = optional("svglib.svglib", EXTRA, NEEDS)
    svglib.register_font(FONT, str(_font("")))
    svglib.register_font(FONT, str(_font("-Bold")), weight="bold")
    made = BytesIO()
    drawing = svglib.svg2rlg(StringIO(svg))
    optional("reportlab.graphics.renderPDF", EXTRA, NEEDS).drawToFile(drawing, made)
    return made.getvalue()


def _font(weight: str) -> Path:
    data = optional("matplotlib", EXTRA, NEEDS).get_data_path()
    return Path(data, "fonts", "ttf", f"DejaVuSans{weight}.ttf")


FORMS: dict[str, Callable[[str], bytes]] = {".svg": _svg, ".png": _png, ".pdf": _pdf}
"""By the ending of a file's name."""
