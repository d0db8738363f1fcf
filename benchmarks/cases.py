"""Count the single-layer cases recorded from real Caffe.

python benchmarks/cases.py [--write docs/parity.md]
"""

from __future__ import annotations

import argparse
import json
import re
import tarfile
from collections import Counter
from pathlib import Path

ARCHIVE = Path(__file__).parent.parent / "tests" / "reference" / "layers.tar.xz"


def main() -> None:
    """Print the table, or put it where the page has it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path, help="the page, with a table between two marks")
    args = parser.parse_args()
    table = make_table()
    if not args.write:
        print(table)
        return
    marks = r"(?<=<!-- cases -->\n).*(?=\n<!-- end -->)"
    page, found = re.subn(marks, lambda _: table, args.write.read_text(), flags=re.DOTALL)
    if found != 1:
        parser.error(f"{args.write} has no table between <!-- cases --> and <!-- end -->")
    args.write.write_text(page)


def make_table() -> str:
    """Return how many cases of each type ran in Caffe, and how many it refused, as Markdown."""
    with tarfile.open(ARCHIVE) as archive:
        file = archive.extractfile("index.json")
        assert file is not None
        cases = json.load(file)
    run = Counter(meta["type"] for meta in cases.values() if not meta.get("refused"))
    refused = Counter(meta["type"] for meta in cases.values() if meta.get("refused"))
    lines = [
        "| type | run | refused |",
        "|---|---|---|",
        *(f"| {kind} | {run[kind]} | {refused[kind]} |" for kind in sorted(run | refused)),
        f"| all | {run.total()} | {refused.total()} |",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
