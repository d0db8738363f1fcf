"""Every generation of definitions against recorded runs of Caffe's own upgrade tools."""

from __future__ import annotations

import pytest
from google.protobuf import text_format

from prototxt import CaffeError, FormatError, Net, UnsupportedError, parse_text, schema
from prototxt.schema import SHIPPED
from prototxt.upgrade import upgrade, upgrade_solver

CASES = [
    "v0_all_types",
    "v0_drops_fields",
    "v0_input_deploy",
    "v0_lenet",
    "v0_padding",
    "v0_padding_two_users",
    "v0_unknown_param",
    "v1_all_types",
    "v1_basic",
    "v1_data_transform",
    "v1_input",
    "v1_share_modes",
    "v1_transform_untouched_types",
    "v1_type_by_number",
    "v1_type_none",
    "v2_bn_params2",
    "v2_bn_params3",
    "v2_bn_two_layers",
    "v2_data_old_fields",
    "v2_input_dim_two",
    "v2_input_no_layers",
    "v2_input_only",
    "v2_input_shape",
    "v2_input_shape_and_dim",
    "v2_up_to_date",
]
REFUSED = {
    "v0_padding_to_relu": (
        "in.prototxt:3: layer 'r' (relu): reads padding layer 'p', which only conv and pool can"
    ),
    "v0_reshape_type": "in.prototxt:2: layer 'r' (reshape): 'reshape' is no V0 layer type, wants ",
    "v0_unknown_bottom": ("in.prototxt:2: layer 'r' (relu): bottom 'y' is no earlier layer's top"),
    "v0_unknown_type": "in.prototxt:3: layer 'r' (reluu): 'reluu' is no V0 layer type, wants ",
    "v1_bn_not_possible": "in.prototxt:1",
    "v1_both": (
        "in.prototxt: 'layer' and 'layers' in one file\n"
        '  fix: write all layers as layer { type: "..." }, today\'s form'
    ),
    "v2_parse_error": "in.prototxt:2",
}
SOLVERS = [
    "enum_adadelta",
    "enum_adagrad",
    "enum_adam",
    "enum_nesterov",
    "enum_rmsprop",
    "enum_sgd",
    "neither",
    "new",
    "number",
]
REFUSED_SOLVERS = ["both", "unknown_enum"]
BINARY = ["v0_legacy", "v1_double", "v1_legacy", "v1_shape"]


@pytest.fixture
def protos(shared):
    return shared / "reference" / "protos"


@pytest.mark.parametrize(
    ("folder", "rows"),
    [
        ("upgrade", [*CASES, *REFUSED]),
        ("upgrade_solver", SOLVERS + REFUSED_SOLVERS),
        ("upgrade_binary", BINARY),
    ],
)
def test_every_recorded_case_has_its_row(folder, rows, protos):
    assert sorted(path.name for path in (protos / folder).iterdir()) == sorted(rows)


def read(path, dialect: str | None = None) -> Net:
    return parse_text(path.read_text(), path.name, dialect=dialect)


@pytest.mark.parametrize("case", CASES)
def test_text_becomes_what_caffe_writes(case, protos):
    old = read(protos / "upgrade" / case / "in.prototxt")
    new = upgrade(old)
    wants = read(protos / "upgrade" / case / "out.prototxt")
    assert new.layers == wants.layers
    assert new.header == wants.header
    assert len(new.lines) == (len(new.layers) if old.lines else 0)
    again = read(protos / "upgrade" / case / "in.prototxt")
    assert (old.header, old.layers, old.lines) == (again.header, again.layers, again.lines)


@pytest.mark.parametrize("case", REFUSED)
def test_what_caffe_refuses_is_refused(case, protos):
    with pytest.raises(CaffeError) as caught:
        # BVLC's own reading: a fork has the V1 type BATCH_NORM.
        upgrade(read(protos / "upgrade" / case / "in.prototxt", "bvlc"))
    assert str(caught.value).startswith(REFUSED[case])


@pytest.mark.parametrize("case", BINARY)
def test_binary_becomes_what_caffe_writes(case, protos):
    def load(name: str) -> tuple[Net, list]:
        whole = schema.dialect("bvlc").message("NetParameter")()
        whole.ParseFromString((protos / "upgrade_binary" / case / name).read_bytes())
        layers = [*whole.layers, *whole.layer]
        whole.ClearField("layers")
        whole.ClearField("layer")
        return Net(whole, layers)

    new, wants = upgrade(load("in.caffemodel")), load("out.caffemodel")
    assert sum(len(layer.blobs) for layer in wants.layers) == 6
    assert new.layers == wants.layers
    assert new.header == wants.header


