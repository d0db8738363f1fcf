"""The benchmark of the kernels: what it says without a GPU, and that it runs on tiny tensors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.support.paths import ROOT

SCRIPT = ROOT / "benchmarks" / "kernels.py"


def run(*options: str) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
    return subprocess.run(
        [sys.executable, SCRIPT, *options],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU, and it would be measured")
def test_without_a_gpu_it_says_so() -> None:
    done = run()
    said = "benchmarks/kernels.py needs a GPU: torch sees none\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", said)


def test_it_runs_on_tiny_tensors(tmp_path: Path) -> None:
    out = tmp_path / "results.json"
    only = "axpy,selection,training"
    done = run("--device", "cpu", "--small", "--only", only, "--out", str(out))
    assert done.returncode == 0, done.stderr
    results = json.loads(out.read_text())
    assert results["device"] == "cpu"
    assert len(results["commit"].split()[0]) == 40
    assert [len(results[part]) for part in only.split(",")] == [8, 8, 2]
    for row in results["selection"]:
        seconds = row["seconds"]
        assert row["times as fast as eager"] == seconds["eager"] / seconds["fused"]
        assert seconds.keys() == {"fused", "eager", "compiled"}
