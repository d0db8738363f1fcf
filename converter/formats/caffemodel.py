"""The network and its weights as Caffe loads them."""

from __future__ import annotations

from pathlib import Path

from converter.loading.fold import fold
from converter.loading.save import save_caffemodel
from converter.network.net import CaffeNet
from prototxt import format_text
from prototxt.atomic import writing

from . import Options

SUFFIX = ".caffemodel"
HALF = False
PROGRAM = False
HEEDS = frozenset({"fold_bn"})


def write(net: CaffeNet, path: Path, options: Options) -> list[str]:
    """Write the caffemodel; of a folded network its definition beside it.

    The notes name the outputs that the file has no word for.
    """
    inner = sorted({*net.named_outputs} & {name for step in net.steps for name in step.bottoms})
    said = [f"{path.name}: {name!r} is no output there, for layers read it" for name in inner]
    if not options.asked["fold_bn"]:
        save_caffemodel(net, path)
        return said
    folded = fold(net)
    save_caffemodel(folded, path)
    assert folded.definition is not None  # `fold` has seen to it
    beside = path.with_suffix(".prototxt")
    with writing(beside) as file:
        file.write(format_text(folded.definition).encode())
    done = [note for note in folded.notes if note not in net.notes]
    done = done or ["--fold-bn changes nothing: no convolution takes in what follows it"]
    return [*said, *(f"{path.name} is the network of {beside.name}: {note}" for note in done)]
