"""A network definition under construction, and its text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypedDict, Union

WIDTH = 80  # a message of plain values that fits in this many columns stays on one line


class Word(str):
    """An enum's value: text writes it without quotes."""


Value = Union[bool, int, float, str, "Mapping[str, Value]", "Sequence[Value]"]
Message = Mapping[str, Value]

ONCE = {"lr_mult": 1, "decay_mult": 1}
NO_DECAY = {"lr_mult": 1, "decay_mult": 0}
FROZEN = {"lr_mult": 0, "decay_mult": 0}
TWICE_NO_DECAY = {"lr_mult": 2, "decay_mult": 0}

MSRA = {"type": "msra"}


def constant(value: float) -> Message:
    """Return the filler that sets every weight to one value."""
    return {"type": "constant", "value": value}


def gaussian(std: float) -> Message:
    """Return the filler that draws from a normal distribution of mean 0."""
    return {"type": "gaussian", "std": std}


class ConvolutionOptions(TypedDict, total=False):
    """What a convolution is told beside its sizes: `Definition.convolution`'s keywords."""

    stride: int
    pad: int | tuple[int, int]
    dilation: int
    group: int
    bias_term: bool
    weight_filler: Message


class Definition:
    """A network definition to which layers are added in Caffe's order.

    Each method adds one layer, whose name is also its top's unless it says otherwise, and gives
    back the top, so that a network is written as a chain of calls. `name` and `bottom` are always
    the first two arguments; the others are the fields of the layer's message.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.layers: list[Message] = []

    def layer(
        self,
        name: str,
        type: str,
        bottoms: Sequence[str] = (),
        tops: Sequence[str] | None = None,
        **fields: Value,
    ) -> str:
        """Add any layer; a field that is empty (`()`, `{}`) is left out. Gives the first top."""
        tops = [name] if tops is None else tops
        layer: dict[str, Value] = {"name": name, "type": type, "bottom": bottoms, "top": tops}
        self.layers.append(layer | fields)
        return tops[0]

    def input(self, name: str, **shapes: Sequence[int]) -> None:
        """Add the network's inputs, each a blob with its shape."""
        dims = [{"dim": shape} for shape in shapes.values()]
        self.layer(name, "Input", tops=list(shapes), input_param={"shape": dims})

    def data(
        self,
        name: str,
        source: str,
        batch_size: int,
        *,
        phase: str,
        scale: float = 1.0,
        crop_size: int = 0,
    ) -> str:
        """Add a layer that reads images and labels from an LMDB, in one phase."""
        transform: Message = {"scale": scale} | ({"crop_size": crop_size} if crop_size else {})
        return self.layer(
            name,
            "Data",
            tops=["data", "label"],
            include={"phase": Word(phase)},
            transform_param=transform,
            data_param={"source": source, "batch_size": batch_size, "backend": Word("LMDB")},
        )

    def convolution(
        self,
        name: str,
        bottom: str,
        num_output: int,
        kernel_size: int | tuple[int, int],
        *,
        stride: int = 1,
        pad: int | tuple[int, int] = 0,
        dilation: int = 1,
        group: int = 1,
        bias_term: bool = False,
        weight_filler: Message = MSRA,
    ) -> str:
        """Add a convolution; a pair of kernel sizes or pads is height and width."""
        param: dict[str, Value] = {"num_output": num_output, "bias_term": bias_term}
        if pad not in (0, (0, 0)):
            param |= sides("pad", pad)
        param |= sides("kernel", kernel_size, "kernel_size")
        if group != 1:
            param["group"] = group
        param |= {"stride": stride, "weight_filler": weight_filler}
        if dilation != 1:
            param["dilation"] = dilation
        if bias_term:
            param["bias_filler"] = constant(0)
        rows = [ONCE, TWICE_NO_DECAY] if bias_term else [ONCE]
        return self.layer(name, "Convolution", [bottom], param=rows, convolution_param=param)

    def cudnn_batch_norm(self, name: str, bottom: str, momentum: float) -> str:
        """Add SKNet's batch normalisation, which scales and shifts too."""
        return self.layer(
            name,
            "CuDNNBatchNorm",
            [bottom],
            param=[NO_DECAY, NO_DECAY, FROZEN, FROZEN],
            batch_norm_param={
                "frozen": False,
                "momentum": momentum,
                "scale_filler": constant(1),
                "bias_filler": constant(0),
            },
        )

    def relu(self, name: str, bottom: str) -> str:
        """Add a ReLU that writes in place: its top is `bottom`."""
        return self.layer(name, "ReLU", [bottom], [bottom])

    def sigmoid(self, name: str, bottom: str) -> str:
        """Add a Sigmoid."""
        return self.layer(name, "Sigmoid", [bottom])

    def dropout(self, name: str, bottom: str, dropout_ratio: float) -> str:
        """Add a Dropout that writes in place: its top is `bottom`."""
        param = {"dropout_ratio": dropout_ratio}
        return self.layer(name, "Dropout", [bottom], [bottom], dropout_param=param)

    def pooling(
        self,
        name: str,
        bottom: str,
        pool: str,
        kernel_size: int | tuple[int, int],
        stride: int,
        pad: int = 0,
        round_mode: str = "CEIL",
    ) -> str:
        """Add a pooling; `pool` is MAX or AVE, a pair of kernel sizes is height and width."""
        param: dict[str, Value] = {"pool": Word(pool)}
        param |= sides("kernel", kernel_size, "kernel_size")
        param |= {"stride": stride} | ({"pad": pad} if pad else {})
        if round_mode != "CEIL":
            param["round_mode"] = Word(round_mode)
        return self.layer(name, "Pooling", [bottom], pooling_param=param)

    def global_pooling(self, name: str, bottom: str, pool: str) -> str:
        """Add a pooling of whole channels; `pool` is MAX or AVE."""
        param: Message = {"pool": Word(pool), "engine": Word("CAFFE"), "global_pooling": True}
        return self.layer(name, "Pooling", [bottom], pooling_param=param)

    def sum(self, name: str, bottoms: Sequence[str], coeff: Sequence[float] = ()) -> str:
        """Add an Eltwise layer that sums its bottoms, each times its coefficient if there are."""
        param: Message = {"operation": Word("SUM"), "coeff": coeff}
        return self.layer(name, "Eltwise", bottoms, eltwise_param=param)

    def product(self, name: str, bottoms: Sequence[str]) -> str:
        """Add an Eltwise layer that multiplies its bottoms."""
        return self.layer(name, "Eltwise", bottoms, eltwise_param={"operation": Word("PROD")})

    def concat(self, name: str, bottoms: Sequence[str], axis: int = 1) -> str:
        """Add a Concat."""
        param = {} if axis == 1 else {"axis": axis}
        return self.layer(name, "Concat", bottoms, concat_param=param)

    def tile(self, name: str, bottom: str, tiles: int) -> str:
        """Add a Tile that repeats the channels."""
        return self.layer(name, "Tile", [bottom], tile_param={"tiles": tiles})

    def interp_like(self, name: str, bottom: str, reference: str) -> str:
        """Add a bilinear resizing to the height and width of another blob."""
        param = {"use_blob_size": True}
        return self.layer(name, "Interp", [bottom, reference], interp_param=param)

    def reshape(self, name: str, bottom: str, dims: Sequence[int]) -> str:
        """Add a Reshape; a dimension of 0 is copied, one of -1 is inferred."""
        return self.layer(name, "Reshape", [bottom], reshape_param={"shape": {"dim": dims}})

    def softmax(self, name: str, bottom: str, axis: int) -> str:
        """Add a Softmax over one axis."""
        return self.layer(name, "Softmax", [bottom], softmax_param={"axis": axis})

    def slice(self, name: str, bottom: str, tops: Sequence[str], axis: int) -> None:
        """Add a Slice that cuts `axis` into one row for each top."""
        param: Message = {"slice_point": list(range(1, len(tops))), "axis": axis}
        self.layer(name, "Slice", [bottom], tops, slice_param=param)

    def bias_by(self, name: str, bottom: str, bias: str, axis: int) -> str:
        """Add a Bias whose terms are a blob of the network, not a parameter."""
        return self.layer(name, "Bias", [bottom, bias], bias_param={"axis": axis})

    def scale_by(self, name: str, bottom: str, scale: str, axis: int) -> str:
        """Add a Scale whose factors are a blob of the network, not a parameter."""
        param = {"axis": axis, "bias_term": False}
        return self.layer(name, "Scale", [bottom, scale], scale_param=param)

    def axpy(self, name: str, a: str, x: str, y: str) -> str:
        """Add SENet's `a * x + y`, one factor a channel."""
        return self.layer(name, "Axpy", [a, x, y])

    def inner_product(self, name: str, bottom: str, num_output: int, weight_filler: Message) -> str:
        """Add a fully connected layer with bias."""
        return self.layer(
            name,
            "InnerProduct",
            [bottom],
            param=[ONCE, TWICE_NO_DECAY],
            inner_product_param={
                "num_output": num_output,
                "weight_filler": weight_filler,
                "bias_filler": constant(0),
            },
        )

    def softmax_with_loss(
        self, name: str, bottom: str, label: str, loss_weight: float = 1.0
    ) -> str:
        """Add the loss of a classifier."""
        weights = [] if loss_weight == 1 else [loss_weight]
        return self.layer(name, "SoftmaxWithLoss", [bottom, label], loss_weight=weights)

    def accuracy(self, name: str, bottom: str, label: str, top_k: int = 1) -> str:
        """Add the share of samples whose label is among the `top_k` largest scores."""
        param = {} if top_k == 1 else {"top_k": top_k}
        return self.layer(name, "Accuracy", [bottom, label], accuracy_param=param)

    def classify(self, bottom: str, num_classes: int) -> None:
        """Add scores of pooled channels, their loss and accuracies, with the blob `label`."""
        classifier = self.inner_product("classifier", bottom, num_classes, gaussian(0.01))
        self.softmax_with_loss("loss", classifier, "label")
        self.accuracy("top-1", classifier, "label")
        self.accuracy("top-5", classifier, "label", top_k=5)

    def __str__(self) -> str:
        lines = list(fields({"name": self.name}))
        for layer in self.layers:
            lines += ["layer {", *("  " + line for line in fields(layer)), "}"]
        return "".join(line + "\n" for line in lines)


