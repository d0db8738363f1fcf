"""BVLC's own tests of its Python interface, run unchanged on this project's.

`python benchmarks/pycaffe_suite.py CAFFE_TREE` wants a checkout of BVLC/caffe (9b89154) and the
package `six`, which the tests import. Nothing of the tree is built or changed: its tests are
read, its models and examples are drawn. Python 3.12 dropped names of unittest that the tests use:
they are given back.
"""

from __future__ import annotations

import os
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

DROPPED = {
    "assertEquals": "assertEqual",
    "assertNotEquals": "assertNotEqual",
    "assertRaisesRegexp": "assertRaisesRegex",
    "assertAlmostEquals": "assertAlmostEqual",
}
"""Name that Python 3.12 dropped -> today's."""


def main() -> int:
    """Return 0 if every test passed."""
    if len(sys.argv) != 2:
        print(__doc__)
        return 2
    from converter import pycaffe

    python = Path(sys.argv[1]).resolve() / "python"
    tests = python / "caffe" / "test"
    pycaffe.install()
    # As from a built tree: the tests' own folder holds the layers that they name.
    sys.path[:0] = [str(python), str(tests)]
    for old, new in DROPPED.items():
        if not hasattr(unittest.TestCase, old):
            setattr(unittest.TestCase, old, getattr(unittest.TestCase, new))
    os.environ.setdefault("GLOG_minloglevel", "2")
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)  # snapshots are written here
        suite = unittest.defaultTestLoader.discover(str(tests))
        result = unittest.TextTestRunner(verbosity=2, warnings="ignore").run(suite)
        os.chdir("/")
    failed = len(result.failures) + len(result.errors)
    version = ".".join(map(str, sys.version_info[:2]))
    print(f"Python {version}: {result.testsRun - failed} of {result.testsRun} passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
