"""Definitions of small networks, written layer by layer."""

from __future__ import annotations

SCALE = "scale_param { bias_term: true filler { type: 'gaussian' } bias_filler { value: 0.3 } }"


def layer(name: str, kind: str, bottoms: str, top: str, param: str = "") -> str:
    quoted = " ".join(f'bottom: "{bottom}"' for bottom in bottoms.split())
    return f'layer {{ name: "{name}" type: "{kind}" {quoted} top: "{top}" {param} }}\n'


def convolution(name: str, bottom: str, outputs: int, kernel: int = 1, more: str = "") -> str:
    return layer(
        name, "Convolution", bottom, name,
        f"""convolution_param {{ num_output: {outputs} kernel_size: {kernel} pad: {kernel // 2}
            weight_filler {{ type: "msra" }} bias_filler {{ type: "gaussian" }} {more} }}""",
    )  # fmt: skip
