"""The networks of SKNet's Table 2, and their relatives, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from inspect import Parameter, signature
from typing import Any, NamedTuple

from prototxt.errors import UnsupportedError

from . import (
    attention,
    bam,
    cbam,
    dpn,
    inception_resnet_v2,
    inception_v3,
    inception_v4,
    resnext,
    senet,
    sknet,
)
from .definition import Definition


class Network(NamedTuple):
    """What builds a network, and the function whose keywords are its options."""

    build: Callable[..., Definition]
    family: Callable[..., Definition]

    @property
    def options(self) -> Mapping[str, Parameter]:
        """The options by name; what is a function itself is no option."""
        return {
            name: parameter
            for name, parameter in signature(self.family).parameters.items()
            if parameter.kind is Parameter.KEYWORD_ONLY and "Unit" not in parameter.annotation
        }


NETWORKS: dict[str, Network] = {
    "sknet50": Network(sknet.sknet50, sknet.sknet),
    "sknet101": Network(sknet.sknet101, sknet.sknet),
    "resnext50": Network(resnext.resnext50, resnext.resnext),
    "resnext101": Network(resnext.resnext101, resnext.resnext),
    "se_resnet50": Network(senet.se_resnet50, senet.senet),
    "se_resnet101": Network(senet.se_resnet101, senet.senet),
    "se_resnet152": Network(senet.se_resnet152, senet.senet),
    "se_resnext50": Network(senet.se_resnext50, senet.senet),
    "se_resnext101": Network(senet.se_resnext101, senet.senet),
    "senet154": Network(senet.senet154, senet.senet),
    "bam_resnext50": Network(bam.bam_resnext50, resnext.resnext),
    "bam_resnext101": Network(bam.bam_resnext101, resnext.resnext),
    "cbam_resnext50": Network(cbam.cbam_resnext50, resnext.resnext),
    "cbam_resnext101": Network(cbam.cbam_resnext101, resnext.resnext),
    "dpn92": Network(dpn.dpn92, dpn.dpn),
    "dpn98": Network(dpn.dpn98, dpn.dpn),
    "inception_v3": Network(inception_v3.inception_v3, inception_v3.inception_v3),
    "inception_v4": Network(inception_v4.inception_v4, inception_v4.inception_v4),
    "inception_resnet_v2": Network(
        inception_resnet_v2.inception_resnet_v2, inception_resnet_v2.inception_resnet_v2
    ),
    "attention56": Network(attention.attention56, attention.attention),
    "attention92": Network(attention.attention92, attention.attention),
    "attentionnext56": Network(attention.attentionnext56, attention.attention),
}


Setting = bool | int | Sequence[int] | None
"""What an option of a network may be."""

FIXED = ("data", "layers")  # options that have as many numbers as their defaults


def build(name: str, **options: Setting) -> Definition:
    """Return the definition of a network: `str()` of it is its prototxt.

    Raises UnsupportedError for a name, an option or a value that is not there.
    """
    if name not in NETWORKS:
        raise UnsupportedError(f"network {name!r} is unknown", fix=f"known: {', '.join(NETWORKS)}")
    network = NETWORKS[name]
    for option, value in options.items():
        if option not in network.options:
            known = ", ".join(network.options)
            raise UnsupportedError(f"{name} has no option {option!r}", fix=f"known: {known}")
        known_kind, default = network.options[option].annotation, network.options[option].default
        if not _fits(value, known_kind):
            wants = known_kind if known_kind == "bool" else f"{known_kind}, each 1 or more"
            raise UnsupportedError(f"{name}'s {option} is {value!r}, wants {wants}")
        if option in FIXED and isinstance(value, Sequence) and len(value) != len(default):
            raise UnsupportedError(f"{name}'s {option} {value} wants {len(default)} numbers")
    return network.build(**options)


def _fits(value: Any, kind: str) -> bool:
    """Tell whether a value is of an annotated kind: flags, positive numbers, or rows of them."""
    if isinstance(value, bool) or kind == "bool":
        return isinstance(value, bool) and kind == "bool"
    if value is None:
        return "None" in kind
    if isinstance(value, (tuple, list)):
        return "Sequence" in kind and bool(value) and all(_fits(each, "int") for each in value)
    return isinstance(value, int) and value > 0 and "int" in kind.replace("Sequence[int]", "")
