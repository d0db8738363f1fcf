"""CapsNet's layers that cannot be computed."""

from __future__ import annotations

from caffe_layers.base.refused import Refused


class Cap(Refused, type="Cap", fork="capsnet", param="cap_param"):
    """Dynamic routing, three times.

    Caffe: chenzhenhua986/CAFFE-CapsNet at cb0e272, src/caffe/layers/cap_layer.cu
    """

    why = (
        "its agreements are never set back, so that a result depends on all passes before it; and "
        "the CPU's code computes nothing"
    )
    fix = "CapsuleTransform and CapsuleRouting took its place in its repository"


class DynamicRouting(Refused, type="DynamicRouting", fork="capsnet", param="dr_param"):
    """Dynamic routing.

    Caffe: chenzhenhua986/CAFFE-CapsNet at cb0e272, src/caffe/layers/dynamic_routing_layer.cpp
    """

    why = "its published source computes nothing: what it had is in a comment, and not whole"
    fix = "pass the layer's own code with --layers, or use CapsuleRouting"
