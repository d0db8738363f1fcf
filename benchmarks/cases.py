"""Count the single-layer cases recorded from real Caffe, and list where its gradient is wrong.

python benchmarks/cases.py [--write docs/parity.md]
"""

from __future__ import annotations

import argparse
import json
import tarfile
from collections import Counter
from pathlib import Path

ARCHIVE = Path(__file__).parent.parent / "tests" / "reference" / "layers.tar.xz"

KEYS = {
    "in|B, in2|B, ...": "what is fed, forward by forward",
    "param|i, init|i": "the layer's blobs before anything runs, given or filled",
    "out|T, out2|T, ...": "every top of a TEST forward",
    "testafter|i": "blobs that the TEST forward changed",
    "trainout|T": "the TRAIN forward's tops, where they differ",
    "after|i": "blobs that the TRAIN forward changed",
    "topdiff|T": "the gradients fed to the backward pass",
    "diff|B, pdiff|i": "the gradients that it left in inputs and blobs",
}


def main() -> None:
    """Print the page, or write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path)
    args = parser.parse_args()
    page = make_page()
    if args.write:
        args.write.write_text(page)
    else:
        print(page)


def make_page() -> str:
    """Return the page as Markdown."""
    with tarfile.open(ARCHIVE) as archive:
        file = archive.extractfile("index.json")
        assert file is not None
        cases = json.load(file)
    run = Counter(meta["type"] for meta in cases.values() if not meta.get("refused"))
    refused = Counter(meta["type"] for meta in cases.values() if meta.get("refused"))
    lines = [
        "# Parity with real Caffe",
        "",
        "Single-layer cases that BVLC Caffe computed in doubles, all of them in the test suite",
        "(`tests/test_layer_cases.py`): tops, gradients and changed blobs within 1e-9 of a blob's",
        "largest value in float64, ONNX in ONNX Runtime within 1e-5 in float32, and what Caffe",
        "refuses is refused. Written by `python benchmarks/cases.py --write docs/parity.md`.",
        "",
        "| type | run | refused |",
        "|---|---|---|",
        *(f"| {kind} | {run[kind]} | {refused[kind]} |" for kind in sorted(run | refused)),
        f"| all | {run.total()} | {refused.total()} |",
        "",
        "## Where we differ on purpose",
        "",
        "Forward everything is as in Caffe, odd results included, but where its memory shows:",
        "",
        "* LRN across channels in place: Caffe's CPU code multiplies by what it has overwritten,",
        "  and the input is lost;",
        "* the tops of Flatten, Reshape, Split, a Concat of one blob, a Slice into one and an LSTM",
        "  of one step lie in other blobs' memory: what a layer behind writes in place over them,",
        "  Caffe has there too, and ours has not.",
        "",
        "Its memory shows in gradients as well, where ours are the derivatives:",
        "",
        "* a layer in place spoils those of one before it that reads its own top, as Softmax does;",
        "* Reshape passes nothing on if Flatten is what reads it;",
        "* LRN, MVN, Softmax, Flatten, Reshape, RNN and LSTM do not heed `propagate_down: false`",
        "  where another layer reads the same bottom, and HingeLoss then leaves its notes there.",
        "",
        "Else backward is Caffe's too, but for these, where Caffe's gradient is no derivative;",
        "ours is, tested by central differences:",
        "",
        "* in place, BNLL, Log, Power, MVN, Axpy's `a` and Eltwise's PROD and MAX use memory that",
        "  has been overwritten;",
        "* Power with shift 0, and PROD without `stable_prod_grad`, divide by x: NaN at 0;",
        "* MVN leaves eps out, which ours does up to an eps of 1e-7 only;",
        "* RNN and LSTM pass nothing through states that `expose_hidden` shows;",
        "* of several passes (`iter_size`) Parameter keeps the last one's gradient, and so does",
        "  Scale where its blob is as large as its bottom or the batch is 1; ours add up.",
        "",
        "Refused although Caffe goes on: an `a` of Axpy with three axes, for which it reads beyond",
        "its memory, and labels that are no class.",
        "",
        "## The keys of a case",
        "",
        "| key | what |",
        "|---|---|",
        *(f"| `{key.replace('|', chr(92) + '|')}` | {what} |" for key, what in KEYS.items()),
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
