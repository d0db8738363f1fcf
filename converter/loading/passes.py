"""What a definition goes through between its file and its network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from caffe_layers import Shape
from caffe_layers.base.layer import DEFAULT, Registry
from caffe_layers.base.message import is_set
from prototxt import Net, Weights, filter_net
from prototxt.errors import CaffeError, within
from prototxt.faults import Fault
from prototxt.passes.align_crops import align_crops
from prototxt.passes.end_at import end_at
from prototxt.passes.filter import refuse_idle
from prototxt.passes.merged_scale import merge_scales
from prototxt.passes.saved_form import unstamp
from prototxt.passes.skip_layers import skip_layers
from prototxt.schema import dialect_of
from prototxt.schema.defaults import other_defaults, shown
from prototxt.schema.recognize import certain, decisive
from prototxt.upgrade import declare_shapeless

from .deploy import deploy
from .feed_tops import feed_tops
from .options import Phase
from .source_inputs import drop_unread_tops
from .training_only import pass_over_training


@dataclass(frozen=True)
class Request:
    """What is asked of a definition, and what is known beside it."""

    phase: Phase = "TEST"
    level: int = 0
    stages: tuple[str, ...] = ()
    input_shapes: Mapping[str, Shape] = field(default_factory=dict)
    values: Mapping[str, str] = field(default_factory=dict)
    weights: Sequence[Weights] = ()
    dialect: str | None = None
    registry: Registry = field(default_factory=lambda: DEFAULT)
    deploy: bool = False
    skip: Sequence[str] = ()
    end: Sequence[str] = ()
    weightless: bool = False

    @property
    def trains(self) -> bool:
        """Tell whether it is a network that is trained, losses and all."""
        return self.phase == "TRAIN" and not self.deploy


Pass = Callable[[Net, Request], tuple[Net, list[str]]]
"""Returns the network rewritten, and in sentences what a reader of it should know."""


def rewrite(net: Net, request: Request) -> tuple[Net, list[str]]:
    """Return a definition as read in the form that a network is built of, and notes on the way.

    Raises CaffeError, with the file's name, where a pass refuses it.
    """
    notes: list[str] = []
    for run in PASSES:
        net, said = run(net, request)
        notes += said
    return net, notes


def rewrite_as_far(net: Net, request: Request) -> tuple[Net, list[str], list[CaffeError]]:
    """Return what `rewrite` does without the passes that refuse the definition, and their errors.

    What did not read of a layer stays among the Net's faults.
    """
    notes: list[str] = []
    errors: list[CaffeError] = []
    for run in PASSES:
        try:
            if run is not refuse_faults:
                net, said = run(net, request)
                notes += said
        except CaffeError as error:
            errors.append(error)
    present = _present(net)
    errors += [fault.error() for fault in _faults(net) if fault not in present]
    return net, notes, errors


def passed_over(net: Net) -> list[str]:
    """Say each field that no schema knows, and that was not read because the caller allowed it."""
    return [f"passed over, as allowed: {field}" for field in net.unknown]


def note_schemas(net: Net, request: Request) -> tuple[Net, list[str]]:
    """Say which schemas read the files beside the shipped ones."""
    return net, net.schema.notes


def note_unknown(net: Net, request: Request) -> tuple[Net, list[str]]:
    """Say which fields nobody reads."""
    return net, passed_over(net)


def note_values(net: Net, request: Request) -> tuple[Net, list[str]]:
    """Say what the template's placeholders stand for: its text is filled in as it is read."""
    said = ", ".join(f"{name}={value}" for name, value in request.values.items())
    return net, [f"the definition is a template, filled in with {said}"] if said else []


def remove_stamps(net: Net, request: Request) -> tuple[Net, list[str]]:
    """Remove from a saved network the phase of the run that saved it."""
    saved = net.file is not None and net.file.form == "binary"
    return unstamp(net) if saved else net, []


def pick_layers(net: Net, request: Request) -> tuple[Net, list[str]]:
    """Keep the layers of the phase, the level and the stages."""
    refuse_idle(net, request.level, request.stages)
    return filter_net(net, request.phase, request.level, request.stages), []


def skip(net: Net, request: Request) -> tuple[Net, list[str]]:
    """Leave out the layers that are the identity by the caller's word."""
    return skip_layers(net, request.skip)


def end(net: Net, request: Request) -> tuple[Net, list[str]]:
    """End the network at the blobs that the caller names."""
    if not request.end:
        return net, []
    ended, notes = end_at(net, request.end)
    ended, unread = drop_unread_tops(ended, request.registry, request.dialect)
    return ended, [*notes, *unread]


def feed(net: Net, request: Request) -> tuple[Net, list[str]]:
    """Put inputs in the place of layers that nobody here runs, where their shapes are given.

    Of those that bring data `pass_over` makes inputs, unless something is trained.
    """
    shapes, sources = request.input_shapes, request.trains
    return feed_tops(net, shapes, request.registry, request.dialect, sources=sources)


def declare_inputs(net: Net, request: Request) -> tuple[Net, list[str]]:
    """Put an Input layer in front for each input that no layer makes."""
    return declare_shapeless(net, request.input_shapes), []