def test_todays_form_is_given_back_as_it_is(protos):
    for case in ("v2_up_to_date", "v2_bn_params2", "v2_data_old_fields"):
        net = read(protos / "upgrade" / case / "in.prototxt")
        assert upgrade(net) is net
    net = upgrade(read(protos / "upgrade" / "v2_bn_params3" / "in.prototxt"))
    assert upgrade(net) is net


def test_dropped_fields_are_listed(protos):
    def dropped(case: str) -> list[str]:
        return upgrade(read(protos / "upgrade" / case / "in.prototxt")).dropped

    assert dropped("v0_unknown_param") == [
        "layer 'r' (relu): num_output is no field of this type",
        "layer 'p' (pool): group is no field of this type",
        "layer 's' (softmax): alpha is no field of this type",
        "layer 's' (softmax): source is no field of this type",
    ]
    assert dropped("v0_drops_fields") == [
        "state: Caffe keeps no such field of a V0 network",
        "debug_info: Caffe keeps no such field of a V0 network",
        "input_shape: Caffe keeps no such field of a V0 network",
        "input x: no shape",
    ]
    assert dropped("v2_input_only") == ["input x: no shape"]
    beside = 'layers { layer { name: "r" type: "relu" } bottom: "x" top: "r" loss_weight: 2 }'
    assert upgrade(parse_text('input: "x" input_dim: [1, 1, 1, 1]' + beside)).dropped == [
        "layer 'r' (relu): loss_weight beside a V0 layer"
    ]


def test_lines_follow_their_layers(protos):
    net = upgrade(read(protos / "upgrade" / "v0_padding" / "in.prototxt"))
    names = [layer.name for layer in net.layers]
    assert dict(zip(names, net.lines, strict=True)) == {
        "input": 1,
        "conv1": 5,
        "relu": 6,
        "pool": 8,
        "conv2": 10,
    }


def test_every_v0_field_of_convolution_and_inner_product_arrives():
    fields = (
        'num_output: 2 biasterm: false weight_filler { type: "xavier" } bias_filler { value: 3 } '
    )
    conv, product = upgrade(
        parse_text(
            f'layers {{ layer {{ name: "c" type: "conv" {fields} pad: 4 kernelsize: 5 group: 6 '
            f'stride: 7 }} }} layers {{ layer {{ name: "p" type: "innerproduct" {fields} }} }}'
        )
    ).layers
    both = (
        'num_output: 2 bias_term: false weight_filler { type: "xavier" } bias_filler { value: 3 }'
    )
    wants = parse_text(
        f'layer {{ name: "c" type: "Convolution" convolution_param {{ {both} pad: 4 kernel_size: 5 '
        f'group: 6 stride: 7 }} }} layer {{ name: "p" type: "InnerProduct" '
        f"inner_product_param {{ {both} }} }}"
    )
    assert [conv, product] == wants.layers


@pytest.mark.parametrize("rows", ["", "lr_mult: 0", "decay_mult: 0"])
def test_batch_norm_without_multipliers_gets_them(rows):
    text = 'layer { type: "BatchNorm" param { %s } param { %s } param { %s } }'
    net = upgrade(parse_text(text % (rows, rows, rows)))
    multipliers = "lr_mult: 0 decay_mult: 0"
    assert net.layers == parse_text(text % (multipliers, multipliers, multipliers)).layers


@pytest.fixture
def fork(tmp_path):
    """Return a schema with a fork with a V1 type and a V1 field that V2 never had."""
    (tmp_path / "old_fork.proto").write_text(
        "message V1LayerParameter {\n"
        "  enum LayerType { NONE = 0; RELU = 18; ODD_DATA = 39; }\n"
        "  optional int32 rounds = 2001;\n"
        "}\n"
    )
    return SHIPPED.with_file(tmp_path / "old_fork.proto")


