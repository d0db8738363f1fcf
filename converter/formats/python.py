"""Python source that needs torch alone, its weights as safetensors beside it."""

from __future__ import annotations

from pathlib import Path
from string import Template

import torch

from converter.network.net import CaffeNet
from converter.onnx.free_axes import dynamic_dims, with_free_axes
from converter.text import format_shape
from converter.version import VERSION
from prototxt.atomic import writing
from prototxt.errors import UnsupportedError

from . import Options
from ._half import half_copy
from ._safetensors import write_safetensors
from ._source import Source, Written, identifier, indented

SUFFIX = ".py"
HALF = True
PROGRAM = True
HEEDS = frozenset({"with_losses", "half_io"})

FILE = Template('''\
"""$title as a PyTorch network: converted from Caffe by caffeport $version.

Needs torch alone, and the weights in $weights beside this file.

    from $module import load

    net = load()
    $call

$shapes
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
${functional}from torch import Tensor, nn

WEIGHTS = Path(__file__).with_name("$weights")

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
}


class Net(nn.Module):
    """$title."""

    def __init__(self) -> None:
        super().__init__()
$declared

$forward


def load(path: str | Path = WEIGHTS) -> Net:
    """Return the network with its weights, in evaluation mode."""
    net = Net()
    net.load_state_dict(read(path), assign=True)
    return net.eval()


def read(path: str | Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file by name."""
    data = bytearray(Path(path).read_bytes())
    start = 8 + int.from_bytes(data[:8], "little")
    tensors = {}
    for name, entry in json.loads(data[8:start]).items():
        if name != "__metadata__":
            first, last = entry["data_offsets"]
            part = data[start + first : start + last]
            tensors[name] = torch.frombuffer(part, dtype=DTYPES[entry["dtype"]])
            tensors[name] = tensors[name].reshape(entry["shape"])
    return tensors
''')


def write(net: CaffeNet, path: Path, options: Options) -> list[str]:
    """Write the source as a module that can be imported, and its weights.

    Raises UnsupportedError, naming the layer, for one that has no such source.
    """
    if options.half:
        net = half_copy(net)
    if net.training:
        raise UnsupportedError("Python source is of a network for tests", fix="--phase TEST")
    source = Source(net)
    written = source.write(with_losses=options.asked["with_losses"])
    module = identifier(path.name.removesuffix(SUFFIX))
    weights = path.with_name(f"{module}_weights.safetensors")
    tensors = {
        key: value.detach().clone(memory_format=torch.contiguous_format)
        for key, value in source.tensors.items()
    }
    with writing(path.with_name(f"{module}.py")) as file:
        file.write(text(net, written, module, weights.name).encode())
    write_safetensors(tensors, weights, {"format": "pt"})
    takes = ", takes and gives float16" if options.half else ""
    return [f"{module}.py needs torch alone{takes}: its load() reads {weights.name}"]


def text(net: CaffeNet, written: Written, module: str, weights: str) -> str:
    """Return the whole file."""
    title = "".join(each for each in net.name if each.isprintable() and each not in '"\\') or module
    body = "\n".join([*written.declared, *written.forward])
    inputs = ", ".join(written.inputs)
    several = len(written.outputs) > 1
    result = "blobs" if several else identifier(written.outputs[0])
    shapes = ", ".join(f"{name} {format_shape(shape)}" for name, shape in written.inputs.items())
    gives = f"a dictionary of {', '.join(written.outputs)}" if several else written.outputs[0]
    gives = "".join(each for each in gives if each.isprintable() and each not in '"\\')
    return FILE.substitute(
        title=title,
        version=VERSION,
        module=module,
        weights=weights,
        call=f"{result} = net({inputs})",
        shapes=f"It was made for {shapes}, with {_how_many(net)}, and gives {gives}.",
        functional="import torch.nn.functional as F\n" if "F." in body else "",
        declared="\n".join(indented(written.declared, 8)),
        forward="\n".join(indented(written.forward)),
    )


def _how_many(net: CaffeNet) -> str:
    """Say how many images the network takes at a time."""
    exported = net.exported()
    _, fixed = with_free_axes(None, lambda axes: dynamic_dims(exported, net.layers, axes))
    return "any number of images" if not fixed else "so many images"
