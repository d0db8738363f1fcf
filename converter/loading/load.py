"""From files to a loaded network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Literal

import torch

import caffe_layers
from caffe_layers import Shape
from caffe_layers.memory import held, reserving
from converter.network.build import Draft, draft_of
from converter.network.net import CaffeNet
from converter.network.origin import Loaded, Origin
from converter.network.plan import make_plan, running_steps
from converter.seed import SEED
from converter.text import format_shape
from prototxt import Net, Weights
from prototxt.errors import CaffeError, UsageError, WeightError, advising, within
from prototxt.paths import PathName
from prototxt.schema.protos import Protos

from .advice import Fill, advice
from .device import on_device
from .known.suggest import Suggestions, assumed_shapes
from .merge import merged_files, merging_advice
from .options import DType, Phase, Rename, as_dtype, as_names, as_phase, as_shapes
from .passes import Request, rewrite
from .prior_boxes import check_prior_boxes
from .read import read_model
from .user_layers import Layers, registry_of
from .weights import cast_weightless, fill


def load(
    net: PathName | Net,
    weights: PathName | Sequence[PathName | Weights] | None = None,
    *,
    phase: Phase | Literal["train", "test"] = "TEST",
    level: int = 0,
    stages: str | Iterable[str] = (),
    dtype: DType = torch.float32,
    device: str | torch.device | None = None,
    input_shapes: Mapping[str, Shape] | None = None,
    values: Mapping[str, str] | None = None,
    global_pool: bool = False,
    dialect: str | None = None,
    allow_unknown: bool = False,
    require_weights: bool = False,
    rename: Rename | None = None,
    ignore: str | Iterable[str] = (),
    allow_missing: bool = False,
    seed: int = SEED,
    deploy: bool = False,
    skip: str | Iterable[str] = (),
    end: str | Iterable[str] = (),
    layers: Layers = None,
    proto: Protos = None,
    weightless: bool = False,
    mapped: bool = False,
    merge_bn: bool = False,
) -> CaffeNet:
    """Return the network of a prototxt with the weights of one or more caffemodels.

    TEST networks come in `.eval()`, TRAIN ones in `.train()`. Blobs with `lr_mult: 0` have
    `requires_grad` False, but for the definition's `force_backward`. The network's `notes` say what
    was left out.

    Args:
        net: the definition, also a lone `.caffemodel`, which holds its own, or what
            `prototxt.read_net` gave.
        weights: files of weights, or what `prototxt.read_weights` gave; of several a later one
            wins. Without any the blobs get their fillers' values; in TEST statistics that no data
            have filled are mean 0 and variance 1.
        phase: "TEST" or "TRAIN": which layers there are, and what dropout and statistics do.
        level: of the rules `min_level` and `max_level`.
        stages: those that hold, of the rules `stage` and `not_stage`.
        dtype: of blobs and weights: torch's, its name or NumPy's.
        device: where they are (default: the CPU).
        input_shapes: shapes by input, in place of the file's. One for a top of a layer that nobody
            here knows, or of Python code, makes an input of it.
        values: what fills a template's placeholders, as {"NUM_LABELS": "21"}.
        global_pool: an average pool over the whole map follows other sizes of the input.
        dialect: the fork by whose reading a file is taken where several fit.
        allow_unknown: fields that no schema here has are passed over, each with a note.
        require_weights: WeightError where a layer would keep its fillers' values.
        rename: layers of the weights by the network's layers that they fill, one or several.
        ignore: layers that the weights leave unset.
        allow_missing: layers that the weights lack keep their fillers' values.
        seed: of the fillers.
        deploy: a training definition's deployable part is taken.
        skip: layers that are left out as the identity in testing, by your word.
        end: the blobs that the network ends with, its outputs.
        layers: Python files with layers of your own, for this network alone.
        proto: a fork's own `caffe.proto`, or several, by which its files are read. Without one,
            that which lies beside `net` reads what no other schema here has; "none" leaves it out.
        weightless: blobs that no weights are given for take no memory: such a network has shapes,
            and computes nothing.
        mapped: blobs of a caffemodel's floats are its very bytes, mapped: they take memory where
            they are changed, and the file has to stay as it is, unchanged and in its place, as long
            as the network is used.
        merge_bn: the definition lacks the normalisation that the weights hold: it is merged into
            the convolutions before it, as the weights' own file says. UsageError where there is
            none.

    Raises CaffeError, with the file and the place in it, for whatever is wrong.
    """
    phase, dtype, given = as_phase(phase), as_dtype(dtype), as_shapes(input_shapes)
    if isinstance(net, Net):
        registry = registry_of(layers, net.schema, proto=proto)
    else:
        registry = registry_of(layers, proto=proto, near=net)
    definition, files = read_model(
        net,
        weights,
        schema=registry.schema,
        dialect=dialect,
        allow_unknown=allow_unknown,
        values=values,
        private=mapped,
    )
    if require_weights and not files:
        raise WeightError(f"{definition.source}: no weights are given", fix="name the caffemodel")
    if not files and (rename or as_names(ignore)):
        raise UsageError("no weights are given whose layers could be mapped or ignored")
    request = Request(
        phase=phase,
        level=level,
        stages=as_names(stages),
        input_shapes=given,
        values=values or {},
        weights=files,
        dialect=dialect,
        registry=registry,
        deploy=deploy,
        skip=as_names(skip),
        end=as_names(end),
        weightless=weightless,
    )
    weightless = weightless and not files
    rewritten, notes = rewrite(definition, request)
    own = partial(load, dialect=dialect, layers=registry, allow_unknown=allow_unknown)
    merging = partial(merged_files, files, rewritten, given, own)
    if merge_bn:
        files = merging()
        notes = [*notes, "the weights' normalisation is merged into the convolutions before it"]
    suggestions = Suggestions(definition, rewritten, files, request)
    with advising(suggestions.advice), within(definition.source):
        draft = draft_of(rewritten, files, given, dialect, registry, global_pools=global_pool)
    fill_from_files = partial(
        fill,
        rename=rename,
        ignore=as_names(ignore),
        allow_missing=allow_missing,
        generator=torch.Generator().manual_seed(seed),
        weightless=weightless,
        mapped=mapped,
    )
    may_merge = not merge_bn and phase == "TEST" and not {definition.source} & _sources(files)
    filled = partial(fill_from_files, files=files)
    with (
        advising(suggestions.advice),
        advising(
            partial(merging_advice, draft, merging, fill_from_files) if may_merge else _nothing
        ),
    ):
        loaded = _build(draft, filled, dtype, weightless=weightless)
    if require_weights and loaded.missing:
        raise WeightError(
            f"{definition.source}: fillers' values are left for {', '.join(loaded.missing)}",
            fix="leave out --require-weights, or what leaves them unset",
        )
    if not files and phase == "TEST" and not weightless:
        drawn = draft.layers.items()
        loaded.drawn.extend(key for key, layer in drawn if layer.draw_statistics())
    notes += [*_assumed(draft), *_unfilled(draft), *_silenced(draft)]
    origin = Origin.of(definition, files, values, loaded, notes)
    built = draft.network(origin)
    with on_device(device):
        return built.to(device=device, dtype=dtype)


def _sources(files: Iterable[Weights]) -> set[str]:
    return {file.source for file in files}


def _nothing(error: CaffeError) -> str:
    return ""


def _assumed(draft: Draft) -> list[str]:
    """Say which inputs' shapes are only those that their layers' code begins with."""
    sources = ((step.tops, draft.layers[step.key]) for step in draft.steps if step.cls.is_source)
    shapes = assumed_shapes(sources, draft.given)
    if not shapes:
        return []
    said = ", ".join(f"{name!r} {format_shape(shape)}" for name, shape in shapes.items())
    return [f"assumed, for the data are not here: {said}; --input-shape gives theirs"]


def _unfilled(draft: Draft) -> list[str]:
    """Say which fillers are not known, and not needed either; those of a training are refused."""
    notes = []
    for step in draft.steps:
        for filler in draft.layers[step.key].unknown_fillers:
            with within(draft.definition.source), within(step.place):
                if draft.definition.phase == "TRAIN":
                    filler.require_known()
            what = f"filler type {filler.type!r}"
            notes.append(f"passed over, of training alone: {step.place}: {what}")
    return notes


def _silenced(draft: Draft) -> list[str]:
    """Say that what comes out is what the network silences."""
    plan = make_plan(running_steps(draft.steps, draft.layers, draft.input_shapes))
    if not plan.silenced:
        return []
    outputs = ", ".join(map(repr, plan.outputs))
    return [
        f"nothing comes out of the network by itself: its outputs are what it silences, {outputs}"
    ]


def _build(draft: Draft, fill_from_files: Fill, dtype: torch.dtype, *, weightless: bool) -> Loaded:
    """Build a draft's layers and set their blobs; where that fails, say what may help."""
    with caffe_layers.weightless(weightless), advising(partial(advice, draft, fill_from_files)):
        with within(draft.definition.source):
            with reserving(dtype):
                draft.build()
            check_prior_boxes(draft.steps, draft.shapes)
        if weightless:
            cast_weightless(draft.layers, dtype)
        else:
            with within(draft.definition.source), held("the network's blobs"):
                draft.layers.to(torch.float64 if dtype == torch.float64 else torch.float32)
        return fill_from_files(draft.steps, draft.layers)
