#!/bin/sh
# Guess, written before the run: auto_pad of Conv and ConvTranspose, and ConvTranspose's
# output_shape, are honoured or refused.
# Seen: OpenCV 5.0.0.93 pads SAME_LOWER as SAME_UPPER, and gives ConvTranspose 15 x 15 for
# SAME_UPPER's 16 x 16 and 18 x 18 for an output_shape of 16 x 16. tract 0.23.9 gives the right
# size for output_shape and other numbers.
set -eu
. "$(dirname "$0")/shared/environment.sh"
install \
    onnx==1.23.2 onnxruntime==1.32.0 opencv-python-headless==5.0.0.93 tract==0.23.9
env/bin/python - <<'PYTHON'
import numpy as np
from engines import onnxruntime_, opencv_, tract_
from graphs import save
from onnx import helper

rng = np.random.default_rng(1701)
x = rng.standard_normal((1, 2, 8, 8), np.float32)
two = [("w", rng.standard_normal((3, 2, 2, 2), np.float32))]
for way in ("SAME_LOWER", "SAME_UPPER"):
    node = helper.make_node("Conv", ["x", "w"], ["y"], auto_pad=way)
    save([node], x, (1, 3, 8, 8), two, name=way)
lower, upper = (onnxruntime_(x, way) for way in ("SAME_LOWER", "SAME_UPPER"))
assert np.abs(lower - upper).max() > 0.5
assert np.abs(opencv_(x, "SAME_LOWER") - upper).max() < 1e-5
three = [("w", rng.standard_normal((2, 3, 3, 3), np.float32))]
for said, side in (({"auto_pad": "SAME_UPPER"}, 15), ({"output_shape": [16, 16]}, 18)):
    node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], strides=[2, 2], **said)
    save([node], x, (1, 3, 16, 16), three)
    want, got = onnxruntime_(x), opencv_(x)
    print(said, want.shape, "OpenCV", got.shape)
    assert want.shape[2] == 16
    assert got.shape[2] == side
other = tract_(x)
assert other.shape == want.shape
assert np.abs(other - want).max() > 0.5
PYTHON
echo "auto_pad_of_opencv: as seen"
