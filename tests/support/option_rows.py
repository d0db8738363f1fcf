"""What each option of each command is tried with: the networks, and the rows of the table.

A row holds what is added to a command line that works without it, or that fails for the lack of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

import converter
from tests.support.forks import write_fork

INPUTS = 'type: "Input" top: "data" top: "label"\n  input_param { %s }'
DRAWN = 'type: "DummyData" top: "data" top: "label"\n  dummy_data_param { %s %s }'
READ = """type: "Data" top: "data" top: "label" data_param { source: "nowhere" batch_size: 1 }
  transform_param { crop_size: 8 mean_value: [100, 100, 100] }"""
SHAPES = "shape { dim: [1, 3, 8, 8] } shape { dim: 1 }"
FILLERS = 'data_filler { type: "gaussian" } data_filler { type: "constant" value: 3 }'

NET = """name: "tiny"
layer { name: "in" %(source)s }
layer { name: "phase" type: "Power" bottom: "data" top: "data" include { phase: TRAIN }
  power_param { power: 2 } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 4 kernel_size: 3 bias_term: false
    weight_filler { type: "xavier" } } }
layer { name: "bn" type: "BatchNorm" bottom: "conv" top: "conv" }
layer { name: "level" type: "Scale" bottom: "conv" top: "conv" include { min_level: 1 }
  scale_param { filler { type: "constant" value: -1 } } }
layer { name: "stage" type: "Scale" bottom: "conv" top: "conv" include { stage: "more" }
  scale_param { filler { type: "constant" value: -1 } } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "relu" }
%(unit)s
layer { name: "pool" type: "Pooling" bottom: "%(pooled)s" top: "pool"
  pooling_param { pool: AVE kernel_size: %(kernel)s } }
layer { name: "fc" type: "InnerProduct" bottom: "pool" top: "fc"
  inner_product_param { num_output: %(classes)d weight_filler { type: "xavier" } } }
%(more)s
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" top: "loss" }
"""
CONV = """layer { name: "%s" type: "Convolution" bottom: "%s" top: "%s"
  convolution_param { num_output: %d %s weight_filler { type: "xavier" } } }
"""
RESHAPE = """layer { name: "%s" type: "Reshape" bottom: "%s" top: "%s"
  reshape_param { shape { dim: 0 %s } } }
"""
UNIT = (
    CONV % ("near", "relu", "near", 4, "kernel_size: 3 pad: 1")
    + CONV % ("far", "relu", "far", 4, "kernel_size: 3 pad: 2 dilation: 2")
    + """layer { name: "both" type: "Eltwise" bottom: "near" bottom: "far" top: "both" }
layer { name: "mean" type: "Pooling" bottom: "both" top: "mean"
  pooling_param { pool: AVE global_pooling: true } }
"""
    + CONV % ("fc1", "mean", "fc1", 2, "kernel_size: 1")
    + CONV % ("fc2", "fc1", "fc2", 8, "kernel_size: 1")
    + RESHAPE % ("re", "fc2", "re", "dim: 2 dim: -1 dim: 0")
    + """layer { name: "softmax" type: "Softmax" bottom: "re" top: "softmax" }
layer { name: "slice" type: "Slice" bottom: "softmax" top: "s0" top: "s1" }
"""
    + RESHAPE % ("w1", "s1", "w1", "dim: 4 dim: -1 dim: 0")
    + RESHAPE % ("v0", "s0", "v0", "dim: 4 dim: -1 dim: 0")
    + RESHAPE % ("w0", "v0", "w0", "dim: 0")
    + """layer { name: "scale" type: "Scale" bottom: "near" bottom: "w0" top: "scale"
  scale_param { axis: 0 bias_term: false } }
