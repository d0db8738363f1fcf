"""Pictures as files: the form is the one that the name ends in."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from PIL import Image

from converter.__main__ import main
from converter.drawing.picture import write_picture
from prototxt import UsageError

NET = """layer { name: "in" type: "Input" top: "x" input_param { shape { dim: [1, 3, 8, 8] } } }
layer { name: "relu" type: "ReLU" bottom: "x" top: "y" }"""
SVG = (
    "<svg xmlns='http://www.w3.org/2000/svg' width='60' height='20' font-family='DejaVu Sans'>"
    "<rect width='60' height='20' fill='#ffffff'/><rect width='20' height='20' fill='#ff0000'/>"
    "<text x='25' y='15' font-size='12'>mm</text></svg>"
)


def test_png_shows_what_is_drawn(tmp_path):
    path = tmp_path / "made" / "x.png"
    write_picture(SVG, path)
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"))
    assert pixels.shape == (20, 60, 3)
    assert (pixels[:, :20] == [255, 0, 0]).all()
    dark = (pixels[:, 20:].sum(2) < 300).sum()
    assert dark > 30, "the text is there, on a machine without fonts too"


def test_pdf_is_a_pdf_of_that_size(tmp_path):
    write_picture(SVG, tmp_path / "x.pdf")
    data = (tmp_path / "x.pdf").read_bytes()
    assert data.startswith(b"%PDF-")
    assert b"/MediaBox" in data
    assert b"DejaVu" in data, "its font is inside"


def test_svg_is_as_it_is(tmp_path):
    write_picture(SVG, tmp_path / "x.SVG")
    assert (tmp_path / "x.SVG").read_text() == SVG


@pytest.mark.parametrize("name", ["x.jpg", "x", "x.svgz"])
def test_another_ending_is_refused(name, tmp_path, capsys):
    net = tmp_path / "net.prototxt"
    net.write_text(NET)
    assert main(["draw", str(net), "-o", str(tmp_path / name)]) == 1
    assert "a picture's name ends in one of .svg, .png, .pdf" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [net]


def test_what_is_not_installed_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    with pytest.raises(UsageError, match=r'need resvg_py\n  fix: pip install "caffeport\[pictures'):
        write_picture(SVG, tmp_path / "x.png")
    assert not list(tmp_path.iterdir())
