"""What is known of a network, whatever stands between it and its module."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from typing_extensions import Unpack

from converter.loading.load import load
from converter.loading.options import LoadOptions, as_names, as_phase, as_shapes
from converter.loading.passes import Request, rewrite_as_far
from converter.loading.read import read_model
from converter.loading.user_layers import registry_of
from converter.network.net import CaffeNet
from converter.network.summary import Row, Summary, summary_of
from prototxt import Net, Weights
from prototxt.errors import CaffeError
from prototxt.paths import PathName

from .suggest import Suggestions
from .walk import UNSEEN, Part


@dataclass(frozen=True)
class Survey:
    """A network's files, each read once, and what becomes of them.

    `net` is the definition as far as it was rewritten, `notes` are of that, and `errors` those of
    the passes that refused it.
    """

    definition: Net
    files: Sequence[Weights]
    net: Net
    notes: Sequence[str]
    errors: Sequence[CaffeError]
    request: Request
    options: LoadOptions

    @cached_property
    def parts(self) -> list[Part]:
        """Each layer, built if that can be."""
        parts = self.suggestions.parts(self.request.input_shapes)
        self.suggestions.advise(parts)
        return parts

    @property
    def suggestions(self) -> Suggestions:
        """What would be given for the inputs whose shapes the file does not say."""
        return Suggestions(self.definition, self.net, self.files, self.request)

    def load(self) -> CaffeNet:
        """Return the network without any memory for blobs that have no weights."""
        return load(self.definition, self.files, **self.options)

    def causes(self) -> list[str]:
        """Return why layers are not known, each reason once."""
        return causes(
            (part.layer.name, written_type(part, self.net), part.reason) for part in self.parts
        )

    def summary(self) -> Summary:
        """Return the table of the layers, with what is known of them."""
        rows = [
            Row(
                part.layer.name,
                written_type(part, self.net),
                part.module,
                part.bottoms,
                dict(part.tops),
            )
            for part in self.parts
        ]
        inputs = {
            name: shape
            for part in self.parts
            if part.cls is not None and part.cls.is_source
            for name, shape in part.tops.items()
            if shape is not None
        }
        return summary_of(self.net.name, inputs, rows)


def survey(
    net: PathName,
    weights: PathName | Sequence[PathName] | None = None,
    **options: Unpack[LoadOptions],
) -> Survey:
    """Return what is known of a network; `options` are those of `load`.

    Raises FormatError for files that cannot be read at all.
    """
    registry = registry_of(options.get("layers"), proto=options.get("proto"), near=net)
    stages = as_names(options.get("stages", ()))
    dialect = options.get("dialect")
    values = options.get("values") or {}
    definition, files = read_model(
        net,
        weights,
        schema=registry.schema,
        dialect=dialect,
        allow_unknown=options.get("allow_unknown", False),
        values=values,
    )
    request = Request(
        phase=as_phase(options.get("phase", "TEST")),
        level=options.get("level", 0),
        stages=stages,
        input_shapes=as_shapes(options.get("input_shapes")),
        values=values,
        weights=files,
        dialect=dialect,
        registry=registry,
        deploy=options.get("deploy", False),
        skip=as_names(options.get("skip", ())),
        end=as_names(options.get("end", ())),
        weightless=True,
    )
    rewritten, notes, errors = rewrite_as_far(definition, request)
    loading: LoadOptions = {
        **options,
        "stages": stages,
        "skip": request.skip,
        "end": request.end,
        "layers": registry,
        "values": None,
        "weightless": True,
    }
    return Survey(definition, files, rewritten, notes, errors, request, loading)


def causes(reasons: Iterable[tuple[str, str, str]]) -> list[str]:
    """Return each reason once, of layers given as name, type and reason; "" is none.

    The last line counts those that are UNSEEN.
    """
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    unseen = 0
    for name, kind, reason in reasons:
        if reason == UNSEEN:
            unseen += 1
        elif reason:
            found[kind, reason].append(name)
    lines = []
    for (kind, reason), names in found.items():
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        lines.append(f"layer {names[0]!r}{more} ({kind}): {reason}")
    if unseen:
        lines.append(f"{UNSEEN}, for want of what the layers above would make: {unseen}")
    return lines


def written_type(part: Part, net: Net) -> str:
    """Return a layer's type, as the file has it where no schema knows it."""
    faults = net.faults_of(part.index)
    return str(part.layer.type) or next((fault.type for fault in faults), "")
