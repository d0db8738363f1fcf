"""What `import caffe`'s networks cost beside this project's own, in processor time, in one run.

`python benchmarks/pycaffe_speed.py SQUEEZENET.prototxt GOOGLENET.prototxt [PYTHON]` (deploy
definitions) prints three ratios on one thread: SqueezeNet's forward pass and a layer of a tiny
network beside `converter.load`'s network, and GoogLeNet up to inception_4c/output on 96 x 72
pixels, forward and backward, beside torch's autograd over the same layers, gradients of weights and
image added up in both. PYTHON is an interpreter whose `import caffe` is Caffe's own
(`inference.py` says how it is built): then GoogLeNet's passes are measured beside real pycaffe's
too. Each figure is the least of many rounds that take turns.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import converter
from converter import pycaffe

END, SIZE = "inception_4c/output", (1, 3, 96, 72)
TINY = 40
ROUNDS = 30
ORIGINAL = """
import sys, time
import numpy, caffe
path, end = sys.argv[1:]
net = caffe.Net(path, caffe.TEST)
net.blobs["data"].data[...] = numpy.random.rand(*net.blobs["data"].data.shape)
for line in sys.stdin:
    began = time.process_time()
    net.forward(end=end)
    net.blobs[end].diff[...] = net.blobs[end].data
    net.backward(start=end)
    print(time.process_time() - began, flush=True)
"""
"""What real pycaffe runs: the same step at each line that it is sent."""


def least(*runs: Callable[[], object], times: int = 1) -> list[float]:
    """Return the least processor time of each, the rounds taking turns."""
    found = [float("inf")] * len(runs)
    for _ in range(ROUNDS):
        for index, run in enumerate(runs):
            began = time.process_time()
            for _ in range(times):
                run()
            found[index] = min(found[index], (time.process_time() - began) / times)
    return found


def forward(caffe: Any, definition: Path, times: int) -> tuple[float, float, int]:
    """Return the seconds of a forward pass here and of `net()`, and the number of layers."""
    net, plain = caffe.Net(str(definition), caffe.TEST), converter.load(definition)
    fed = {name: torch.rand(tuple(net.blobs[name].shape)) for name in net.inputs}
    for name, value in fed.items():
        net.blobs[name].data[...] = value.numpy()
    with torch.no_grad():
        ours, theirs = least(net.forward, lambda: plain(fed), times=times)
    return ours, theirs, len(plain.steps)


def dream(caffe: Any, definition: Path, python: str | None) -> tuple[float, float, float | None]:
    """Return the seconds of a step of deepdream's: here, by autograd, and of real pycaffe."""
    net, plain = caffe.Net(str(definition), caffe.TEST), converter.load(definition)
    image = torch.rand(SIZE, requires_grad=True)
    net.blobs["data"].data[...] = image.detach().numpy()

    def ours() -> None:
        net.forward(end=END)
        net.blobs[END].diff[...] = net.blobs[END].data
        net.backward(start=END)

    def theirs() -> None:
        top = plain({"data": image})[END]
        torch.autograd.backward(top, top.detach())

    if python is None:
        return *least(ours, theirs), None
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [python, "-c", ORIGINAL, str(definition), END]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as original:
        assert original.stdin is not None
        assert original.stdout is not None
        told, answers = original.stdin, original.stdout
        took = [float("inf")]

        def real() -> None:
            print(file=told, flush=True)
            took.append(float(answers.readline()))

        mine, autograd, _ = least(ours, theirs, real)
        told.close()
    return mine, autograd, min(took)


def main() -> int:
    """Print the ratios."""
    if len(sys.argv) not in (3, 4):
        print(__doc__)
        return 2
    torch.set_num_threads(1)
    pycaffe.install()
    import caffe
    from caffe.proto import caffe_pb2
    from google.protobuf import text_format

    with tempfile.TemporaryDirectory() as folder:
        ours, theirs, _ = forward(caffe, Path(sys.argv[1]), 1)
        print(f"SqueezeNet: {ours * 1e3:.1f} ms, {ours / theirs:.2f} x net()")
        tiny = Path(folder, "tiny.prototxt")
        kinds = ("ReLU", "Sigmoid", "TanH", "AbsVal")
        layers = [
            f'layer {{ name: "l{i}" type: "{kinds[i % 4]}" bottom: "x{i}" top: "x{i + 1}" }}\n'
            for i in range(TINY)
        ]
        head = 'layer { name: "in" type: "Input" top: "x0" input_param { shape { dim: 8 } } }\n'
        tiny.write_text(head + "".join(layers))
        ours, theirs, count = forward(caffe, tiny, 50)
        print(f"tiny: {ours / count * 1e6:.1f} us a layer, {ours / theirs:.2f} x net()")
        net = caffe_pb2.NetParameter()
        text_format.Merge(Path(sys.argv[2]).read_text(), net)
        net.force_backward = True
        net.layer[0].input_param.shape[0].dim[:] = SIZE
        del net.layer[[layer.name for layer in net.layer].index(END) + 1 :]
        cut = Path(folder, "googlenet.prototxt")
        cut.write_text(str(net))
        ours, theirs, real = dream(caffe, cut, sys.argv[3] if len(sys.argv) > 3 else None)
        beside = f", {ours / real:.2f} x real pycaffe" if real else ""
        took = f"{ours * 1e3:.1f} ms, {ours / theirs:.2f} x autograd{beside}"
        print(f"GoogLeNet to 4c, both passes: {took}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
