"""How a command begins: what its process's threads do, and what garbage collection passes over."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.support.paths import ROOT

PROGRAM = """
import gc, os, sys
from converter.commands._start import start
start("converter.version", asleep=True)
print(os.environ.get("OMP_WAIT_POLICY"), gc.isenabled(), gc.get_freeze_count() > 1000)
"""


def said(policy: str | None, before: str = "") -> str:
    env = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    env |= {} if policy is None else {"OMP_WAIT_POLICY": policy}
    done = subprocess.run(
        [sys.executable, "-c", before + PROGRAM], cwd=ROOT, env=env, capture_output=True, text=True
    )
    return done.stdout.strip() or done.stderr


@pytest.mark.parametrize(
    ("policy", "before", "wanted"),
    [
        (None, "", "PASSIVE True True"),
        ("ACTIVE", "", "ACTIVE True True"),
        (None, "import gc; gc.disable()", "PASSIVE False True"),
        (None, "import sys; sys.modules['torch'] = sys\n", "None True True"),
    ],
    ids=["by itself", "as the user says", "without collecting", "after torch"],
)
def test_threads_sleep_unless_told_otherwise(policy, before, wanted):
    assert said(policy, before) == wanted
