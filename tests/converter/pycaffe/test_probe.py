"""The semantics that real pycaffe was probed for: the same script, line by line."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from typing import Any

import pytest

from prototxt.pb2 import namespace
from prototxt.schema import dialect
from tests.support.paths import ROOT
from tests.support.recorded import unpack

FLOAT = re.compile(r"-?\d+\.\d+(?:e-?\d+)?")
OURS = {
    "setattr": "AttributeError: property",  # wording of Python's own
    "messages": "",  # the forks' messages are among them, and their fields:
    "pb fields": "",  # below both lines are BVLC's where only its names are looked at
    "netspec md5": "",  # protobuf prints `1` where it printed `1.0`: below
}
"""Lines that differ, and what they begin with here."""


def test_every_line_is_what_real_pycaffe_prints() -> None:
    folder = unpack("pycaffe")
    code = (
        "import converter.pycaffe, runpy\n"
        "converter.pycaffe.install()\n"
        f"runpy.run_path({str(folder / 'probe.py')!r})\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    got = ran.stdout.splitlines()
    want = (folder / "probe_real.txt").read_text().splitlines()
    assert len(got) == len(want) == 103
    for mine, real in zip(got, want, strict=True):
        name, _, value = mine.partition(" => ")
        if name in OURS:
            assert value.startswith(OURS[name])
            continue
        assert FLOAT.sub("_", mine) == FLOAT.sub("_", real)
        numbers = [[float(text) for text in FLOAT.findall(line)] for line in (mine, real)]
        # After 12 updates, printed with five places: one unit of the last may be rounding alone.
        unit = 1.01e-5 if name == "solved" else 2e-6
        assert numbers[0] == pytest.approx(numbers[1], rel=1e-5, abs=unit), mine


def test_the_schema_is_the_probes_where_only_bvlcs_names_are_looked_at() -> None:
    bvlc: Any = dialect("bvlc").message("LayerParameter").DESCRIPTOR
    ours = namespace()
    layer = ours["LayerParameter"].DESCRIPTOR
    fields = [
        (name, field.number, _label(field), field.type, str(field.default_value))
        for name, field in sorted(layer.fields_by_name.items())
        if field.message_type is None and name in bvlc.fields_by_name
    ]
    digest = hashlib.md5(str(fields).encode()).hexdigest()
    messages = {*ours["DESCRIPTOR"].message_types_by_name} & {*bvlc.file.message_types_by_name}
    said = (unpack("pycaffe") / "probe_real.txt").read_text().splitlines()
    assert f"pb fields => {digest}" in said
    assert f"messages => {len(messages)}" in said


def _label(field: Any) -> int:
    """Return the number that descriptors had as `label`, which newer protobufs dropped."""
    if field.is_repeated:
        return 3
    return 2 if field.is_required else 1


def test_the_written_definition_is_the_probes(caffe: Any) -> None:
    """The md5 of the probe is that of this text with floats as older protobufs print them."""
    from caffe import layers as L  # type: ignore[import-not-found]
    from caffe import params as P

    net = caffe.NetSpec()
    net.data = L.Input(shape={"dim": [1, 3, 4, 4]})
    net.c = L.Convolution(
        net.data,
        kernel_size=3,
        num_output=2,
        param=[{"lr_mult": 1}, {"lr_mult": 2}],
        weight_filler={"type": "xavier"},
    )
    net.r = L.ReLU(net.c, in_place=True)
    net.p = L.Pooling(net.c, pool=P.Pooling.AVE, global_pooling=True)
    net.e = L.Eltwise(net.p, net.p, operation=P.Eltwise.SUM)
    text = re.sub(r"(lr_mult: \d)\n", r"\1.0\n", str(net.to_proto()))
    digest = hashlib.md5(text.encode()).hexdigest()
    assert digest == "153c6343db61f2cc823155382d533c81"