def sides(name: str, sizes: int | tuple[int, int], one: str = "") -> dict[str, Value]:
    """Return the two fields of a height and a width, or the field `one` (`name`) of one number."""
    if isinstance(sizes, int):
        return {one or name: sizes}
    return {f"{name}_h": sizes[0], f"{name}_w": sizes[1]}


class SolverDefinition:
    """A solver's file: its fields as they stand."""

    def __init__(self, **fields: Value) -> None:
        self.fields = fields

    def __str__(self) -> str:
        return "".join(line + "\n" for line in fields(self.fields))


def fields(message: Message) -> Iterator[str]:
    """Yield the lines of one message, without its braces."""
    for name, value in message.items():
        if not isinstance(value, str) and isinstance(value, Sequence):
            for item in value:
                yield from field(name, item)
        elif value != {}:
            yield from field(name, value)


def field(name: str, value: Value) -> Iterator[str]:
    if not isinstance(value, Mapping):
        yield f"{name}: {literal(value)}"
        return
    lines = list(fields(value))
    line = f"{name} {{ {' '.join(lines)} }}"
    if len(line) <= WIDTH and "{" not in "".join(lines):
        yield line
        return
    yield f"{name} {{"
    yield from ("  " + each for each in lines)
    yield "}"


def literal(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) and not isinstance(value, Word):
        return f'"{value}"'
    return str(value)
