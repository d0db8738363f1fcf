"""Networks that read text: CTPN's proposals, a CRNN with its greedy decoder."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.support.definitions import convolution, layer
from tests.support.families import end_to_end, picture

GAUSSIAN = 'weight_filler { type: "gaussian" std: 0.3 }'


def memory(name: str, bottom: str, size: int) -> str:
    """Return a bidirectional Lstm over T x N x I: forwards, backwards, side by side."""
    cell = f"lstm_param {{ num_output: {size} {GAUSSIAN} clipping_threshold: 1 }}"
    turn = "reverse_param { axis: 0 }"
    return (
        layer(f"{name}_on", "Lstm", bottom, f"{name}_on", cell)
        + layer(f"{name}_turn", "Reverse", bottom, f"{name}_turned", turn)
        + layer(f"{name}_back", "Lstm", f"{name}_turned", f"{name}_out", cell)
        + layer(f"{name}_again", "Reverse", f"{name}_out", f"{name}_back", turn)
        + layer(name, "Concat", f"{name}_on {name}_back", name, "concat_param { axis: 2 }")
    )


CTPN = (
    'input: "data" input_shape { dim: 1 dim: 3 dim: 32 dim: 48 }\n'
    'input: "im_info" input_shape { dim: 1 dim: 2 }\n'
    + convolution("conv", "data", 6, 3, "stride: 4")
    + layer("relu", "ReLU", "conv", "conv")
    + layer("im2col", "Im2col", "conv", "im2col", "convolution_param { pad: 1 kernel_size: 3 }")
    + layer("turn", "Transpose", "im2col", "turn",
            "transpose_param { dim: 3 dim: 2 dim: 0 dim: 1 }")
    + layer("rows", "Reshape", "turn", "rows",
            "reshape_param { shape { dim: -1 } axis: 1 num_axes: 2 }")
    + memory("lstm", "rows", 5)
    + layer("apart", "Reshape", "lstm", "apart",
            "reshape_param { shape { dim: -1 dim: 1 } axis: 1 num_axes: 1 }")
    + layer("map", "Transpose", "apart", "map", "transpose_param { dim: 2 dim: 3 dim: 1 dim: 0 }")
    + convolution("score", "map", 20)
    + convolution("shift", "map", 20)
    + layer("pairs", "Reshape", "score", "pairs",
            "reshape_param { shape { dim: 0 dim: 2 dim: -1 dim: 0 } }")
    + layer("prob", "Softmax", "pairs", "prob")
    + layer("back", "Reshape", "prob", "back",
            "reshape_param { shape { dim: 0 dim: 20 dim: -1 dim: 0 } }")
    + 'layer { name: "proposal" type: "Python" bottom: "back" bottom: "shift" bottom: "im_info" '
    'top: "rois" top: "scores" python_param { module: "layers.text_proposal_layer" '
    "layer: \"ProposalLayer\" param_str: \"'feat_stride': 4\" } }\n"
)  # fmt: skip


def test_ctpn(tmp_path: Path) -> None:
    fed = {"data": picture(1, 3, 32, 48), "im_info": np.array([[32, 48]], np.float32)}
    tops = end_to_end(CTPN, fed, tmp_path)
    assert {name: top.shape for name, top in tops.items()} == {
        "rois": (960, 4), "scores": (960, 1)}  # fmt: skip
    left, upper, right, lower = tops["rois"].T
    assert (left <= right).all()
    assert right.max() == 47
    assert (upper <= lower).all()
    assert lower.max() == 31
    assert ((tops["scores"] > 0) & (tops["scores"] < 1)).all()


def test_ctpn_up_to_its_own_python(tmp_path: Path) -> None:
    tops = end_to_end(CTPN, {"data": picture(1, 3, 32, 48)}, tmp_path, end=["back", "shift"])
    pairs = tops["back"].reshape(1, 2, 10, 8, 12).sum(1)
    np.testing.assert_allclose(pairs, 1, rtol=1e-5)


CRNN = (
    'input: "data" input_shape { dim: 2 dim: 1 dim: 8 dim: 24 }\n'
    + convolution("conv", "data", 4, 3)
    + layer("relu", "ReLU", "conv", "conv")
    + layer("pool", "Pooling", "conv", "pool",
            "pooling_param { kernel_h: 2 kernel_w: 1 stride_h: 2 stride_w: 1 }")
    + layer("turn", "Transpose", "pool", "turn",
            "transpose_param { dim: 3 dim: 0 dim: 1 dim: 2 }")
    + layer("steps", "Reshape", "turn", "steps",
            "reshape_param { shape { dim: -1 } axis: 2 num_axes: 2 }")
    + memory("lstm1", "steps", 6)
    + memory("lstm2", "lstm1", 5)
    + layer("fc", "InnerProduct", "lstm2", "fc",
            'inner_product_param { num_output: 7 axis: 2 weight_filler { type: "gaussian" } }')
    + layer("result", "CTCGreedyDecoder", "fc", "result")
)  # fmt: skip


def test_crnn_to_labels(tmp_path: Path) -> None:
    """No label twice side by side without a blank, none beyond the alphabet, -1 behind them."""
    tops = end_to_end(CRNN, {"data": picture(2, 1, 8, 24)}, tmp_path)
    (result,) = tops.values()
    assert result.shape[0] == 2
    rows = [[int(label) for label in row.ravel() if label >= 0] for row in result]
    assert all(rows)
    assert all(0 <= label < 7 for row in rows for label in row)
