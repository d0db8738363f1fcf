"""ONNX's operators as a layer's `onnx` writes them, typed: a misspelt one is mypy's error.

Names, inputs and attributes are onnx's own, of opsets 13 to 28 together; what an opset lacks the
builder refuses. Inputs are names of values, "" for one that is left out; an attribute that is None
is not written. Each returns the name of its output, or of several as many as `outputs` says.
"""

# ruff: noqa: N802, N803  # ONNX's names

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol, overload

from google.protobuf.message import Message

Attribute = str | float | Sequence[str] | Sequence[float] | Message | None
"""What an attribute of a node may be; a tensor and a graph are onnx's messages."""


class Unary(Protocol):
    def __call__(self, x: str, /, *, name: str = "") -> str: ...


class Binary(Protocol):
    def __call__(self, a: str, b: str, /, *, name: str = "") -> str: ...


class Ternary(Protocol):
    def __call__(self, a: str, b: str, c: str, /, *, name: str = "") -> str: ...


class Variadic(Protocol):
    def __call__(self, *inputs: str, name: str = "") -> str: ...


class Reduction(Protocol):
    """Its axes are an input or an attribute, as the opset wants: see `Op.reduce`."""

    def __call__(
        self,
        data: str,
        axes_value: str = "",
        /,
        *,
        axes: Sequence[int] | None = None,
        keepdims: int | None = None,
        noop_with_empty_axes: int | None = None,
        name: str = "",
    ) -> str: ...


class Other(Protocol):
    """An operator with attributes that no layer here uses: the builder checks them."""

    def __call__(self, *inputs: str, name: str = "", **attributes: Attribute) -> str: ...


class OtherOfSeveral(Protocol):
    """The same with several outputs."""

    @overload  # of both the first that fits is meant
    def __call__(  # type: ignore[overload-overlap]
        self, *inputs: str, outputs: Literal[1] = 1, name: str = "", **attributes: Attribute
    ) -> str: ...
    @overload
    def __call__(
        self, *inputs: str, outputs: int, name: str = "", **attributes: Attribute
    ) -> tuple[str, ...]: ...


