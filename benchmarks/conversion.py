"""How long `convert` takes and how much memory, beside `import torch` and beside other converters.

    python benchmarks/conversion.py CHECKPOINTS SHARED [--peers FOLDER]

SHARED is the folder of published models. CHECKPOINTS holds two files that its scripts write:
sknet50.caffemodel by `python SHARED/reference/sknet/build_checkpoints.py CHECKPOINTS`,
SE-ResNet-50.caffemodel by `python SHARED/reference/nets/build_weights.py CHECKPOINTS SE-ResNet-50`.
FOLDER holds virtual environments named as the peers in PEERS, in small letters
(`pip install MNN`, `caffe-onnx==0.1.2`, `x2paddle==1.6.0 paddlepaddle six requests
protobuf==3.20.3`): those that are there are measured on the networks that they may read.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from measure import Process, measure, measure_in_turn

CAFFE = "--prototxt={net} --weight={weights} --save_dir={out}/paddle --disable_feedback=True"
PEER_RUNS = 1  # after one unmeasured; some take minutes
PEERS = {
    "MNN": "bin/mnnconvert -f CAFFE --prototxt {net} --modelFile {weights} "
    "--MNNModel {out}/net.mnn --bizCode x",
    "caffe-onnx": "bin/caffe2onnx {net} {weights} net {out}/",
    "X2Paddle": f"bin/x2paddle --framework=caffe {CAFFE}",
}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoints", type=Path)
    parser.add_argument("shared", type=Path)
    parser.add_argument("--peers", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", help="measure this network alone")
    args = parser.parse_args()
    sknet = args.shared / "reference" / "sknet" / "sknet50.prototxt"
    files = {"SKNet-50": (sknet, args.checkpoints / "sknet50.caffemodel")}
    squeezenet = args.shared / "models" / "squeezenet_v1.0_dc"
    senet = args.shared / "reference" / "nets" / "SE-ResNet-50" / "deploy.prototxt"
    files["SE-ResNet-50"] = (senet, args.checkpoints / "SE-ResNet-50.caffemodel")
    files["squeezenet_v1.0_dc"] = (squeezenet / "deploy.prototxt", _weights(squeezenet))
    print(f"emission of SKNet-50's ONNX after load: {_emission(*files['SKNet-50']):.3f} s\n")
    _row("process", "wall s", "peak MiB", "beyond import torch", "memory beyond, of the file")
    _row("---", "---", "---", "---", "---")
    for name, (net, weights) in files.items():
        if args.only not in (None, name):
            continue
        torch, ours = _ours(net, weights, args.runs)
        _row("import torch", f"{torch.seconds:.2f}", f"{torch.mebibytes:.0f}", "", "")
        size = weights.stat().st_size / 2**20
        _row(
            f"convert {name} ({size:.0f} MiB)",
            f"{ours.seconds:.2f}",
            f"{ours.mebibytes:.0f}",
            f"{ours.seconds - torch.seconds:.2f} s",
            f"{(ours.mebibytes - torch.mebibytes) / size:.1f} x",
        )
        for peer, command in PEERS.items():
            folder = args.peers / peer.lower() if args.peers else None
            if folder and folder.exists() and name != "SKNet-50":
                _peer_row(peer, folder, command, net, weights, ours)


def _peer_row(
    peer: str, folder: Path, command: str, net: Path, weights: Path, ours: Process
) -> None:
    with tempfile.TemporaryDirectory() as out:
        filled = command.format(net=net, weights=weights, out=out).split()
        theirs = measure([str(folder / filled[0]), *filled[1:]], PEER_RUNS)
        made = [path for path in Path(out).rglob("*") if path.is_file()]
    said = f"{theirs.seconds / ours.seconds:.1f} x our time" if made else "writes nothing"
    _row(f"{peer}", f"{theirs.seconds:.2f}", f"{theirs.mebibytes:.0f}", said, "")


def _ours(net: Path, weights: Path, runs: int) -> tuple[Process, Process]:
    with tempfile.TemporaryDirectory() as out:
        torch = [sys.executable, "-c", "import torch"]
        command = [sys.executable, "-m", "converter", "convert", str(net), str(weights)]
        command += ["-o", out, "--no-verify", "--quiet"]
        imported, done = measure_in_turn([torch, command], runs)
    assert done.status == 0
    return imported, done


def _emission(net: Path, weights: Path) -> float:
    # In a process of its own: a child's peak memory begins at its parent's.
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("emission.py"), net, weights],
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout)


def _weights(folder: Path) -> Path:
    return next(folder.glob("*.caffemodel"))


def _row(*cells: str) -> None:
    print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
