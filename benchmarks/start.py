"""What a command costs before it does anything, beside `import torch`.

    python benchmarks/start.py [--rounds 7]

Each command line runs as a process of its own, in turns with `python -c "import torch"`; a ratio is
the median of its processor times by the median of those.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

GOALS = {
    "--help": 0.15,
    "--version": 0.15,
    "convert --help": 0.15,
    "convert --no-such-option": 0.15,
    "define sknet50 -o {folder}/net.prototxt": 0.4,
    "upgrade {folder}/net.prototxt {folder}/new.prototxt": 0.4,
    "layers": 0.4,
    "completion bash": 0.4,
}
"""The commands, and what each may cost at most."""


def main() -> int:
    """Print the table; return 1 where a command costs more than it may."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    torch: list[float] = []
    seconds: dict[str, list[float]] = {words: [] for words in GOALS}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds):
            torch.append(processor_time("-c", "import torch"))
            for words, own in seconds.items():
                own.append(processor_time("-m", "converter", *words.format(folder=folder).split()))
    print(f"`import torch`: {median(torch):.2f} s of processor time\n")
    print("| command | by `import torch` | at most |\n|---|---|---|")
    ratios = {words: median(own) / median(torch) for words, own in seconds.items()}
    for words, ratio in ratios.items():
        print(f"| `caffeport {words.replace('{folder}/', '')}` | {ratio:.3f} | {GOALS[words]} |")
    return int(any(ratio > GOALS[words] for words, ratio in ratios.items()))


def processor_time(*words: str) -> float:
    """Return the seconds of processor time that a Python process takes, in user and system."""
    before = os.times()
    subprocess.run([sys.executable, *words], cwd=Path(__file__).parents[1], capture_output=True)
    after = os.times()
    return sum(after[2:4]) - sum(before[2:4])


if __name__ == "__main__":
    sys.exit(main())