layer { name: "unit" type: "Axpy" bottom: "w1" bottom: "far" bottom: "scale" top: "unit" }
"""
)
TWICE = (
    'layer { name: "twice" type: "Twice" bottom: "pool" top: "twice" twice_param { more: 1 } }\n'
)
HUSHED = 'layer { name: "hush" type: "ReLU" bottom: "fc" top: "fc" relu_param { hush: true } }\n'
LOSS = 'layer { name: "odd" type: "Odd" bottom: "fc" bottom: "label" top: "odd" }\n'
LOSSY = """from caffe_layers import Layer
from prototxt import UnsupportedError

class Odd(Layer, type="Odd", bottoms=2):
    is_loss = True

    def shapes(self, x, label):
        return [()]

    def forward(self, x, label):
        return x.mean()

    def onnx(self, op, x, label):
        raise UnsupportedError("nobody wrote it")
"""
OWN_PROTO = """syntax = "proto2";
message LayerParameter { optional TwiceParameter twice_param = 4711 [(type) = "Twice"]; }
message TwiceParameter { optional float more = 1; }
"""
OWN = """from caffe_layers import Layer

class Twice(Layer, type="Twice", fork="own", param="twice_param"):
    def __init__(self, more):
        super().__init__()

    def shapes(self, x):
        return [x]

    def forward(self, x):
        return 2 * x

    def onnx(self, op, x):
        return op.Add(x, x)