def keep_deployable(net: Net, request: Request) -> tuple[Net, list[str]]:
    """Keep what predicts, if that is asked for."""
    if not request.deploy:
        return net, []
    kept, notes = deploy(net, request.registry, dialect=request.dialect)
    present = _faults(kept)
    gone = [fault for fault in _faults(net) if fault not in present]
    return kept, [*notes, *(f"passed over, left out: {one.place}: {one.what}" for one in gone)]


def pass_over(net: Net, request: Request) -> tuple[Net, list[str]]:
    """Pass over what only training needs, where nothing is trained."""
    if request.trains:
        return net, []
    filled = bool(request.weights) or request.weightless
    return pass_over_training(
        net, request.registry, request.dialect, filled=filled, given=request.input_shapes
    )


def refuse_faults(net: Net, request: Request) -> tuple[Net, list[str]]:
    """Refuse a network of which something did not read, and was not passed over."""
    for fault in _faults(net):
        raise fault.error()
    return net, []


def _faults(net: Net) -> list[Fault]:
    """Return the faults of a filtered network; those of a rule may be why a layer is not in it."""
    present = _present(net)
    return [
        fault
        for fault in net.faults
        if fault in present or not fault.messages or "NetStateRule" in fault.messages
    ]


def _present(net: Net) -> list[Fault]:
    return [fault for index in range(len(net.layers)) for fault in net.faults_of(index)]


def align(net: Net, request: Request) -> tuple[Net, list[str]]:
    """Give the Crop layers of older files the offsets that coordinate maps say."""
    with within(net.source):
        return align_crops(net, request.dialect)


def note_zooms(net: Net, request: Request) -> tuple[Net, list[str]]:
    """Say how Interp's zoom_factor is read, where nothing tells which of two ways is meant."""
    if request.dialect is not None or "pspnet" in certain(net.dialects, net.schema):
        return net, []
    zooms = [
        layer.name
        for layer in net.layers
        if layer.type == "Interp"
        and layer.interp_param.zoom_factor > 1
        and not layer.interp_param.HasField("shrink_factor")
    ]
    if not zooms:
        return net, []
    return net, [
        f"{len(zooms)} Interp layers from {zooms[0]!r} on have a zoom_factor z, and make "
        "(H - 1) z + 1 rows of H, as DeepLab's and PSPNet's; --dialect openvino makes H z, as "
        "Intel's networks want"
    ]


def note_defaults(net: Net, request: Request) -> tuple[Net, list[str]]:
    """Say which fields that are not set mean another thing in the schema beside the file."""
    found: dict[tuple[str, str, str, str], list[str]] = {}
    meant = decisive(net.dialects, net.schema, request.dialect)
    for one in () if meant else net.schema.found.values():
        for layer in net.layers:
            readings = request.registry.layers.get(layer.type, {})
            param = next((cls.param for cls in readings.values()), "")
            for path, value in other_defaults(layer, one, param):
                said = (".".join(path), shown(layer, path, value), one.name, dialect_of(layer))
                found.setdefault(said, []).append(f"{layer.name!r}")
    return net, [
        f"{field} is not set in {len(names)} layers from {names[0]} on, and is read as {read} has "
        f"it; it is {value} in {name}, whose schema lies beside the file: --dialect {name}"
        for (field, value, name, read), names in found.items()
    ]


def merge(net: Net, request: Request) -> tuple[Net, list[str]]:
    """Merge the Scale layers whose numbers the weights' BatchNorms hold."""
    return merge_scales(net, request.weights), []


def note_quantization(net: Net, request: Request) -> tuple[Net, list[str]]:
    """Say that Intel's layers of 8 bits compute in floats here."""
    quantized = [layer.name for layer in net.layers if is_set(layer, "quantization_param")]
    if not quantized:
        return net, []
    return net, [
        f"{len(quantized)} layers from {quantized[0]!r} on have a quantization_param: this is the "
        "float network, not what their 8 bits round it to (as ONNX: --dtype int8)"
    ]


PASSES: tuple[Pass, ...] = (
    note_schemas,  # what all that follows was read by: said first
    note_unknown,  # of all that was read, as written
    note_values,  # said next, as it concerns the whole text; it changes nothing
    remove_stamps,  # told by all layers of the file; and a layer's phase decides what it reads
    pick_layers,  # all that follows is about the layers that run
    skip,  # of the layers that run; before the end, which names blobs as they are then
    end,  # what a layer makes beyond it need not be fed
    feed,  # of the layers that are left, which their tops' readers say
    declare_inputs,  # only now is it known which bottoms nobody makes
    keep_deployable,  # says of declared inputs too that they go
    pass_over,  # of the layers that are left, before anything reads their fields
    refuse_faults,  # what follows reads all fields
    align,  # a Crop that goes, as labels' do, need not lead to a common origin
    note_zooms,  # of the layers that are left; like the next, its place here orders notes alone
    note_defaults,  # of the layers that are left, a Scale that is merged among them
    merge,  # by who reads a BatchNorm: a layer that is left out does not
    note_quantization,  # of the layers that are left: a Scale that is merged is none
)
