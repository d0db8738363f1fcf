"""Optical flow by features, cost volumes and warping, as LiteFlowNet and PWC-Net do it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.definitions import layer
from tests.support.families import end_to_end, picture

SIZE = (1, 3, 32, 40)
COORDINATES = layer("grid", "Grid", "flow3", "grid") + layer(
    "coords", "Eltwise", "flow3 grid", "coords", "eltwise_param { coeff: 1 coeff: 1 }"
)


def shared(name: str, bottoms: str, tops: str, outputs: int, stride: int = 1) -> str:
    """Return a convolution of two images by one weight."""
    quoted = " ".join(f'bottom: "{bottom}"' for bottom in bottoms.split())
    quoted += " ".join(f' top: "{top}"' for top in tops.split())
    return f"""layer {{ name: "{name}" type: "Convolution" {quoted} convolution_param {{
        num_output: {outputs} kernel_size: 3 pad: 1 stride: {stride} engine: CUDNN
        weight_filler {{ type: "msra" }} }} }}\n"""


def leaky(blob: str) -> str:
    return layer(f"relu_{blob}", "ReLU", blob, blob, "relu_param { negative_slope: 0.1 }")


CORRELATION = (
    "correlation_param { pad: 2 kernel_size: 1 max_displacement: 2 stride_1: 1 stride_2: 1 }"
)


def network(warp: str) -> str:
    """Return two levels of a pyramid: a flow from the cost, finer by what is left after warping."""
    return (
        "".join(
            f'layer {{ name: "{name}" type: "Input" top: "{name}" input_param {{ shape {{ '
            f"dim: 1 dim: 3 dim: 32 dim: 40 }} }} }}\n"
            for name in ("img0", "img1")
        )
        + layer("half0", "Eltwise", "img0", "half0", "eltwise_param { coeff: 0.5 }")
        + layer("half1", "Eltwise", "img1", "half1", "eltwise_param { coeff: 0.5 }")
        + shared("f2", "half0 half1", "F0_2 F1_2", 6, 2)
        + leaky("F0_2")
        + leaky("F1_2")
        + shared("f3", "F0_2 F1_2", "F0_3 F1_3", 8, 2)
        + layer("corr3", "Correlation", "F0_3 F1_3", "corr3", CORRELATION)
        + leaky("corr3")
        + shared("estimate3", "corr3", "flow_small", 2)
        + layer("up3", "Deconvolution", "flow_small", "flow3",
                "convolution_param { num_output: 2 kernel_size: 4 stride: 2 pad: 1 group: 2 "
                'bias_term: false weight_filler { type: "bilinear" } }')
        + warp
        + layer("corr2", "Correlation", "F0_2 warped", "corr2", CORRELATION)
        + layer("joined", "Concat", "corr2 F0_2 flow3", "joined")
        + shared("estimate2", "joined", "rest", 2)
        + layer("flow2", "Eltwise", "flow3 rest", "flow2")
        + layer("norm", "ChannelNorm", "flow2", "size")
        + layer("resized", "Resample", "flow2", "flow",
                "resample_param { width: 40 height: 32 type: LINEAR antialias: true }")
    )  # fmt: skip


@pytest.mark.parametrize("family", ["LiteFlowNet", "PWC-Net"])
def test_flow_of_two_pictures(family: str, tmp_path: Path) -> None:
    if family == "LiteFlowNet":
        warp = COORDINATES + layer("warp", "Warp", "F1_2 coords", "warped")
    else:
        warp = layer("warp", "Warp", "F1_2 flow3", "warped")
    inputs = {"img0": picture(*SIZE), "img1": picture(*SIZE, seed=2)}
    dialect = "liteflownet" if family == "LiteFlowNet" else "flownet2"
    tops = end_to_end(network(warp), inputs, tmp_path, dialect=dialect)
    assert {name: top.shape for name, top in tops.items()} == {
        "size": (1, 1, 16, 20),
        "flow": (1, 2, 32, 40),
    }
    assert tops["flow"].std() > 0.01
