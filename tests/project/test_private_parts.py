"""What torch and ONNX Runtime call private is used in few files, which say so."""

from __future__ import annotations

import re

from tests.support.paths import ROOT

PRIVATE = re.compile(
    r"torch\._(?!foreach_|_version__)|torch\.utils\._|torch\.fx\.experimental|ops\.mkldnn|onnxruntime\.capi"
)
FENCES = {
    "caffe_layers/base/private_torch.py",
    "caffe_layers/fused/packed_convolution.py",
    "caffe_layers/fused/shortcut_convolution.py",
    "converter/onnx/runtime.py",
    "converter/training/fused_sgd.py",
}


def test_private_parts_stay_behind_their_fences() -> None:
    found = {
        str(path.relative_to(ROOT))
        for package in ("prototxt", "caffe_layers", "converter")
        for path in (ROOT / package).rglob("*.py")
        if PRIVATE.search(path.read_text())
    }
    assert found == FENCES