"""
SOLVER = """net: "read.prototxt" base_lr: 0.01 lr_policy: "fixed" max_iter: 2 display: 1
snapshot_after_train: false snapshot_prefix: "snap" random_seed: 1
"""


def text(**parts: object) -> str:
    unit = str(parts.get("unit", ""))
    said: dict[str, object] = {
        "source": INPUTS % SHAPES,
        "unit": "",
        "pooled": "unit" if unit else "relu",
        "kernel": 6,
        "classes": 7,
        "more": "",
    }
    return NET % {**said, **parts}


def write(folder: Path) -> None:
    """Write every file that a row names."""
    drawn = DRAWN % (SHAPES, FILLERS)
    for prefix, parts in (
        ("", {}),
        ("read_", {"source": drawn}),
        ("sk_", {"unit": UNIT}),
    ):
        plain, unit = text(**parts), str(parts.get("unit", ""))
        last = "unit" if unit else "relu"
        files = {
            "net": plain,
            "template": text(**{**parts, "kernel": "${K}"}),
            "strange": f"{plain}strange: 1\n",
            "twice": plain.replace('bottom: "pool" top: "fc"', 'bottom: "twice" top: "fc"').replace(
                'layer { name: "fc"', TWICE + 'layer { name: "fc"'
            ),
            "hushed": plain.replace('layer { name: "loss"', HUSHED + 'layer { name: "loss"'),
            "second": text(
                **{**parts, "unit": unit + CONV % ("second", last, "second", 4, "kernel_size: 1")},
                pooled="second",
            ),
            "merged": "\n".join(
                line.replace("bias_term: false", "")
                for line in plain.split("\n")
                if 'name: "bn"' not in line
            ),
            "tuned": plain.replace('top: "conv"', 'top: "conv" param { odd: 1 }', 1),
            "judged": text(**{**parts, "source": READ}) + LOSS,
        }
        for name, content in files.items():
            (folder / f"{prefix}{name}.prototxt").write_text(content)
        (folder / "wide.prototxt").write_text(text(**{**parts, "classes": 8}))
        (folder / "old.prototxt").write_text(plain.replace('name: "fc"', 'name: "old"'))
        for name, net in (("w", f"{prefix}net"), ("wide", "wide"), ("old", "old")):
            loaded = converter.load(folder / f"{net}.prototxt")
            converter.save_caffemodel(loaded, folder / f"{prefix}{name}.caffemodel")
    (folder / "own.py").write_text(OWN)
    (folder / "own.proto").write_text(OWN_PROTO)
    (folder / "lossy.py").write_text(LOSSY)
    (folder / "lossy.prototxt").write_text(text() + LOSS)
    (folder / "script.py").write_text("print(3)\n")
    (folder / "schema").mkdir()
    hush = "message ReLUParameter { optional bool hush = 90 [default = true];"
    write_fork(folder / "schema" / "caffe.proto", ("message ReLUParameter {", hush))
    random = np.random.default_rng(1701)
    (folder / "flat").mkdir()
    for label in range(3):
        (folder / "images" / f"class{label}").mkdir(parents=True)
        for name in (*(f"images/class{label}/{i}.png" for i in range(8)), f"flat/{label}.png"):
            pixels = random.integers(256, size=(9, 11, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name)
    Image.fromarray(pixels[:8, :8]).save(folder / "small.png")
    Image.fromarray(pixels).save(folder / "photo.png")
    (folder / "list.txt").write_text("0.png 0\n2.png 1\n")
    (folder / "names.txt").write_text("class2\nclass1\nclass0\n")
    array = random.standard_normal((1, 3, 8, 8), np.float32)
    np.save(folder / "data.npy", array)
    np.savez(folder / "calib.npz", data=random.standard_normal((4, 3, 8, 8), np.float32))
    net = converter.load(folder / "net.prototxt", folder / "w.caffemodel", dtype="float64")
    np.savez(folder / "golden.npz", **net.blobs({"data": array.astype(np.float64)}))
    np.savez(folder / "float.npz", **net.float().blobs({"data": array}))
    (folder / "solver.prototxt").write_text(SOLVER.replace("read.", "read_net."))
    (folder / "solver_template.prototxt").write_text(SOLVER.replace("read.", "read_template."))
    (folder / "solver_strange.prototxt").write_text(SOLVER.replace("read.", "read_strange."))
    (folder / "solver_twice.prototxt").write_text(SOLVER.replace("read.", "read_twice."))
    (folder / "solver_hushed.prototxt").write_text(SOLVER.replace("read.", "read_hushed."))
    converter.export_onnx(net, folder / "demo.onnx")
    (folder / "models.txt").write_text("net.prototxt w.caffemodel first\n")


@dataclass(frozen=True)
class Row:
    """One option: what is added to a command line, and what that is without it.

    `net` and `weights` are in place of the command's own, None for the same; weights of "" are
    none. `beside` stands on both lines. What the line with the option says, if it is to be refused,
    holds `refused`.
    """

    given: str
    net: str | None = None
    weights: str | None = None
    beside: str = ""
    refused: str = ""


LOADING = {
    "--phase": Row("--phase TRAIN"),
    "--level": Row("--level 1", beside="--allow-missing"),
    "--stage": Row("--stage more", beside="--allow-missing"),
    "--input-shape": Row("--input-shape data=1,3,9,8"),
    "--skip": Row("--skip relu"),
    "--end": Row("--end conv"),
    "--set": Row("--set K=6", "template"),
    "--global-pool": Row("--global-pool", beside="--input-shape data=1,3,10,10"),
    "--deploy": Row("--deploy"),
    "--dialect": Row("--dialect nonsense"),
    "--layers": Row("--layers own.py", "twice"),
    "--proto": Row("--proto schema/caffe.proto", "hushed"),
    "--allow-unknown": Row("--allow-unknown", "strange"),
    "--require-weights": Row("--require-weights", weights=""),
    "--map": Row("--map old=fc", weights="old"),
    "--ignore": Row("--ignore fc", weights="wide"),
    "--allow-missing": Row("--allow-missing", "second"),
    "--fold-bn": Row("--fold-bn", "merged"),
    "--quiet": Row("--quiet"),
}
COMPUTING = {
    "--dtype": Row("--dtype float64"),
    "--device": Row("--device nonsense"),
    "--seed": Row("--seed 5", weights=""),
}
IMAGES = {
    "--family": Row("--family bvlc"),
    "--channels": Row("--channels RGB"),
    "--mean": Row("--mean 50"),
    "--scale": Row("--scale 0.3"),
    "--resize": Row("--resize 12"),
    "--crop": Row("--crop 6"),
    "--raw": Row("--raw"),
}
