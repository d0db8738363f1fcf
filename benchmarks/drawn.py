"""Draw a network's weights, as training begins with, and write them.

    python -m benchmarks.drawn OUT.caffemodel NET [options of `caffeport show`]

What the definition's fillers draw stays; what they leave constant would make every blob of a
network 0, and shows nothing. Statistics are mean 0 and variance 1.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

import converter
from converter.commands._options import add_net, load_and_tell
from converter.seed import SEED


def draw(net: converter.CaffeNet) -> None:
    """Draw every weight that is constant: so wide that what it gives is as large as its bottom."""
    generator = torch.Generator().manual_seed(SEED)
    for layer in net.layers.values():
        for name in layer.blob_names:
            blob = getattr(layer, name)
            if isinstance(blob, nn.Parameter) and blob.numel() and blob.min() == blob.max():
                _draw(blob.data, name, generator)


def _draw(blob: Tensor, name: str, generator: torch.Generator) -> None:
    if blob.dim() > 1 and len(blob) > 1 and blob[0].numel() > 1:
        blob.normal_(0, (2 / blob[0].numel()) ** 0.5, generator=generator)
    elif name == "bias":
        blob.normal_(0, 0.01, generator=generator)
    elif not blob.any():
        blob.uniform_(0.5, 1.5, generator=generator)


def drawn(net: Path, path: Path) -> Path:
    """Write the weights of a definition that loads without options."""
    loaded = converter.load(net)
    draw(loaded)
    converter.save_caffemodel(loaded, path)
    return path


def main(words: Sequence[str]) -> int:
    """Load as the command line does, draw and write; return 1 where a file is at fault."""
    parser = ArgumentParser()
    parser.add_argument("out", type=Path)
    add_net(parser)
    args = parser.parse_args(words)
    try:
        net = load_and_tell(args)
        draw(net)
        converter.save_caffemodel(net, args.out)
    except converter.CaffeError as error:
        print(f"drawn: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
