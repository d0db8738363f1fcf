"""Normalisation folded into the convolutions before it, in a definition that Caffe reads."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any

from converter.network.net import CaffeNet
from converter.network.optimize.fold_normalization import fold_normalization
from converter.network.optimize.wiring import Wiring
from converter.network.plan import make_plan
from converter.network.steps import Step
from prototxt.errors import UnsupportedError, within
from prototxt.net import copied


def fold(net: CaffeNet) -> CaffeNet:
    """Return the network without the normalisation and the scales that convolutions can take in.

    Its definition is one of Caffe's layers again, which `save_caffemodel` writes and Caffe reads:
    what the scripts called merge_bn did. Blobs that were folded away are gone, outputs stay. The
    network itself stays as it is.

    Raises UnsupportedError for a network of the TRAIN phase, and for an optimized one.
    """
    if net.definition is None or net.optimized:
        raise UnsupportedError("only a network as it was loaded can be folded")
    if net.phase == "TRAIN":
        raise UnsupportedError("a network of the TRAIN phase learns its normalisation")
    source = deepcopy(net).eval()
    kept = make_plan(source.steps, source.named_outputs).outputs.values()
    wiring = Wiring(source.steps, source.layers, source.shapes(), kept)
    said = fold_normalization(wiring)
    if not said:
        return source
    written = zip(net.steps, net.definition.layers, strict=True)
    messages = {step.key: layer for step, layer in written}
    steps = []
    for step in wiring.steps:
        before, now = source.layers[step.key], wiring.layers[step.key]
        with within(step.place):
            new_bias = len(now.blob_names) > len(before.blob_names)
            layer = _message(step, messages[step.key], new_bias=new_bias)
        if now is not before:  # its numbers are its own now: what shared them keeps the old ones
            for param in layer.param:
                param.ClearField("name")
        steps.append(replace(step, layer=layer))
    definition = replace(net.definition, layers=[step.layer for step in steps], lines=[])
    return source.rewired(steps, wiring.layers, notes=[said], definition=definition)


def _message(step: Step, written: Any, *, new_bias: bool) -> Any:
    """Return a step's layer as the file says it, with the tops that it has now, and its bias."""
    layer = copied(written)
    if list(layer.top) != list(step.blobs):
        del layer.top[:]
        layer.top.extend(step.blobs)
    if new_bias:
        param = getattr(layer, step.cls.param)
        if "bias_term" not in param.DESCRIPTOR.fields_by_name:
            raise UnsupportedError("normalisation would give it a bias, which its type has not")
        param.ClearField("bias_term")  # true is the default
    return layer
