"""What of a checkpoint is read: the blobs of the layers that there are, and no others."""

from __future__ import annotations

import mmap
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import converter

INPUT = 'layer { name: "in" type: "Input" top: "x0" input_param { shape { dim: [1, 512] } } }\n'
LAYER = """layer { name: "fc%d" type: "InnerProduct" bottom: "x%d" top: "x%d"
  inner_product_param { num_output: 512 bias_term: false weight_filler { type: "xavier" } } }
"""
AHEAD = 32
"""Pages that the system maps around one that is read, at most."""


def present(net: converter.CaffeNet) -> int:
    """Return how many pages of the weights' file are in the process's memory."""
    data = np.frombuffer(net.origin.weights[0]._pages, np.uint8)
    first, count = data.ctypes.data // mmap.PAGESIZE, -(-data.size // mmap.PAGESIZE)
    with Path("/proc/self/pagemap").open("rb", buffering=0) as table:
        table.seek(8 * first)
        entries = np.frombuffer(table.read(8 * count), np.uint64)
    return int((entries >> np.uint64(63)).sum())


@pytest.mark.skipif(sys.platform != "linux", reason="the page table is Linux's")
def test_a_part_of_a_network_reads_a_part_of_its_weights(tmp_path):
    path, weights = tmp_path / "net.prototxt", tmp_path / "net.caffemodel"
    path.write_text(INPUT + "".join(LAYER % (n, n, n + 1) for n in range(8)))
    converter.save_caffemodel(converter.load(path), weights)
    whole = converter.load(path, weights, mapped=True)
    part = converter.load(path, weights, mapped=True, end="x1")
    layer = 512 * 512 * 4 // mmap.PAGESIZE
    assert present(whole) >= 8 * layer
    assert layer <= present(part) <= layer + 9 * AHEAD
    assert torch.equal(part.params["fc0"][0], whole.params["fc0"][0])
