"""The schema: its reader, the dialects, and every default typed by hand."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from prototxt import FormatError, UnsupportedError, parse_text, schema
from prototxt.schema import SHIPPED, Schema, dialect, reader
from prototxt.schema.descriptors import to_file
from prototxt.schema.fragment import FOLDER

# message: field=default, in the order of the numbers; an enum's default by its name
DEFAULTS = """
FillerParameter: type=constant value=0 min=0 max=1 mean=0 std=1 sparse=-1 variance_norm=FAN_IN
Datum: encoded=False
BlobProto: num=0 channels=0 height=0 width=0
NetParameter: force_backward=False debug_info=False
NetState: phase=TEST level=0
ParamSpec: lr_mult=1 decay_mult=1
TransformationParameter: scale=1 mirror=False crop_size=0 force_color=False force_gray=False
LossParameter: normalization=VALID
AccuracyParameter: top_k=1 axis=1
ArgMaxParameter: out_max_val=False top_k=1
BatchNormParameter: moving_average_fraction=0.999 eps=1e-5
BiasParameter: axis=1 num_axes=1
ConcatParameter: concat_dim=1 axis=1
ContrastiveLossParameter: margin=1 legacy_version=False
ConvolutionParameter: bias_term=True group=1 pad_h=0 pad_w=0 engine=DEFAULT axis=1
  force_nd_im2col=False
CropParameter: axis=2
DataParameter: scale=1 crop_size=0 mirror=False rand_skip=0 backend=LEVELDB
  force_encoded_color=False prefetch=4
DropoutParameter: dropout_ratio=0.5
EltwiseParameter: operation=SUM stable_prod_grad=True
ELUParameter: alpha=1
EmbedParameter: bias_term=True
ExpParameter: base=-1 scale=1 shift=0
FlattenParameter: axis=1 end_axis=-1
HDF5DataParameter: shuffle=False
HingeLossParameter: norm=L1
ImageDataParameter: scale=1 batch_size=1 crop_size=0 mirror=False rand_skip=0 shuffle=False
  new_height=0 new_width=0 is_color=True root_folder=
InfogainLossParameter: axis=1
InnerProductParameter: bias_term=True axis=1 transpose=False
LogParameter: base=-1 scale=1 shift=0
LRNParameter: local_size=5 alpha=1 beta=0.75 norm_region=ACROSS_CHANNELS k=1 engine=DEFAULT
MVNParameter: normalize_variance=True across_channels=False eps=1e-9
PoolingParameter: pool=MAX stride=1 pad=0 pad_h=0 pad_w=0 engine=DEFAULT global_pooling=False
  round_mode=CEIL
PowerParameter: power=1 scale=1 shift=0
PReLUParameter: channel_shared=False
PythonParameter: param_str= share_in_parallel=False
RecurrentParameter: num_output=0 debug_info=False expose_hidden=False
ReductionParameter: operation=SUM axis=0 coeff=1
ReLUParameter: negative_slope=0 engine=DEFAULT
ReshapeParameter: axis=0 num_axes=-1
ScaleParameter: axis=1 num_axes=1 bias_term=False
SigmoidParameter: engine=DEFAULT
SliceParameter: slice_dim=1 axis=1
SoftmaxParameter: engine=DEFAULT axis=1
SPPParameter: pool=MAX engine=DEFAULT
SwishParameter: beta=1
TanHParameter: engine=DEFAULT
ThresholdParameter: threshold=0
TileParameter: axis=1
WindowDataParameter: scale=1 crop_size=0 mirror=False fg_threshold=0.5 bg_threshold=0.5
  fg_fraction=0.25 context_pad=0 crop_mode=warp cache_images=False root_folder=
SolverParameter: test_interval=0 snapshot=0 snapshot_diff=False solver_mode=GPU device_id=0
  test_compute_loss=False random_seed=-1 debug_info=False snapshot_after_train=True
  regularization_type=L2 solver_type=SGD delta=1e-8 test_initialization=True average_loss=1
  clip_gradients=-1 iter_size=1 snapshot_format=BINARYPROTO rms_decay=0.99 momentum2=0.999
  type=SGD layer_wise_reduce=True
