"""What a verified conversion takes beside another checkout: peak memory and processor time.

    python benchmarks/verification.py OTHER NET WEIGHTS [--pairs 5] [OPTION ...]

OTHER is a checkout of another commit; what follows is handed to `convert` in both, `--dynamic none`
say, or `--input-shape data=2,3,224,224`. Whole processes of two threads, in turns; who begins is
drawn anew for each pair. Memory is the peak resident set, mapped pages included, beside that of
`import torch`; time is the processor's.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

HERE = Path(__file__).parents[1]


class Cost(NamedTuple):
    """What one process took."""

    mebibytes: float
    seconds: float


def main() -> None:
    """Print the medians of both, and of their ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("other", type=Path)
    parser.add_argument("files", type=Path, nargs=2)
    parser.add_argument("--pairs", type=int, default=5)
    args, options = parser.parse_known_args()
    builds = (HERE, args.other.resolve())
    pairs = []
    for number in range(args.pairs + 1):
        order = random.sample(builds, 2)
        costs = {build: converted(build, args.files, options) for build in order}
        pairs += [[costs[build] for build in builds]] if number else []
    imported = cost(["-c", "import torch"], HERE)
    size = args.files[1].stat().st_size / 2**20
    print(f"{args.files[1].name}: {size:.0f} MiB; import torch: {imported.mebibytes:.0f} MiB")
    for index, what in enumerate(("peak, MiB", "processor, s")):
        ours, theirs = (median(pair[build][index] for pair in pairs) for build in (0, 1))
        ratio = median(pair[0][index] / pair[1][index] for pair in pairs)
        print(f"{what}: {ours:.4g}, the other's {theirs:.4g}, ratio {ratio:.3f}")
    beyond = median(pair[0].mebibytes for pair in pairs) - imported.mebibytes
    print(f"beyond import torch: {beyond / size:.2f} x the file")


def converted(build: Path, files: Sequence[Path], options: Sequence[str]) -> Cost:
    """Convert and verify in a process of one build."""
    with tempfile.TemporaryDirectory() as out:
        given = [str(file.resolve()) for file in files]
        words = ["-m", "converter", "convert", *given, "-o", out, "--quiet", *options]
        return cost(words, build)


def cost(words: Sequence[str], build: Path) -> Cost:
    """Run Python with these words; raises SystemExit where it fails."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "2")
    env = {**os.environ, **threads, "PYTHONPATH": str(build)}
    env.pop("PYTHONDONTWRITEBYTECODE", None)  # compiled modules are kept, as in any installation
    command = [sys.executable, *words]
    # `-m` looks in the working folder before all others.
    child = subprocess.Popen(command, env=env, cwd=build, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{build}: {' '.join(words)} ends with {child.returncode}")
    return Cost(usage.ru_maxrss / 1024, usage.ru_utime + usage.ru_stime)


if __name__ == "__main__":
    main()
