"""Public scripts that say `import caffe`, run unchanged.

`python benchmarks/pycaffe_scripts.py FOLDER` wants checkouts in FOLDER under their repositories'
names: caffe (BVLC), mtcnn (DuinoDu), deepdream (google), MobileNet-SSD (chuanqi305). Weights that
are not there are drawn from a seed and written where the script looks for them. Windows of OpenCV
are not shown; of deepdream's notebook the hundred frames of its video are left out.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NO_WINDOWS = """
try:
    import cv2
except ImportError:
    pass
else:
    cv2.imshow, cv2.waitKey = lambda *args: None, lambda *args: 27
"""
DRAWN = """
import sys
import numpy as np
import converter.pycaffe
converter.pycaffe.install()
import caffe
caffe.set_random_seed(1701)
random = np.random.RandomState(1701)
net = caffe.Net(sys.argv[1], caffe.TEST)
for layer in net.layers:
    if layer.type == "BatchNorm":
        for blob, (low, high) in zip(layer.blobs, [(-0.1, 0.1), (0.5, 1.5), (1, 1)]):
            blob.data[...] = random.uniform(low, high, blob.data.shape)
for blobs in net.params.values():
    weights = blobs[0].data
    if weights.ndim > 1 and not weights.any():  # a deploy's, without fillers
        weights[...] = random.standard_normal(weights.shape) * (2 / weights[0].size) ** 0.5
net.save(sys.argv[2])
"""
VIDEO = ("mkdir frames", "xrange(100)", "frames/0029")
"""What the cells of deepdream's video say."""


@dataclass(frozen=True)
class Script:
    """A script: the folder that it is run in, its words, and what it prints if it went right."""

    folder: str
    words: tuple[str, ...]
    says: tuple[str, ...] = ()
    weights: tuple[tuple[str, str], ...] = ()
    copies: tuple[tuple[str, str], ...] = ()
    """A file that is there, and the one that the script would download."""


CAFFENET, GOOGLENET = "../models/bvlc_reference_caffenet", "../caffe/models/bvlc_googlenet"
SCRIPTS = (
    Script(
        "caffe/examples",
        ("--python2", "net_surgery.ipynb"),
        ("params ['conv']", "fc8-conv weights are (1000, 4096, 1, 1) dimensional"),
        ((f"{CAFFENET}/deploy.prototxt", f"{CAFFENET}/bvlc_reference_caffenet.caffemodel"),),
    ),
    Script(
        "caffe/examples",
        ("--python2", "00-classification.ipynb"),
        ("predicted class is:", "fc8\t(1000, 4096) (1000,)"),
        ((f"{CAFFENET}/deploy.prototxt", f"{CAFFENET}/bvlc_reference_caffenet.caffemodel"),),
        (("images/cat.jpg", "image.jpg"),),
    ),
    Script("mtcnn", ("demo.py",), ("[4.5]: 78", "3: (1, 5)")),
    Script(
        "deepdream",
        ("--python2", "dream.ipynb"),
        ("3 9 inception_4c/output", "3 9 inception_3b/output"),
        ((f"{GOOGLENET}/deploy.prototxt", f"{GOOGLENET}/bvlc_googlenet.caffemodel"),),
    ),
    Script(
        "MobileNet-SSD",
        (
            *("merge_bn.py", "--model", "deploy.prototxt"),
            *("--weights", "mobilenet_iter_73000.caffemodel"),
        ),
        ("conv0", "conv17_2"),
        (("deploy.prototxt", "mobilenet_iter_73000.caffemodel"),),
    ),
    Script("MobileNet-SSD", ("demo.py",)),
)


def main() -> int:
    """Return 0 if every script that is there went right."""
    if len(sys.argv) != 2:
        print(__doc__)
        return 2
    checkouts = Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as stubs:
        Path(stubs, "sitecustomize.py").write_text(NO_WINDOWS)
        paths = [stubs, str(ROOT), os.environ.get("PYTHONPATH", "")]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
        wrong = sum(_run(checkouts, script, environment) for script in SCRIPTS)
    return 1 if wrong else 0


def _run(checkouts: Path, script: Script, environment: dict[str, str]) -> bool:
    """Run a script; tell if it went wrong."""
    folder, name = checkouts / script.folder, f"{script.folder}/{_target(script)}"
    if not (folder / _target(script)).exists():
        print(f"{name}: not there")
        return False
    for definition, weights in script.weights:
        if not (folder / weights).exists():
            command = [sys.executable, "-c", DRAWN, definition, weights]
            subprocess.run(command, cwd=folder, env=environment, check=True)
    for source, target in script.copies:
        if not (folder / target).exists():
            shutil.copyfile(folder / source, folder / target)
    words = list(script.words)
    if "dream.ipynb" in words:
        words[-1] = "without_video.ipynb"
        (folder / words[-1]).write_text(json.dumps(_without_video(folder / "dream.ipynb")))
    began = time.perf_counter()
    ran = subprocess.run(
        [sys.executable, "-m", "converter", "pycaffe", *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    missing = [said for said in script.says if said not in ran.stdout]
    good = ran.returncode == 0 and not missing
    print(f"{name}: {'ran' if good else 'FAILED'} in {time.perf_counter() - began:.0f} s")
    for line in [*(f"lacks {said!r}" for said in missing), *_last(ran.stderr)] if not good else ():
        print(f"    {line}")
    return not good


def _target(script: Script) -> str:
    return next(word for word in script.words if not word.startswith("-"))


def _last(text: str) -> Iterator[str]:
    yield from text.splitlines()[-3:]


def _without_video(path: Path) -> dict[str, object]:
    held: dict[str, object] = json.loads(path.read_text("utf-8"))
    for sheet in held["worksheets"]:  # type: ignore[attr-defined]
        sheet["cells"] = [
            cell
            for cell in sheet["cells"]
            if not any(word in "".join(cell.get("input", "")) for word in VIDEO)
        ]
    return held


if __name__ == "__main__":
    sys.exit(main())