SolverState: current_step=0
V0LayerParameter: biasterm=True pad=0 group=1 stride=1 pool=MAX dropout_ratio=0.5 local_size=5
  alpha=1 beta=0.75 scale=1 cropsize=0 mirror=False k=1 rand_skip=0 det_fg_threshold=0.5
  det_bg_threshold=0.5 det_fg_fraction=0.25 det_context_pad=0 det_crop_mode=warp new_num=0
  new_channels=0 new_height=0 new_width=0 shuffle_images=False concat_dim=1
sknet.BatchNormParameter: frozen=False momentum=0.999 eps=1e-5
sknet_139.BatchNormParameter: frozen=False momentum=0.999 eps=1e-5
genet.CuDNNBatchNormParameter: frozen=False momentum=0.999 eps=1e-5
"""
ROWS = [line.split(":") for line in DEFAULTS.replace("\n  ", " ").strip().splitlines()]


@pytest.mark.parametrize(("name", "fields"), ROWS, ids=[row[0] for row in ROWS])
def test_defaults(name, fields):
    where, _, short = name.rpartition(".")
    message = dialect(where or "bvlc").message(short)
    wanted = dict(pair.split("=") for pair in fields.split())
    described = {
        field.name: field for field in message.DESCRIPTOR.fields if field.has_default_value
    }
    assert set(described) == set(wanted)
    for field_name, want in wanted.items():
        got = getattr(message(), field_name)
        if described[field_name].enum_type is not None:
            got = described[field_name].enum_type.values_by_number[got].name
        if isinstance(got, float):
            assert got == float(np.float32(want)), field_name
        else:
            assert str(got) == want, field_name


def test_every_message_with_defaults_has_its_row():
    file = dialect("bvlc").message("NetParameter").DESCRIPTOR.file
    having = {
        name
        for name, message in file.message_types_by_name.items()
        if any(field.has_default_value for field in message.fields)
    }
    assert having == {row[0] for row in ROWS if "." not in row[0]}


def test_numbers():
    table = Path(__file__).with_name("bvlc_numbers.txt").read_text()
    file = dialect("bvlc").message("NetParameter").DESCRIPTOR.file
    lines = []
    for name, message in sorted(file.message_types_by_name.items()):
        fields = sorted(message.fields, key=lambda field: field.number)
        lines.append(f"{name}: " + " ".join(f"{field.number}:{field.name}" for field in fields))
    assert lines == table.splitlines()


ENGINE = "DEFAULT=0 CAFFE=1 CUDNN=2"
POOL = "MAX=0 AVE=1 STOCHASTIC=2"
ENUMS = {
    "Phase": "TRAIN=0 TEST=1",
    "ConvolutionParameter.Engine": ENGINE,
    "DataParameter.DB": "LEVELDB=0 LMDB=1",
    "EltwiseParameter.EltwiseOp": "PROD=0 SUM=1 MAX=2",
    "FillerParameter.VarianceNorm": "FAN_IN=0 FAN_OUT=1 AVERAGE=2",
    "HingeLossParameter.Norm": "L1=1 L2=2",
    "LRNParameter.Engine": ENGINE,
    "LRNParameter.NormRegion": "ACROSS_CHANNELS=0 WITHIN_CHANNEL=1",
    "LossParameter.NormalizationMode": "FULL=0 VALID=1 BATCH_SIZE=2 NONE=3",
    "ParamSpec.DimCheckMode": "STRICT=0 PERMISSIVE=1",
    "PoolingParameter.Engine": ENGINE,
    "PoolingParameter.PoolMethod": POOL,
    "PoolingParameter.RoundMode": "CEIL=0 FLOOR=1",
    "ReLUParameter.Engine": ENGINE,
    "ReductionParameter.ReductionOp": "SUM=1 ASUM=2 SUMSQ=3 MEAN=4",
    "SPPParameter.Engine": ENGINE,
    "SPPParameter.PoolMethod": POOL,
    "SigmoidParameter.Engine": ENGINE,
    "SoftmaxParameter.Engine": ENGINE,
    "SolverParameter.SnapshotFormat": "HDF5=0 BINARYPROTO=1",
    "SolverParameter.SolverMode": "CPU=0 GPU=1",
    "SolverParameter.SolverType": "SGD=0 NESTEROV=1 ADAGRAD=2 RMSPROP=3 ADADELTA=4 ADAM=5",
    "TanHParameter.Engine": ENGINE,
    "V0LayerParameter.PoolMethod": POOL,
    "V1LayerParameter.DimCheckMode": "STRICT=0 PERMISSIVE=1",
    "V1LayerParameter.LayerType": (
        "NONE=0 ACCURACY=1 BNLL=2 CONCAT=3 CONVOLUTION=4 DATA=5 DROPOUT=6 EUCLIDEAN_LOSS=7 "
        "FLATTEN=8 HDF5_DATA=9 HDF5_OUTPUT=10 IM2COL=11 IMAGE_DATA=12 INFOGAIN_LOSS=13 "
        "INNER_PRODUCT=14 LRN=15 MULTINOMIAL_LOGISTIC_LOSS=16 POOLING=17 RELU=18 SIGMOID=19 "
        "SOFTMAX=20 SOFTMAX_LOSS=21 SPLIT=22 TANH=23 WINDOW_DATA=24 ELTWISE=25 POWER=26 "
        "SIGMOID_CROSS_ENTROPY_LOSS=27 HINGE_LOSS=28 MEMORY_DATA=29 ARGMAX=30 THRESHOLD=31 "
        "DUMMY_DATA=32 SLICE=33 MVN=34 ABSVAL=35 SILENCE=36 CONTRASTIVE_LOSS=37 EXP=38 "
        "DECONVOLUTION=39"
    ),
}


def test_every_enums_numbers():
    file = dialect("bvlc").message("NetParameter").DESCRIPTOR.file
    enums = list(file.enum_types_by_name.values())
    for message in file.message_types_by_name.values():
        enums += message.enum_types
    assert {
        enum.full_name.removeprefix("caffe."): " ".join(
            f"{value.name}={value.number}" for value in enum.values
        )
        for enum in enums
    } == ENUMS


def test_packed_fields():
    message = dialect("bvlc").message
    assert message("BlobShape")(dim=[1, 2]).SerializeToString() == b"\x0a\x02\x01\x02"
    assert message("Datum")(float_data=[0]).SerializeToString() == b"\x35\0\0\0\0"
    assert message("LayerParameter")(loss_weight=[0]).SerializeToString() == b"\x2d\0\0\0\0"
    assert message("NetParameter")(input_dim=[1, 2]).SerializeToString() == b"\x20\x01\x20\x02"


def test_the_61_types_are_bvlcs():
    assert len(dialect("bvlc").types) == 61


# ---- Dialects ---------------------------------------------------------------------------------


def test_candidates_come_in_order():
    names = list(SHIPPED.names)
    assert names[:4] == ["bvlc", "sknet", "sknet_139", "genet"]
    assert [one.name for one in SHIPPED.candidates("CuDNNBatchNorm")] == names[1:4]
    assert next(SHIPPED.candidates("Convolution")).name == "bvlc"
    assert next(SHIPPED.candidates("NobodysLayer")).name == "bvlc"
    assert [one.name for one in SHIPPED.candidates("CuDNNBatchNorm", "genet")] == ["genet"]
    assert [one.name for one in SHIPPED.candidates("ReLU", "genet")] == ["bvlc", "genet"]


def test_an_unknown_dialect_lists_the_known_ones():
    with pytest.raises(UnsupportedError, match="'ssdd' is not known, wants one of bvlc, sknet"):
        dialect("ssdd")


@pytest.fixture
def add(tmp_path):
    """Return a function that adds a fragment to a schema."""

    def register(text: str, name: str = "mine", to: Schema = SHIPPED) -> Schema:
        path = tmp_path / f"{name}.proto"
        path.write_text(text)
        return to.with_file(path)

    return register


MINE = """
message LayerParameter { optional MineParameter mine_param = 321 [(type) = "Mine Other"]; }
message MineParameter { repeated float gain = 1; }
"""


def test_a_users_fragment_is_one_more_dialect(add):
    own = add(MINE)
    assert own.names[:3] == ("bvlc", "mine", "sknet")
    assert own.dialect("mine").types == {"Mine", "Other"}
    net = parse_text('layer { type: "Mine" mine_param { gain: [1, 2] } }', schema=own)
    assert net.schema is own
    assert schema.dialect_of(net.layers[0]) == "mine"
    assert list(net.layers[0].mine_param.gain) == [1, 2]
    with pytest.raises(FormatError, match="layer of type ReLU has no field 'mine_param'"):
        parse_text('layer { type: "ReLU" mine_param { gain: 1 } }', schema=own)


def test_a_fragment_may_add_to_replace_and_import(add):
    own = add(
        'import "base.proto";\n'
        "message MineParameter { optional int32 more = 2 [default = -3]; }\n"
        "message PoolingParameter { optional bool ceil_mode = 77; }\n"
        "message EltwiseParameter { enum EltwiseOp { PROD = 0; SUM = 1; MAX = 2; MIN = 9; } }\n"
        "message ReLUParameter { option (redefines) = true; optional bool leaky = 1; }",
        "child",
        add(MINE, "base"),
    )
    assert own.names[:4] == ("bvlc", "base", "child", "sknet")
    child = own.dialect("child").message
    assert {field.name for field in child("MineParameter").DESCRIPTOR.fields} == {"gain", "more"}
    assert child("MineParameter")().more == -3
    assert [field.name for field in child("ReLUParameter").DESCRIPTOR.fields] == ["leaky"]
    assert child("PoolingParameter")().stride == 1
    text = (
        'layer { type: "Pooling" pooling_param { ceil_mode: false } }'
        'layer { type: "Eltwise" eltwise_param { operation: MIN } }'
        'layer { type: "ReLU" relu_param { negative_slope: 1 } }'
    )
    assert [schema.dialect_of(one) for one in parse_text(text, schema=own).layers] == [
        "child",
        "child",
        "bvlc",
    ]


def test_what_is_imported_need_not_be_a_dialect(add, tmp_path):
    (tmp_path / "parts.proto").write_text(
        'import "ssd.proto"; message Mine { optional int32 a = 1; }'
    )
    mine = add('import "parts.proto"; message LayerParameter { optional Mine mine = 321; }')
    assert mine.bases("mine") == {"ssd"}
    assert mine.dialect("mine").message("LayerParameter")().mine.a == 0
    assert SHIPPED.bases("yolo") == SHIPPED.bases("intel") == {"ssd"}
    assert "darknet" not in SHIPPED.names


def test_a_schema_is_a_value(add):
    text = 'layer { type: "Mine" mine_param { gain: 1 } }'
    own = add(MINE)
    with pytest.raises(FormatError, match="LayerParameter has no field 'mine_param'"):
        parse_text(text)
    net = parse_text(text, schema=own)
    changed = add(MINE.replace("gain", "loss"))
    assert parse_text(text, schema=own).layers == net.layers
    with pytest.raises(FormatError, match="MineParameter has no field 'gain'"):
        parse_text(text, schema=changed)
    again = add(MINE)  # of one text there is one dialect: the messages can be mixed
    assert again.dialect("mine") is own.dialect("mine")


def test_a_network_takes_its_schema_along_when_it_is_copied(add):
    net = parse_text('layer { type: "Mine" mine_param { gain: 1 } }', schema=add(MINE))
    for copied in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert copied.layers == net.layers
        assert copied.schema.names == net.schema.names
    assert pickle.loads(pickle.dumps(SHIPPED)) is SHIPPED


def test_two_threads_share_a_dialect_s_classes():
    code = (
        "import sys, threading\n"
        "from prototxt.schema import SHIPPED\n"
        "sys.setswitchinterval(1e-6)\n"
        "start, classes = threading.Barrier(8), set()\n"
        "def ask():\n"
        "    start.wait()\n"
        "    for one in SHIPPED.dialects: classes.add(one.message('LayerParameter'))\n"
        "threads = [threading.Thread(target=ask) for _ in range(8)]\n"
        "for thread in threads: thread.start()\n"
        "for thread in threads: thread.join()\n"
        "assert len(classes) == len(SHIPPED.names), len(classes)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=FOLDER.parents[1])


def test_a_field_of_the_same_number_is_replaced(add):
    own = add("message LayerParameter { optional string note = 148 [(type) = 'Note']; }")
    fields = own.dialect("mine").message("LayerParameter").DESCRIPTOR.fields_by_name
    assert "note" in fields
    assert "clip_param" not in fields


def test_a_dialects_name_is_taken_once(add, tmp_path):
    with pytest.raises(FormatError) as caught:
        add(MINE, "sknet")
    assert str(caught.value) == (
        f"{tmp_path}/sknet.proto: a dialect named 'sknet' is known already\n  fix: rename the file"
    )
    (tmp_path / "beside").mkdir()
    (tmp_path / "beside" / "mine.proto").write_text(MINE)
    with pytest.raises(FormatError, match="a dialect named 'mine' is known already"):
        add(MINE).with_file(tmp_path / "beside" / "mine.proto")
    assert add(MINE, to=add(MINE)).names == add(MINE).names


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("message A {\n  optional Nope a = 1;\n}", "2: field a has the unknown type Nope"),
        ("message A { optional int32 a; }", "1: ; where '=' belongs"),
        ("message A { optional int32 = 1; }", "1: = where a word belongs"),
        ("message A { int32 a = 1; }", "1: int32 where a field of message A belongs"),
        ("message A { optional int32 a = 1.5; }", "1: 1.5 is no whole number"),
        ("message A {", "1: the end of the file where a field of message A belongs"),
        ("/* */\n\n?", "3: '?' is no part of a schema"),
        ("syntax = 'proto3';", "1: syntax 'proto3', wants 'proto2'"),
        ("service S {}", "1: service where a message or an enum belongs"),
        (
            "message A {\n optional int32 a = 1;\n optional int32 b = 1; }",
            "3: field b has the number of a",
        ),
        ("message A {\n optional int32 a = 1;\n optional int32 a = 2; }", "3: a second field a"),
        ("message A { optional float a = 1 [default = x]; }", "1: field a has the default x"),
    ],
)
def test_a_broken_fragment_names_file_and_line(add, tmp_path, text, said):
    with pytest.raises(FormatError) as caught:
        add(text)
    assert str(caught.value) == f"{tmp_path}/mine.proto:{said}"


def test_what_only_protobuf_finds_names_the_file(add, tmp_path):
    with pytest.raises(FormatError, match=rf"^{tmp_path}/mine\.proto: "):
        add("message A { optional int32 a = 1 [default = x]; }")


def test_the_reader_knows_all_of_proto2_that_forks_use():
    read = reader.read(
        'syntax = "proto2"; package p.q; option java_package = "x"; // c\n'
        "message A { reserved 3, 5 to 7; reserved 'b'; extensions 100 to max; ; /* c\n */\n"
        "  message B { required .caffe.A.E e = 0x10 [deprecated = true, default = Y]; }\n"
        "  enum E { option allow_alias = true; X = 0; Y = -1 [deprecated = true]; }\n"
        "  repeated float f = 2 [packed = true];\n}",
        "x.proto",
    )
    inner = read.messages["A"].messages["B"].fields[0]
    assert (inner.number, inner.default, inner.label, inner.place) == (16, "Y", 2, "x.proto:4")
    assert read.messages["A"].enums["E"].values == {"X": 0, "Y": -1}
    assert read.messages["A"].fields[0].packed
    assert to_file(read, "x").message_type[0].nested_type[0].field[0].type_name == (".caffe.A.E")


# ---- Import -----------------------------------------------------------------------------------


def test_import_brings_neither_torch_nor_h5py_and_reads_no_schema():
    code = (
        "import sys, prototxt; from prototxt.schema import fragment\n"
        "assert not {'torch', 'h5py', 'onnx'} & set(sys.modules)\n"
        "assert fragment._shipped.cache_info().currsize == 0"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=FOLDER.parents[1])
