"""Every rule for networks, in Caffe's order."""

from __future__ import annotations

from prototxt.errors import FormatError, within
from prototxt.net import Net

from . import batch_norm, data_transform, inputs, v0, v1


def upgrade(net: Net) -> Net:
    """Return the network in today's form; one that has it already is returned as it is.

    What Caffe passes over with no more than a log line is passed over and listed in `dropped`.
    FormatError where Caffe refuses. `net` itself stays as it was.

    Caffe: src/caffe/util/upgrade_proto.cpp
    """
    generations = {layer.DESCRIPTOR.name for layer in net.layers}
    if len(generations) > 1:
        with within(net.source):
            raise FormatError(
                "'layer' and 'layers' in one file",
                fix='write all layers as layer { type: "..." }, today\'s form',
            )
    if generations == {"V1LayerParameter"}:
        net = v1.to_v2(data_transform.move(v0.to_v1(net)))
    return batch_norm.freeze(inputs.to_layer(net))
