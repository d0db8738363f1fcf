"""Every published definition gets Caffe's shapes, or ends in a message that is not our fault."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from benchmarks.definitions import ALONE, EQUAL, FED, FILLED, OURS, go_over, report


def test_no_definition_fails_for_our_fault(shared: Path) -> None:
    results = go_over(shared / "prototxts")
    assert [f"{one.name}: {one.message}" for one in results if one.outcome == OURS] == []
    counts = Counter(one.outcome for one in results)
    assert counts[EQUAL] == 95
    assert counts[ALONE] >= 203
    assert counts[FILLED] == 4
    assert counts[EQUAL] + counts[ALONE] + counts[FED] + counts[FILLED] >= 390
    assert all(one.message for one in results if one.outcome not in (EQUAL, ALONE, FED))
    table = report(results)
    assert f"| all | {len(results)} |" in table
    assert f"| {EQUAL} | 95 |" in table
