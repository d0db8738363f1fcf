"""The arguments of a layer that are fields of its message are read from it by their names."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, TypedDict

import pytest
from google.protobuf import text_format
from typing_extensions import Unpack

import caffe_layers
from caffe_layers import Filler, Layer, Shape
from caffe_layers.base.declaration import check_declarations
from caffe_layers.base.layer import Registry
from prototxt import schema
from prototxt.errors import UnsupportedError

CLASSES = [cls for readings in caffe_layers.LAYERS.values() for cls in readings.values()]
FILLER = Filler(value=0.25)


def parameter(said: str = "", dialect: str = "bvlc") -> Any:
    """Return a LayerParameter of a dialect."""
    return text_format.Parse(said, schema.dialect(dialect).message("LayerParameter")())


class Norm(Layer, param="lrn_param"):
    def __init__(self, *, local_size: int = 99, norm_region: str = "", inner: int = 7) -> None:
        super().__init__()
        self.given = (local_size, norm_region, inner)


class Slopes(Layer, param="prelu_param"):
    def __init__(self, *, filler: Filler = FILLER) -> None:
        super().__init__()
        self.filler = filler


class Shaped(Layer, param="reshape_param"):
    def __init__(self, shape: Sequence[int] = (1,), axis: int | None = None) -> None:
        super().__init__()
        self.given = (shape, axis)


class Cropped(Layer, param="crop_param"):
    def __init__(self, offset: int | Sequence[int] = 0) -> None:
        super().__init__()
        self.offset = offset


class Sized(Layer, param="inner_product_param"):
    def __init__(self, num_output: int, *, weight_filler: Filler) -> None:
        super().__init__()
        self.given = (num_output, weight_filler)


class Clipped(Layer, param="clip_param"):
    def __init__(self, *, min: float = -3.0, max: float) -> None:
        super().__init__()
        self.given = (min, max)


class Dropped(Layer, param="dropout_param"):
    def __init__(self, *, dropout_ratio: float = 0.1, scale_train: bool = True) -> None:
        super().__init__()
        self.given = (dropout_ratio, scale_train)


class Options(Norm):
    def __init__(self, *, beta: float = 0.0, **options: Any) -> None:
        super().__init__(**options)
        self.beta = beta


class Fixed(Norm):
    def __init__(self, *, beta: float = 0.0) -> None:
        super().__init__(local_size=1)
        self.beta = beta


def built(cls: type[Layer], said: str = "", dialect: str = "bvlc") -> Any:
    return cls.from_caffe(parameter(said, dialect), [])


def test_a_set_field_is_read_and_an_enum_by_name() -> None:
    said = "lrn_param { local_size: 3 norm_region: WITHIN_CHANNEL }"
    assert built(Norm, said).given == (3, "WITHIN_CHANNEL", 7)


@pytest.mark.parametrize("said", ["", "lrn_param {}"])
def test_the_schemas_default_wins_over_the_arguments(said: str) -> None:
    assert built(Norm, said).given == (5, "ACROSS_CHANNELS", 7)


def test_an_absent_filler_is_the_arguments() -> None:
    assert built(Slopes).filler is FILLER
    assert built(Slopes, "prelu_param { filler {} }").filler == Filler()
    assert built(Slopes, "prelu_param { filler { value: 2 } }").filler == Filler(value=2.0)


def test_what_has_no_default_at_all_is_protobufs() -> None:
    assert built(Sized).given == (0, Filler())


def test_what_the_schema_has_no_default_of_is_the_arguments() -> None:
    assert built(Clipped, "clip_param { max: 2 }").given == (-3.0, 2.0)
    assert built(Clipped, "clip_param { min: 1 max: 2 }").given == (1.0, 2.0)


def test_a_list_is_a_tuple_and_an_empty_one_the_arguments() -> None:
    assert built(Cropped).offset == 0
    assert built(Cropped, "crop_param { offset: 4 offset: 5 }").offset == (4, 5)


def test_a_shape_is_its_sizes_and_none_tells_that_a_field_is_missed() -> None:
    assert built(Shaped).given == ((1,), None)
    said = "reshape_param { axis: 0 shape { dim: 2 dim: -1 } }"
    assert built(Shaped, said).given == ((2, -1), 0)


def test_a_dialect_without_the_field_or_the_message_says_nothing() -> None:
    assert built(Dropped).given == (0.5, True)
    said = "dropout_param { scale_train: false }"
    assert built(Dropped, said, "rcnn").given == (0.5, False)

    class Elsewhere(Dropped, param="l1_loss_param"):
        pass

    assert built(Elsewhere).given == (0.1, True)


def test_handed_on_options_and_a_base_s_message_are_read() -> None:
    layer = built(Options, "lrn_param { local_size: 3 beta: 2 }")
    assert (layer.beta, layer.given) == (2.0, (3, "ACROSS_CHANNELS", 7))


def test_what_is_not_handed_on_is_not_read() -> None:
    layer = built(Fixed, "lrn_param { beta: 2 }")
    assert (layer.beta, layer.given) == (2.0, (1, "", 7))
    with pytest.raises(UnsupportedError, match=r"lrn_param\.local_size is set, and nothing of"):
        built(Fixed, "lrn_param { local_size: 3 beta: 2 }")


def test_what_is_computed_takes_a_fields_place() -> None:
    fields = Norm.fields(parameter("lrn_param { local_size: 3 }"), local_size=1, inner=2)
    assert fields == {"local_size": 1, "norm_region": "ACROSS_CHANNELS", "inner": 2}


def test_a_class_without_a_message_takes_nothing() -> None:
    class Plain(Layer):
        pass

    assert isinstance(built(Plain, "lrn_param { local_size: 3 }"), Plain)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_every_argument_is_given_by_something(cls: type[Layer]) -> None:
    only = Registry(layers={cls.caffe_type: {cls.fork: cls}})
    check_declarations(only, schema.SHIPPED)


def check(cls: type[Layer]) -> None:
    check_declarations(Registry(layers={"Own": {"bvlc": cls}}), schema.SHIPPED)


def test_a_class_that_nothing_gives_an_argument_is_told() -> None:
    with pytest.raises(TypeError, match="Norm: lrn_param has no field for the argument 'inner'"):
        check(Norm)

    class Unnamed(Layer):
        def __init__(self, slope: float) -> None:
            super().__init__()

    with pytest.raises(TypeError, match="Unnamed: it names no param for the argument 'slope'"):
        check(Unnamed)

    class Misspelt(Layer, param="lnr_param"):
        pass

    with pytest.raises(TypeError, match=r"Misspelt: bvlc's LayerParameter has no .* 'lnr_param'"):
        check(Misspelt)

    class NoMessage(Layer, param="name"):
        pass

    with pytest.raises(TypeError, match=r"NoMessage: bvlc's LayerParameter has no .* 'name'"):
        check(NoMessage)


def test_what_needs_nothing_of_the_file_is_left_alone() -> None:
    class ByHand(Layer):
        def __init__(self, scale: float = 1.0) -> None:
            super().__init__()

    class Derived(Dropped):
        def __init__(self, scale: float = 1.0, **more: Any) -> None:
            super().__init__(**more)

    class Elsewhere(Layer, param="prior_box_param"):
        fork_fields = ("prior_box_param",)

        def __init__(self, flip: bool) -> None:
            super().__init__()

    class Built(Layer, param="lrn_param"):
        def __init__(self, channels: int, beta: float) -> None:
            super().__init__()

        @classmethod
        def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> Layer:
            return cls(bottoms[0][1], **cls.fields(layer))

    for cls in (ByHand, Derived, Elsewhere, Built):
        check(cls)


class Own(Options):
    def __init__(self, *places: int, norm_region: str = "own", **options: Any) -> None:
        super().__init__(norm_region=norm_region, **options)
        self.places = places


class Given(TypedDict, total=False):
    beta: float
    local_size: int


class Declared(Options):
    def __init__(self, **options: Unpack[Given]) -> None:
        super().__init__(**options)


class Handing(Shaped):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)


def test_a_signature_has_its_own_defaults_and_its_bases_names() -> None:
    said = inspect.signature(Own)
    assert str(said) == (
        "(*places: 'int', norm_region: 'str' = 'own', beta: 'float' = 0.0, "
        "local_size: 'int' = 99, inner: 'int' = 7, **options: 'Any')"
    )
    own = Own(1, 2, norm_region="a", beta=1.0, local_size=3)
    assert (own.places, own.beta, own.given) == ((1, 2), 1.0, (3, "a", 7))


def test_what_a_base_takes_by_place_is_handed_on_by_name() -> None:
    said = "(*, shape: 'Sequence[int]' = (1,), axis: 'int | None' = None, **options: 'Any')"
    assert str(inspect.signature(Handing)) == said


def test_what_a_typed_dict_says_is_all() -> None:
    assert not str(inspect.signature(Declared)).endswith("Any')")


def test_a_signature_ends_where_nothing_is_handed_on() -> None:
    assert str(inspect.signature(Fixed)) == "(*, beta: 'float' = 0.0)"
