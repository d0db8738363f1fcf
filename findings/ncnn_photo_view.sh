#!/bin/sh
# Guess, written before the run: ncnn.Mat of a photo's transposed view (H x W x 3 to 3 x H x W,
# as every script has it) copies the values in the view's order.
# Seen: ncnn 1.0.20261020 reads the memory as it lies, without a word: another picture.
# np.ascontiguousarray before it is right. ONNX Runtime, OpenVINO, OpenCV, MNN and tract take
# the view.
set -eu
. "$(dirname "$0")/shared/environment.sh"
install numpy==2.4.6 ncnn==1.0.20261020
env/bin/python - <<'PYTHON'
import ncnn
import numpy as np

photo = np.arange(24, dtype=np.float32).reshape(2, 4, 3)
view = photo.transpose(2, 0, 1)
plain = np.ascontiguousarray(view)
assert np.array_equal(np.array(ncnn.Mat(plain).clone()), view)
got = np.array(ncnn.Mat(view).clone())
print(got.shape, got.ravel()[:6].tolist(), "for", view.ravel()[:6].tolist())
assert not np.array_equal(got, view)
PYTHON
echo "ncnn_photo_view: as seen"