def test_a_field_that_a_fork_had_in_v1_alone_is_refused(fork):
    own = fork.dialect("old_fork").message
    layer = text_format.Parse("type: RELU rounds: 2", own("V1LayerParameter")())
    with pytest.raises(UnsupportedError, match="rounds has no form of today"):
        upgrade(Net(own("NetParameter")(), [layer], schema=fork))


def test_a_type_that_a_fork_had_in_v1_alone_keeps_its_name(fork):
    own = fork.dialect("old_fork").message
    layer = text_format.Parse("type: ODD_DATA", own("V1LayerParameter")())
    net = upgrade(Net(own("NetParameter")(), [layer], schema=fork))
    assert net.layers[0].type == "ODD_DATA"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            'input: "a" input: "b" input_dim: [1, 2, 3, 4, 5]',
            "text: 5 input_dim for 2 input, wants 4 for each",
        ),
        (
            'input: "a" input_dim: [1, 2, 3, 4, 5]',
            "text: 5 input_dim for 1 input, wants 4 for each",
        ),
        (
            'input: "a" input_shape { dim: 1 } input_shape { dim: 2 }',
            "text: 2 input_shape for 1 input, wants one for each",
        ),
        (
            'input: "a" input: "b" input_shape { dim: 1 }',
            "text: 1 input_shape for 2 input, wants one for each",
        ),
        (
            'input: "x" input: "y" layers { layer { name: "p" type: "padding" } bottom: "x" '
            'bottom: "y" top: "p" } layers { layer { name: "c" type: "conv" } bottom: "p" }',
            "text:1: layer 'c' (conv): padding layer 'p' has 2 bottoms and 1 tops, "
            "wants one of each",
        ),
        (
            'input: "x" layers { layer { name: "p" type: "padding" } bottom: "x" top: "p" }'
            'layers { layer { name: "c" type: "conv" } bottom: "p" bottom: "x" }',
            "text:1: layer 'c' (conv): 2 bottoms, one a padding layer's, wants that alone",
        ),
        (
            'input: "x" layers { layer { name: "p" type: "padding" } bottom: "x" top: "p" }'
            'layers { layer { name: "q" type: "padding" } bottom: "p" top: "q" }',
            "text:1: layer 'q' (padding): reads padding layer 'p', which only conv and pool can",
        ),
        (
            'layers { layer { name: "r" type: "relu" } } layers { name: "s" type: RELU }',
            "text:1: layer 's' (no V0 layer): '' is no V0 layer type, wants padding, accuracy",
        ),
    ],
)
def test_bad_old_definition_says_what_is_wrong(text, message):
    with pytest.raises(CaffeError) as caught:
        upgrade(parse_text(text))
    assert str(caught.value).startswith(message)


def solver(path):
    return text_format.Parse(path.read_text(), schema.dialect("bvlc").message("SolverParameter")())


@pytest.mark.parametrize("case", SOLVERS)
def test_solver_becomes_what_caffe_writes(case, protos):
    old = solver(protos / "upgrade_solver" / case / "in.prototxt")
    wants = solver(protos / "upgrade_solver" / case / "out.prototxt")
    assert upgrade_solver(old) == wants
    assert old == solver(protos / "upgrade_solver" / case / "in.prototxt")


def test_solver_with_both_types_is_refused(protos):
    with pytest.raises(FormatError) as caught:
        upgrade_solver(solver(protos / "upgrade_solver" / "both" / "in.prototxt"))
    assert str(caught.value) == (
        "both solver_type: ADAM and type: 'Adam', wants one\n  fix: keep type"
    )


def test_unknown_solver_is_refused_by_the_text_parser(protos):
    with pytest.raises(text_format.ParseError, match="LBFGS"):
        solver(protos / "upgrade_solver" / "unknown_enum" / "in.prototxt")


@pytest.mark.parametrize(
    "field",
    [
        "mem_param { optimize_test: true }",
        "default_forward_type: FLOAT16",
        'engine: "MKL2017"',
    ],
)
def test_header_of_a_fork_may_say_its_inputs_with_shapes(field):
    text = f'{field} input: "a" input: "b" input_shape {{ dim: 1 dim: 3 }} input_shape {{ dim: 2 }}'
    net = upgrade(parse_text(f'{text} layer {{ name: "l" type: "ReLU" bottom: "a" top: "a" }}'))
    assert [list(shape.dim) for shape in net.layers[0].input_param.shape] == [[1, 3], [2]]