class Operators(Protocol):
    """A method for each operator; `name` replaces its type in the name of its output."""

    Abs: Unary
    Acos: Unary
    Acosh: Unary
    Asin: Unary
    Asinh: Unary
    Atan: Unary
    Atanh: Unary
    BitwiseNot: Unary
    Ceil: Unary
    Cos: Unary
    Cosh: Unary
    Det: Unary
    Erf: Unary
    Exp: Unary
    Floor: Unary
    GlobalAveragePool: Unary
    GlobalMaxPool: Unary
    HardSwish: Unary
    Identity: Unary
    IsNaN: Unary
    Log: Unary
    Mish: Unary
    Neg: Unary
    NonZero: Unary
    Not: Unary
    OptionalGetElement: Unary
    Reciprocal: Unary
    Relu: Unary
    Round: Unary
    SequenceLength: Unary
    Sigmoid: Unary
    Sign: Unary
    Sin: Unary
    Sinh: Unary
    Size: Unary
    Softplus: Unary
    Softsign: Unary
    Sqrt: Unary
    Tan: Unary
    Tanh: Unary

    Add: Binary
    And: Binary
    BitwiseAnd: Binary
    BitwiseOr: Binary
    BitwiseXor: Binary
    Div: Binary
    Equal: Binary
    Expand: Binary
    Greater: Binary
    GreaterOrEqual: Binary
    Less: Binary
    LessOrEqual: Binary
    MatMul: Binary
    Mul: Binary
    Or: Binary
    PRelu: Binary
    Pow: Binary
    SequenceAt: Binary
    StringConcat: Binary
    Sub: Binary
    Tile: Binary
    Unsqueeze: Binary
    Xor: Binary

    Where: Ternary

    Max: Variadic
    Mean: Variadic
    Min: Variadic
    SequenceConstruct: Variadic
    Sum: Variadic

    ReduceL1: Reduction
    ReduceL2: Reduction
    ReduceLogSum: Reduction
    ReduceLogSumExp: Reduction
    ReduceMax: Reduction
    ReduceMean: Reduction
    ReduceMin: Reduction
    ReduceProd: Reduction
    ReduceSum: Reduction
    ReduceSumSquare: Reduction

    AffineGrid: Other
    ArgMin: Other
    Bernoulli: Other
    BitCast: Other
    BitShift: Other
    BlackmanWindow: Other
    CastLike: Other
    Celu: Other
    CenterCropPad: Other
    Col2Im: Other
    ConcatFromSequence: Other
    Constant: Other
    ConstantOfShape: Other
    ConvInteger: Other
    CumProd: Other
    DFT: Other
    DequantizeLinear: Other
    Gelu: Other
    GlobalLpPool: Other
    GridSample: Other
    GroupNormalization: Other
    HammingWindow: Other
    HannWindow: Other
    Hardmax: Other
    ImageDecoder: Other
    InstanceNormalization: Other
    IsInf: Other
    LpNormalization: Other
    LpPool: Other
    MatMulInteger: Other
    MaxUnpool: Other
    MeanVarianceNormalization: Other
    MelWeightMatrix: Other
    Multinomial: Other
    NegativeLogLikelihoodLoss: Other
    OneHot: Other
    Optional: Other
    OptionalHasElement: Other
    QLinearConv: Other
    QLinearMatMul: Other
    QuantizeLinear: Other
    RMSNormalization: Other
    RandomNormal: Other
    RandomNormalLike: Other
    RandomUniform: Other
    RandomUniformLike: Other
    RegexFullMatch: Other
    ReverseSequence: Other
    RoiAlign: Other
    RotaryEmbedding: Other
    STFT: Other
    Selu: Other
    SequenceEmpty: Other
    SequenceErase: Other
    SequenceInsert: Other
    Shrink: Other
    SplitToSequence: Other
    StringNormalizer: Other
    SwiGLU: Other
    Swish: Other
    TensorScatter: Other
    TfIdfVectorizer: Other
    ThresholdedRelu: Other
    Trilu: Other

    Attention: OtherOfSeveral
    CausalConvWithState: OtherOfSeveral
    DynamicQuantizeLinear: OtherOfSeveral
    GRU: OtherOfSeveral
    If: OtherOfSeveral
    LSTM: OtherOfSeveral
    LayerNormalization: OtherOfSeveral
    LinearAttention: OtherOfSeveral
    Loop: OtherOfSeveral
    RNN: OtherOfSeveral
    SequenceMap: OtherOfSeveral
    SoftmaxCrossEntropyLoss: OtherOfSeveral
    StringSplit: OtherOfSeveral
    Unique: OtherOfSeveral

    def ArgMax(
        self,
        data: str,
        /,
        *,
        axis: int | None = None,
        keepdims: int | None = None,
        select_last_index: int | None = None,
        name: str = "",
    ) -> str: ...
    def AveragePool(
        self,
        x: str,
        /,
        *,
        auto_pad: str | None = None,
        ceil_mode: int | None = None,
        count_include_pad: int | None = None,
        dilations: Sequence[int] | None = None,
        kernel_shape: Sequence[int] | None = None,
        pads: Sequence[int] | None = None,
        strides: Sequence[int] | None = None,
        name: str = "",
    ) -> str: ...
    def BatchNormalization(
        self,
        x: str,
        scale: str,
        b: str,
        mean: str,
        var: str,
        /,
        *,
        epsilon: float | None = None,
        name: str = "",
    ) -> str: ...
    def Cast(
        self,
        input: str,
        /,
        *,
        round_mode: str | None = None,
        saturate: int | None = None,
        to: int | None = None,
        name: str = "",
    ) -> str: ...
    def Clip(self, input: str, min: str = "", max: str = "", /, *, name: str = "") -> str: ...
    def Compress(
        self, input: str, condition: str, /, *, axis: int | None = None, name: str = ""
    ) -> str: ...
    def Concat(self, *inputs: str, axis: int | None = None, name: str = "") -> str: ...
    def Conv(
        self,
        x: str,
        w: str,
        b: str = "",
        /,
        *,
        auto_pad: str | None = None,
        dilations: Sequence[int] | None = None,
        group: int | None = None,
        kernel_shape: Sequence[int] | None = None,
        pads: Sequence[int] | None = None,
        strides: Sequence[int] | None = None,
        name: str = "",
    ) -> str: ...
    def ConvTranspose(
        self,
        x: str,
        w: str,
        b: str = "",
        /,
        *,
        auto_pad: str | None = None,
        dilations: Sequence[int] | None = None,
        group: int | None = None,
        kernel_shape: Sequence[int] | None = None,
        output_padding: Sequence[int] | None = None,
        output_shape: Sequence[int] | None = None,
        pads: Sequence[int] | None = None,
        strides: Sequence[int] | None = None,
        name: str = "",
    ) -> str: ...
    def CumSum(
        self,
        x: str,
        axis: str,
        /,
        *,
        exclusive: int | None = None,
        reverse: int | None = None,
        name: str = "",
    ) -> str: ...
    def DeformConv(
        self,
        x: str,
        w: str,
        offset: str,
        b: str = "",
        mask: str = "",
        /,
        *,
        dilations: Sequence[int] | None = None,
        group: int | None = None,
        kernel_shape: Sequence[int] | None = None,
        offset_group: int | None = None,
        pads: Sequence[int] | None = None,
        strides: Sequence[int] | None = None,
        name: str = "",
    ) -> str: ...
    def DepthToSpace(
        self,
        input: str,
        /,
        *,
        blocksize: int | None = None,
        mode: str | None = None,
        name: str = "",
    ) -> str: ...
    def Dropout(
        self, data: str, ratio: str = "", training_mode: str = "", /, *, name: str = ""
    ) -> str: ...
    def Einsum(self, *inputs: str, equation: str | None = None, name: str = "") -> str: ...
    def Elu(self, x: str, /, *, alpha: float | None = None, name: str = "") -> str: ...
    def EyeLike(self, input: str, /, *, k: int | None = None, name: str = "") -> str: ...
    def Flatten(self, input: str, /, *, axis: int | None = None, name: str = "") -> str: ...
    def Gather(
        self, data: str, indices: str, /, *, axis: int | None = None, name: str = ""
    ) -> str: ...
    def GatherElements(
        self, data: str, indices: str, /, *, axis: int | None = None, name: str = ""
    ) -> str: ...
    def GatherND(
        self, data: str, indices: str, /, *, batch_dims: int | None = None, name: str = ""
    ) -> str: ...
    def Gemm(
        self,
        a: str,
        b: str,
        c: str = "",
        /,
        *,
        alpha: float | None = None,
        beta: float | None = None,
        transA: int | None = None,
        transB: int | None = None,
        name: str = "",
    ) -> str: ...
    def HardSigmoid(
        self, x: str, /, *, alpha: float | None = None, beta: float | None = None, name: str = ""
    ) -> str: ...
    def LRN(
        self,
        x: str,
        /,
        *,
        alpha: float | None = None,
        beta: float | None = None,
        bias: float | None = None,
        size: int | None = None,
        name: str = "",
    ) -> str: ...
    def LeakyRelu(self, x: str, /, *, alpha: float | None = None, name: str = "") -> str: ...
    def LogSoftmax(self, input: str, /, *, axis: int | None = None, name: str = "") -> str: ...
    @overload
    def MaxPool(
        self,
        x: str,
        /,
        *,
        outputs: Literal[2],
        auto_pad: str | None = None,
        ceil_mode: int | None = None,
        dilations: Sequence[int] | None = None,
        kernel_shape: Sequence[int] | None = None,
        pads: Sequence[int] | None = None,
        strides: Sequence[int] | None = None,
        name: str = "",
    ) -> tuple[str, str]: ...
    @overload
    def MaxPool(
        self,
        x: str,
        /,
        *,
        auto_pad: str | None = None,
        ceil_mode: int | None = None,
        dilations: Sequence[int] | None = None,
        kernel_shape: Sequence[int] | None = None,
        pads: Sequence[int] | None = None,
        strides: Sequence[int] | None = None,
        name: str = "",
    ) -> str: ...
    def MaxRoiPool(
        self,
        x: str,
        rois: str,
        /,
        *,
        pooled_shape: Sequence[int] | None = None,
        spatial_scale: float | None = None,
        name: str = "",
    ) -> str: ...
    def Mod(self, a: str, b: str, /, *, fmod: int | None = None, name: str = "") -> str: ...
    def NonMaxSuppression(
        self,
        boxes: str,
        scores: str,
        max_output_boxes_per_class: str = "",
        iou_threshold: str = "",
        score_threshold: str = "",
        /,
        *,
        center_point_box: int | None = None,
        name: str = "",
    ) -> str: ...
    def Pad(
        self,
        data: str,
        pads: str,
        constant_value: str = "",
        axes: str = "",
        /,
        *,
        mode: str | None = None,
        name: str = "",
    ) -> str: ...
    def Range(
        self,
        start: str,
        limit: str,
        delta: str,
        /,
        *,
        stash_type: int | None = None,
        name: str = "",
    ) -> str: ...
    def Reshape(
        self, data: str, shape: str, /, *, allowzero: int | None = None, name: str = ""
    ) -> str: ...
    def Resize(
        self,
        x: str,
        roi: str = "",
        scales: str = "",
        sizes: str = "",
        /,
        *,
        antialias: int | None = None,
        axes: Sequence[int] | None = None,
        coordinate_transformation_mode: str | None = None,
        cubic_coeff_a: float | None = None,
        exclude_outside: int | None = None,
        extrapolation_value: float | None = None,
        keep_aspect_ratio_policy: str | None = None,
        mode: str | None = None,
        nearest_mode: str | None = None,
        name: str = "",
    ) -> str: ...
    def ScatterElements(
        self,
        data: str,
        indices: str,
        updates: str,
        /,
        *,
        axis: int | None = None,
        reduction: str | None = None,
        name: str = "",
    ) -> str: ...
    def ScatterND(
        self,
        data: str,
        indices: str,
        updates: str,
        /,
        *,
        reduction: str | None = None,
        name: str = "",
    ) -> str: ...
    def Shape(
        self, data: str, /, *, end: int | None = None, start: int | None = None, name: str = ""
    ) -> str: ...
    def Slice(
        self,
        data: str,
        starts: str,
        ends: str,
        axes: str = "",
        steps: str = "",
        /,
        *,
        name: str = "",
    ) -> str: ...
    def Softmax(self, input: str, /, *, axis: int | None = None, name: str = "") -> str: ...
    def SpaceToDepth(
        self,
        input: str,
        /,
        *,
        blocksize: int | None = None,
        mode: str | None = None,
        name: str = "",
    ) -> str: ...
    def Split(
        self,
        input: str,
        split: str = "",
        /,
        *,
        outputs: int,
        axis: int | None = None,
        num_outputs: int | None = None,
        name: str = "",
    ) -> tuple[str, ...]: ...
    def Squeeze(self, data: str, axes: str = "", /, *, name: str = "") -> str: ...
    def TopK(
        self,
        x: str,
        k: str,
        /,
        *,
        axis: int | None = None,
        largest: int | None = None,
        sorted: int | None = None,
        name: str = "",
    ) -> tuple[str, str]: ...
    def Transpose(
        self, data: str, /, *, perm: Sequence[int] | None = None, name: str = ""
    ) -> str: ...
