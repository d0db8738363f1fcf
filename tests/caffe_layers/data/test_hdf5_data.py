"""HDF5Data and HDF5Output beyond the recorded cases."""

from __future__ import annotations

import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch

import caffe_layers
import converter
from prototxt import CaffeError, FormatError, ShapeError, UnsupportedError
from prototxt.hdf5.datasets import read_datasets, write_datasets
from tests.support import recorded

h5py = pytest.importorskip("h5py", reason="HDF5 files need h5py")

NET = (
    'layer { name: "L" type: "HDF5Data" top: "data" top: "label" %s'
    ' hdf5_data_param { source: "list.txt" batch_size: 2 } }\n'
    'layer { name: "fc" type: "InnerProduct" bottom: "data" top: "fc"'
    " inner_product_param { num_output: 2 } }\n"
)
ROWS = 5


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with a list of one file, whose rows count up."""
    monkeypatch.chdir(tmp_path)
    write("a.h5", range(ROWS))
    Path("list.txt").write_text("a.h5\n")
    return tmp_path


def write(name: str, rows: range, columns: int = 3) -> None:
    label = np.array(rows, np.float32)
    data = np.repeat(label[:, None], columns, axis=1)
    write_datasets(name, {"data": data, "label": label.astype(np.int32)})


def labels(layer: caffe_layers.Layer, batches: int) -> list[list[float]]:
    return [layer()[0].tolist() for _ in range(batches)]


def reader(*tops: str, batch_size: int = 2, shuffle: bool = False) -> caffe_layers.Layer:
    cls = caffe_layers.LAYERS["HDF5Data"]["bvlc"]
    return cls(*(tops or ("label",)), source="list.txt", batch_size=batch_size, shuffle=shuffle)


@pytest.mark.usefixtures("folder")
def test_batches_follow_each_other_over_files_of_unequal_size() -> None:
    write("b.h5", range(10, 11))
    Path("list.txt").write_text("a.h5  b.h5\n")
    layer = reader()
    assert labels(layer, 4) == [[0, 1], [2, 3], [4, 10], [0, 1]]
    layer.reset_state()
    assert labels(layer, 1) == [[0, 1]]


@pytest.mark.usefixtures("folder")
def test_a_shuffled_epoch_holds_every_row_once_in_another_order() -> None:
    torch.manual_seed(1701)
    write("b.h5", range(10, 18))
    Path("list.txt").write_text("a.h5\nb.h5\n")
    layer = reader("label", "data", batch_size=13, shuffle=True)
    epochs = [
        [tensor[:, 0].tolist() if tensor.dim() > 1 else tensor.tolist() for tensor in layer()]
        for _ in range(6)
    ]
    for label, data in epochs:
        assert label == data
        assert sorted(label) == [*range(ROWS), *range(10, 18)]
        assert label != sorted(label)
        first = 8 if label[0] >= 10 else ROWS
        assert len({row >= 10 for row in label[:first]}) == 1, "files stay whole"
    assert len({tuple(label) for label, _ in epochs}) == len(epochs)
    assert len({label[0] >= 10 for label, _ in epochs}) == 2, "the files' order is shuffled too"


@pytest.mark.usefixtures("folder")
def test_tops_are_of_the_network_s_type_whatever_the_file_holds() -> None:
    for dtype in (torch.float32, torch.float64, torch.float16):
        assert {top.dtype for top in reader("data", "label").to(dtype)()} == {dtype}
    assert not reader().state_dict()


def test_what_is_fed_is_not_read(folder: Path) -> None:
    net = load(folder, NET % "")
    x = torch.randn(2, 3)
    assert torch.equal(net.blobs({"data": x})["data"], x)
    assert "label" not in net.blobs({"data": x})
    assert net.blobs()["label"].tolist() == [0, 1], "feeding has read nothing"
    assert net.blobs()["label"].tolist() == [2, 3]


def test_an_exported_model_has_the_tops_as_inputs(folder: Path) -> None:
    net = load(folder, NET % "")
    graph = converter.export_onnx(net, folder / "net.onnx")
    assert list(graph.inputs) == ["data"]
    assert list(graph.outputs) == ["fc"]


def load(folder: Path, text: str, **options: object) -> converter.CaffeNet:
    (folder / "net.prototxt").write_text(text)
    return converter.load(folder / "net.prototxt", **options)  # type: ignore[arg-type]


@pytest.mark.usefixtures("folder")
def test_later_files_have_rows_of_the_same_shape() -> None:
    write("b.h5", range(2), columns=4)
    Path("list.txt").write_text("a.h5 b.h5")
    layer = reader("data", batch_size=ROWS)
    layer()
    with pytest.raises(ShapeError, match=r"^b\.h5: rows of 'data' are \(4,\), wants \(3,\)$"):
        layer()


@pytest.mark.usefixtures("folder")
def test_broken_files_are_refused() -> None:
    whole = Path("a.h5").read_bytes()
    for name, content, says in (
        ("list.txt", b" \n", "the list 'list.txt' names no HDF5 file"),
        ("list.txt", b"\xff\xfe", "the list 'list.txt' cannot be read"),
        ("a.h5", whole[: len(whole) // 2], "a.h5: cannot be read as HDF5"),
        ("a.h5", b"no HDF5", "a.h5: cannot be read as HDF5"),
    ):
        before = Path(name).read_bytes()
        Path(name).write_bytes(content)
        with pytest.raises(FormatError, match=says):
            reader()
        Path(name).write_bytes(before)
    assert reader()()


BAD = [
    ({"x": np.zeros(2)}, "no dataset 'data', it has x"),
    ({"data": np.array([b"a"])}, "dataset 'data' is of type"),
    ({"data": np.zeros(())}, r"dataset 'data' is \(\), wants one row or more"),
    ({"data": np.zeros((0, 3))}, r"dataset 'data' is \(0, 3\), wants one row or more"),
]


@pytest.mark.parametrize(("arrays", "says"), BAD)
@pytest.mark.usefixtures("folder")
def test_datasets_are_rows_of_numbers(arrays: dict[str, np.ndarray], says: str) -> None:
    write_datasets("bad.h5", arrays)
    with pytest.raises(FormatError, match=says):
        read_datasets("bad.h5", ["data"])


@pytest.mark.usefixtures("folder")
def test_datasets_of_a_file_have_as_many_rows() -> None:
    write_datasets("bad.h5", {"data": np.zeros((3, 2)), "label": np.zeros(2)})
    with pytest.raises(ShapeError, match="has 3 of 'data', 2 of 'label'"):
        read_datasets("bad.h5", ["data", "label"])


@pytest.mark.usefixtures("folder")
def test_a_missing_h5py_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    for use in (lambda: reader(), lambda: write_datasets("b.h5", {})):
        with pytest.raises(CaffeError, match=r'needs h5py\n  fix: pip install "caffeport\[hdf5\]"'):
            use()


@pytest.mark.usefixtures("folder")
def test_batch_size_is_asked_for() -> None:
    with pytest.raises(ShapeError, match="batch_size is 0"):
        reader(batch_size=0)


OUTPUT = (
    'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }\n'
    'layer { name: "l" type: "Input" top: "l" input_param { shape { dim: 2 } } }\n'
    'layer { name: "y" type: "AbsVal" bottom: "x" top: "y" }\n'
    'layer { name: "out" type: "HDF5Output" bottom: "y" bottom: "l"'
    ' hdf5_output_param { file_name: "out.h5" } }\n'
)


def test_the_output_is_what_caffe_wrote(folder: Path, layer_cases: Path) -> None:
    name = "HDF5Output/basic"
    with tarfile.open(recorded.ARCHIVES / "layers.tar.xz") as tar:
        tar.extract(f"{name}/out.h5", folder, filter="data")  # a run of the case overwrites it
    with np.load(layer_cases / name / "io.npz") as file:
        io = dict(file)
    net = converter.load(layer_cases / name / "net.prototxt", dtype=torch.float64)
    assert net({key: torch.from_numpy(io[f"in|{key}"]) for key in ("x", "l")}) == {}
    with h5py.File("out.h5") as got, h5py.File(folder / name / "out.h5") as want:
        assert set(got) == set(want) == {"data", "label"}
        for key in got:
            assert got[key].dtype == want[key].dtype
            assert np.array_equal(got[key][()], want[key][()])


@pytest.mark.parametrize(
    ("dtype", "stored"),
    [(torch.float16, "float32"), (torch.float32, "float32"), (torch.float64, "float64")],
)
def test_one_batch_is_written_until_the_state_is_reset(
    folder: Path, dtype: torch.dtype, stored: str
) -> None:
    net = load(folder, OUTPUT, dtype=dtype)
    x, label = -torch.arange(6, dtype=dtype).reshape(2, 3), torch.tensor([3, 4])
    net({"x": x, "l": label})
    with pytest.raises(UnsupportedError, match=r"out\.h5 holds an earlier forward's batch"):
        net({"x": x, "l": label})
    net.layers["out"].reset_state()
    net({"x": x * 2, "l": label})
    data, labels = read_datasets("out.h5", ["data", "label"])
    assert data.dtype == labels.dtype == stored
    assert data.reshape(2, 3).tolist() == [[0, 2, 4], [6, 8, 10]]
    assert data.shape == (2, 3, 1, 1)
    assert labels.ravel().tolist() == [3, 4]


def test_an_exported_model_gives_what_the_layer_would_write(folder: Path) -> None:
    graph = converter.export_onnx(load(folder, OUTPUT), folder / "net.onnx")
    assert list(graph.outputs) == ["y"]


def test_outputs_have_four_axes_at_most_and_a_name(folder: Path) -> None:
    with pytest.raises(ShapeError, match="5 axes, wants 4 at most"):
        load(folder, OUTPUT.replace("dim: 2 dim: 3", "dim: 2 dim: 3 dim: 1 dim: 1 dim: 1"))
    with pytest.raises(ShapeError, match="no file_name"):
        load(folder, OUTPUT.replace('file_name: "out.h5"', ""))


def test_shuffle_is_read_from_the_definition(folder: Path) -> None:
    for says in ("", "shuffle: true"):
        net = load(folder, (NET % "").replace("batch_size: 2", f"batch_size: 2 {says}"))
        assert net.layers["L"].shuffle is bool(says)


@pytest.mark.parametrize("lost", ["list.txt", "a.h5"])
def test_files_that_are_not_there_leave_the_tops_to_the_caller(folder: Path, lost: str) -> None:
    Path(lost).unlink()
    layer = reader("data", "label")
    assert layer.shapes() == [None, None]
    assert lost in str(layer.read_error)
    with pytest.raises(FormatError, match=lost):
        layer()
    Path("net.prototxt").write_text(NET % "")
    net = converter.load("net.prototxt", input_shapes={"data": (2, 3), "label": (2,)})
    assert net({"data": torch.ones(2, 3)})["fc"].shape == (2, 2)


@pytest.mark.usefixtures("folder")
def test_damaged_files_are_refused_at_once() -> None:
    Path("a.h5").write_bytes(b"none")
    with pytest.raises(FormatError, match=r"a\.h5"):
        reader("data", "label")
