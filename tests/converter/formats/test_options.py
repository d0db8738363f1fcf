"""Every option of what is written: each format heeds it, or it is refused."""

from __future__ import annotations

import pytest

import converter
from converter.formats import FORMATS, get_format
from converter.keywords import complete, options_of
from converter.onnx.options import CalibrationOptions, FormatOptions
from prototxt import UnsupportedError, UsageError

NET = """layer { name: "in" type: "Input" top: "x" input_param { shape { dim: [2, 3, 8, 8] } } }
layer { name: "conv" type: "Convolution" bottom: "x" top: "conv"
  convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "xavier" } } }
layer { name: "bn" type: "BatchNorm" bottom: "conv" top: "conv" }
layer { name: "label" type: "Input" top: "label" input_param { shape { dim: [2, 6, 6] } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "conv" bottom: "label" top: "loss" }
"""
OTHER = {"opset": 15, "dynamic": ("batch", "height"), "target": "opencv"}
FEWER_BITS = {"half_io", *CalibrationOptions.__annotations__}
"""What is for half precision alone, or for eight bits."""
OPTIONS = {
    name: OTHER.get(name, True) for name in options_of(FormatOptions) if name not in FEWER_BITS
}
"""Each option with a value that is not its default."""
PLAIN = [name for name in FORMATS if name not in ("sknet", "timm")]
"""Formats that hold any network."""


def written(folder, formats, **options):
    """Return the bytes of what a conversion writes, by name, but for its report; and the report."""
    net = folder / "net.prototxt"
    net.parent.mkdir(exist_ok=True)
    net.write_text(NET)
    options = {"formats": formats, "verify_it": False, **options}
    report = converter.convert(net, None, folder / "out", **options)
    files = {path.name: path.read_bytes() for path in (folder / "out").iterdir()}
    return {name: data for name, data in files.items() if not name.startswith("report")}, report


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("name", PLAIN)
def test_an_option_is_heeded_or_refused(name, option, tmp_path):
    given = {option: OPTIONS[option]}
    assert given[option] != complete(FormatOptions, {})[option]
    if option not in get_format(name).HEEDS:
        flag = "--" + option.replace("_", "-")
        with pytest.raises(UsageError, match=f"{flag} changes nothing of the format {name}"):
            written(tmp_path, [name], **given)
        assert not (tmp_path / "out").exists()
        return
    if (name, option) == ("python", "with_losses"):
        with pytest.raises(UnsupportedError, match=r"'loss'.*no Python source of this type"):
            written(tmp_path, [name], **given)
        return
    plain, _ = written(tmp_path / "plain", [name])
    files, _ = written(tmp_path / "asked", [name], **given)
    assert files != plain


def test_formats_that_do_not_heed_an_option_are_named(tmp_path):
    _, report = written(tmp_path, ["onnx", "safetensors"], fold_bn=True)
    assert "safetensors: as without --fold-bn, which is not for this format" in report.notes


def test_what_was_read_is_not_overwritten(tmp_path):
    net, weights = tmp_path / "net.prototxt", tmp_path / "net.caffemodel"
    net.write_text(NET)
    converter.save_caffemodel(converter.load(net), weights)
    before = weights.read_bytes()
    with pytest.raises(UsageError, match="was read, and would be overwritten"):
        converter.convert(net, weights, tmp_path, formats=["caffemodel"], verify_it=False)
    assert weights.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net.caffemodel", "net.prototxt"]
