"""Data layers that read: batches in order, epochs, shuffles, several processes, bad files."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import converter
from prototxt import CaffeError, FormatError, ShapeError, UnsupportedError
from prototxt.schema import dialect
from tests.support.databases import datum, write_images, write_lmdb
from tests.support.recorded import unpack

pytest.importorskip("lmdb", reason="databases need lmdb")
pillow = pytest.importorskip("PIL.Image", reason="images need Pillow")

COUNT = 5
IMAGES = np.random.default_rng(1701).integers(0, 256, (COUNT, 3, 6, 8)).astype(np.uint8)

DATA = (
    'layer { name: "L" type: "Data" top: "data" top: "label" transform_param { %s }'
    ' data_param { source: "db" batch_size: 2 backend: LMDB %s } }\n'
)
OLDER = (DATA % ("%s", "%s")).replace('"db"', '"ldb"').replace("LMDB", "LEVELDB")
"""Of the same images in the database that LevelDB wrote."""
FILES = (
    'layer { name: "L" type: "ImageData" top: "data" top: "label" transform_param { %s }'
    ' image_data_param { source: "list.txt" root_folder: "img/" batch_size: 2 %s } }\n'
)
LOSS = (
    'layer { name: "fc" type: "InnerProduct" bottom: "data" top: "fc" inner_product_param {'
    ' num_output: 5 weight_filler { type: "xavier" } } }\n'
    'layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" top: "loss" }\n'
)
ALL = "crop_size: 4 mirror: true scale: 0.25 mean_value: 100"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with the images as a database and as a list of files."""
    monkeypatch.chdir(tmp_path)
    write_images("db", IMAGES)
    Path("ldb").symlink_to(unpack("leveldb") / "images")
    Path("img").mkdir()
    for i, image in enumerate(IMAGES):
        pillow.fromarray(image[::-1].transpose(1, 2, 0)).save(f"img/{i}.png")
    Path("list.txt").write_text("".join(f"{i}.png {i}\n" for i in range(COUNT)))
    return tmp_path


def load(text: str, phase: str = "TEST", **options: Any) -> converter.CaffeNet:
    Path("net.prototxt").write_text(text)
    return converter.load("net.prototxt", phase=phase, **options)  # type: ignore[arg-type]


def labels(net: converter.CaffeNet, batches: int) -> list[int]:
    return [int(label) for _ in range(batches) for label in net.blobs()["label"]]


def batches(net: converter.CaffeNet, count: int) -> list[torch.Tensor]:
    return [net.blobs()["data"] for _ in range(count)]


def expected(label: int) -> list[Any]:
    return IMAGES[label].tolist()


@pytest.mark.parametrize("text", [DATA % ("", ""), OLDER % ("", ""), FILES % ("", "")])
def test_batches_follow_each_other_and_the_epochs(text: str) -> None:
    net = load(text)
    assert net.input_shapes == {"data": (2, 3, 6, 8), "label": (2,)}
    for first in (0, 2, 4, 1, 3, 0):
        blobs = net.blobs()
        assert blobs["label"].tolist() == [first, (first + 1) % COUNT]
        assert blobs["data"].tolist() == [expected(first), expected((first + 1) % COUNT)]
    net.reset_state()
    assert labels(net, 1) == [0, 1]


def test_a_whole_batch_against_the_arithmetic_by_hand() -> None:
    net = load(DATA % ("crop_size: 4 scale: 0.1 mean_value: 7 mean_value: 8 mean_value: 9.5", ""))
    data = net.blobs()["data"]
    assert data.dtype == torch.float32
    for n, c, y, x in np.ndindex(2, 3, 4, 4):
        value = np.float32(IMAGES[n, c, y + 1, x + 2]) - np.float32([7, 8, 9.5][c])
        assert data[n, c, y, x].item() == value * np.float32(0.1)


def test_one_top_is_the_images() -> None:
    net = load((DATA % ("", "")).replace('top: "label"', ""))
    assert list(net.blobs()) == ["data"]
    assert net.blobs()["data"].tolist() == [expected(2), expected(3)]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_images_are_of_the_network_s_type_and_labels_stay_whole(dtype: torch.dtype) -> None:
    write_lmdb("many", {b"a": datum(IMAGES[0], 4099)})
    net = load((DATA % ("scale: 0.1", "")).replace('"db"', '"many"') + LOSS, dtype=dtype)
    blobs = net.blobs({"data": torch.zeros(2, 3, 6, 8, dtype=dtype)})
    assert list(blobs) == ["data", "fc"], "what is fed is not read"
    images, label = net.layers["L"]()
    assert images.dtype == dtype
    assert label.tolist() == [4099, 4099]
    assert not net.layers["L"].state_dict()


@pytest.mark.parametrize(
    "text", [DATA % (ALL, ""), OLDER % (ALL, ""), FILES % (ALL, "shuffle: true rand_skip: 3")]
)
@pytest.mark.parametrize("phase", ["TRAIN", "TEST"])
def test_workers_read_the_same(text: str, phase: str) -> None:
    net = load(text, phase)
    runs = []
    for workers in (0, 2, 3):
        net.seed_data(1701, workers=workers)
        runs.append([*batches(net, 3), torch.tensor(labels(net, 3))])
        net.reset_state()
        runs.append([*batches(net, 3), torch.tensor(labels(net, 3))])
    for run in runs[1:]:
        assert all(map(torch.equal, runs[0], run))
    net.seed_data(1702)
    assert not all(map(torch.equal, runs[0], batches(net, 3)))


@pytest.mark.parametrize(
    "text", [DATA % (ALL, ""), OLDER % (ALL, ""), FILES % (ALL, "shuffle: true rand_skip: 4")]
)
def test_two_processes_read_what_one_does(text: str) -> None:
    whole = load(text.replace("batch_size: 2", "batch_size: 4"), "TRAIN")
    whole.seed_data(3)
    halves = [load(text, "TRAIN") for _ in range(2)]
    for rank, half in enumerate(halves):
        half.seed_data(3, rank=rank, world=2)
    for _ in range(4):
        both, one, two = (net.blobs() for net in (whole, *halves))
        for name in ("data", "label"):
            joined = torch.stack([one[name], two[name]], dim=1).flatten(0, 1)
            assert torch.equal(both[name], joined)


def test_in_test_every_process_reads_everything() -> None:
    net = load(DATA % ("", ""))
    net.seed_data(3, rank=1, world=2)
    assert labels(net, 3) == [0, 1, 2, 3, 4, 0]


def test_torch_s_generator_seeds_what_seed_data_does_not() -> None:
    runs = []
    for seed in (1, 1, 2):
        net = load(DATA % (ALL, ""), "TRAIN")
        torch.manual_seed(seed)
        runs.append(torch.stack(batches(net, 4)))
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])
    drawn = torch.random.get_rng_state()
    batches(net, 2)
    assert torch.equal(torch.random.get_rng_state(), drawn), "reading on draws no more"


def test_layers_of_one_network_draw_apart() -> None:
    second = (DATA % (ALL, "")).replace('"data"', '"more"').replace('"label"', '"kind"')
    net = load(DATA % (ALL, "") + second.replace('"L"', '"M"'), "TRAIN")
    net.seed_data(1)
    blobs = net.blobs()
    assert torch.equal(blobs["label"], blobs["kind"])
    assert not torch.equal(blobs["data"], blobs["more"])


def test_a_change_of_mode_reads_on() -> None:
    net = load(DATA % ("crop_size: 4", ""), "TRAIN")
    for workers in (0, 2):
        net.seed_data(1, workers=workers)
        net.train()
        assert labels(net, 1) == [0, 1]
        net.eval()
        blobs = net.blobs()
        assert blobs["label"].tolist() == [2, 3]
        assert (blobs["data"][0].numpy() == IMAGES[2, :, 1:5, 2:6]).all()


def test_copies_read_on_by_themselves() -> None:
    net = load(DATA % (ALL, ""), "TRAIN")
    net.seed_data(1, workers=1)
    batches(net, 1)
    copies = [copy.deepcopy(net), pickle.loads(pickle.dumps(net))]
    want = batches(net, 2)
    for other in copies:
        assert all(map(torch.equal, batches(other, 2), want))


def test_a_shuffled_epoch_holds_every_image_once() -> None:
    net = load(FILES % ("", "shuffle: true"))
    net.seed_data(5)
    order = labels(net, 10)
    epochs = [tuple(order[i : i + COUNT]) for i in range(0, 20, COUNT)]
    assert all(sorted(epoch) == list(range(COUNT)) for epoch in epochs)
    assert len(set(epochs)) == 4
    net.seed_data(5)
    assert labels(net, 10) == order
    images = net.blobs()
    for image, label in zip(images["data"], images["label"], strict=True):
        assert image.tolist() == expected(int(label))


def test_rand_skip_begins_before_it() -> None:
    net = load(FILES % ("", "rand_skip: 4"))
    starts = set()
    for seed in range(30):
        net.seed_data(seed)
        order = labels(net, 3)
        assert order == [(order[0] + i) % COUNT for i in range(6)]
        starts.add(order[0])
    assert starts == {0, 1, 2, 3}
    net = load(FILES % ("", "rand_skip: 1000"))
    with pytest.raises(ShapeError, match=r"rand_skip passes over \d+ images, list.txt has 5"):
        net.blobs()


def test_image_files_are_resized_and_grey_as_asked_for() -> None:
    from prototxt.data.images import read_image, resize

    net = load(FILES % ("crop_size: 4", "new_height: 5 new_width: 9 is_color: false"))
    assert net.input_shapes["data"] == (2, 1, 4, 4)
    want = resize(read_image("img/0.png", color=False), 5, 9)[:4, 2:6, 0]
    assert net.blobs()["data"][0, 0].tolist() == want.tolist()
    net = load(FILES % ("", "new_height: 5 new_width: 9"))
    assert net.blobs()["data"].shape == (2, 3, 5, 9)


def encoded(path: str, **fields: Any) -> bytes:
    made = dialect("bvlc").message("Datum")(encoded=True, data=Path(path).read_bytes(), **fields)
    return bytes(made.SerializeToString())


def test_encoded_images_are_decoded() -> None:
    grey = IMAGES[0, :1]
    pillow.fromarray(grey[0]).save("img/grey.png")
    write_lmdb("enc", {b"a": encoded("img/grey.png", label=7), b"b": encoded("img/grey.png")})
    text = (DATA % ("%s", "%s")).replace('"db"', '"enc"')
    plain = load(text % ("", ""))
    assert plain.blobs()["data"].tolist() == [grey.tolist()] * 2
    for colour in (("force_color: true", ""), ("", "force_encoded_color: true")):
        blobs = load(text % colour).blobs()
        assert blobs["data"].tolist() == [grey.tolist() * 3] * 2
        assert blobs["label"].tolist() == [7, 0]
    write_lmdb("enc3", {b"a": encoded("img/0.png")})
    text = text.replace('"enc"', '"enc3"')
    assert load(text % ("", "")).blobs()["data"][0].tolist() == expected(0)
    assert load(text % ("force_gray: true", "")).input_shapes["data"] == (2, 1, 6, 8)


def test_floats_are_read_as_they_are() -> None:
    values = IMAGES[0].astype(np.float32) / 7 - 9
    write_lmdb("float", {b"a": datum(values, 1)})
    net = load((DATA % ("scale: 2 mean_value: 0.5", "")).replace('"db"', '"float"'))
    assert net.blobs()["data"][1].tolist() == ((values - np.float32(0.5)) * 2).tolist()


def test_batches_may_differ_in_size_but_not_their_images() -> None:
    sizes = [IMAGES[0], IMAGES[1], IMAGES[2, :, :5], IMAGES[3, :, :5], IMAGES[4, :, :5]]
    write_lmdb("sizes", {b"%d" % i: datum(image, i) for i, image in enumerate(sizes)})
    text = (DATA % ("", "")).replace('"db"', '"sizes"')
    pool = (
        'layer { name: "p" type: "Pooling" bottom: "data" top: "p"'
        " pooling_param { pool: AVE global_pooling: true } }\n"
    )
    net = load(text + pool)
    assert [net.blobs()["data"].shape[2] for _ in range(2)] == [6, 5]
    with pytest.raises(ShapeError, match=r"sample 5 is \(3, 6, 8\), .* first .* \(3, 5, 8\)"):
        net.blobs()
    net = load(text + LOSS)
    net.loss()
    with pytest.raises(ShapeError, match=r"layer 'fc' \(InnerProduct\)"):
        net.loss()


@pytest.mark.parametrize("workers", [0, 2])
def test_a_bad_record_is_named_and_reading_goes_on_failing(workers: int) -> None:
    records = {b"%04d" % i: datum(image, i) for i, image in enumerate(IMAGES)}
    records[b"0003"] = records[b"0003"][:-40]
    write_lmdb("bad", records)
    net = load((DATA % ("", "")).replace('"db"', '"bad"'))
    net.seed_data(1, workers=workers)
    net.blobs()
    for _ in range(2):
        with pytest.raises(FormatError) as caught:
            net.blobs()
        assert str(caught.value) == (
            "layer 'L' (Data): bad: record '0003': not the bytes of a Datum"
        )


@pytest.mark.parametrize("workers", [0, 1])
def test_a_bad_image_is_named(workers: int) -> None:
    Path("img/3.png").write_bytes(Path("img/3.png").read_bytes()[:50])
    Path("img/4.png").unlink()
    net = load(FILES % ("", "shuffle: false"))
    net.seed_data(1, workers=workers)
    net.blobs()
    with pytest.raises(FormatError, match=r"layer 'L' \(ImageData\): img/3.png: no image: "):
        net.blobs()
    Path("list.txt").write_text("0.png 0\n4.png 4\n")
    with pytest.raises(FormatError, match=r"img/4.png: the image cannot be read: No such file"):
        load(FILES % ("", "")).blobs()


def test_an_image_too_small_is_named_with_its_record() -> None:
    write_lmdb("small", {b"a": datum(IMAGES[0]), b"b": datum(IMAGES[1, :, :3])})
    net = load((DATA % ("crop_size: 4", "")).replace('"db"', '"small"'))
    with pytest.raises(ShapeError, match="small: record 'b': the image is 3 x 8, crop_size wants"):
        net.blobs()
    Path("mean").write_bytes(b"")
    net = load(DATA % ('mean_file: "mean"', ""))
    with pytest.raises(FormatError, match="db: record '00000000': mean: the file is empty"):
        net.blobs()


def test_bad_databases_are_refused_at_load() -> None:
    with pytest.raises(ShapeError, match="batch_size is 0"):
        load((DATA % ("", "")).replace("batch_size: 2", ""))
    Path("bad").mkdir()
    Path("bad/data.mdb").write_bytes(b"no database" * 1000)
    bad = (DATA % ("", "")).replace('"db"', '"bad"')
    with pytest.raises(FormatError, match=r"layer 'L' \(Data\): bad: no LMDB that can be read"):
        load(bad)
    with pytest.raises(FormatError, match=r"layer 'L' \(Data\): img: no LevelDB: its CURRENT"):
        load((OLDER % ("", "")).replace('"ldb"', '"img"'))
    shapes = {"data": (2, 3, 6, 8), "label": (2,)}
    assert load(bad + LOSS, input_shapes=shapes).input_shapes == shapes
    Path("list.txt").write_text("0.png\n")
    with pytest.raises(FormatError, match=r"list\.txt:1: '0.png', wants `image label`"):
        load(FILES % ("", ""))


SHAPES = {"data": (2, 3, 6, 8), "label": (2,)}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ((DATA % ("", "")).replace('"db"', '"gone"'), "there is no database 'gone'"),
        ((FILES % ("", "")).replace("list.txt", "gone.txt"), "the list 'gone.txt' cannot be read"),
        (
            (DATA % ("", "")).replace("backend: LMDB", ""),
            "db: no LEVELDB\n  fix: say `backend: LMDB`: it is one",
        ),
        (
            OLDER.replace("LEVELDB", "LMDB") % ("", ""),
            "ldb: no LMDB\n  fix: say `backend: LEVELDB`: it is one",
        ),
    ],
)
def test_data_that_are_not_there_can_be_fed(text: str, says: str) -> None:
    net = load(text + LOSS, input_shapes=SHAPES)
    fed = {"data": torch.zeros(2, 3, 6, 8), "label": torch.zeros(2)}
    assert net.loss(fed).item() == pytest.approx(np.log(5))
    assert list(net()) == []
    for _ in range(2):
        with pytest.raises(CaffeError) as caught:
            net.loss({})
        assert str(caught.value).startswith(f"layer 'L' ({text.split()[5][1:-1]}): {says}")
    first = says.partition("\n")[0]
    with pytest.raises(ShapeError, match=f"not say the shape of 'data', and {first}"):
        load(text)


def test_a_fork_s_ways_to_prepare_images_are_not_passed_over() -> None:
    text = DATA % ("distort_param { brightness_prob: 1 }", "") + LOSS
    net = load(text, input_shapes=SHAPES)
    with pytest.raises(UnsupportedError, match="data are not read with a fork's 'distort_param'"):
        net.loss({})


def test_a_missing_lmdb_hinders_no_conversion(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "lmdb", None)
    net = load(DATA % ("", "") + LOSS, input_shapes=SHAPES)
    with pytest.raises(CaffeError, match=r'needs lmdb\n  fix: pip install "caffeport\[lmdb\]"'):
        net.loss({})


def test_an_exported_model_has_the_tops_as_inputs(folder: Path) -> None:
    graph = converter.export_onnx(load(DATA % ("", "") + LOSS), folder / "net.onnx")
    assert list(graph.inputs) == ["data"]


def test_a_network_trains_on_what_it_reads() -> None:
    net = load(DATA % ("scale: 0.01", "") + LOSS, "TRAIN")
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = net.loss({})
        torch.autograd.backward(loss)
        optimizer.step()
        losses.append(loss.item())
    assert np.mean(losses[-5:]) < 0.1 * np.mean(losses[:5])


MEMORY = (
    'layer { name: "L" type: "MemoryData" top: "data" top: "label" transform_param { %s }'
    " memory_data_param { batch_size: 2 channels: 3 height: 4 width: 4 } }\n"
)


def test_memory_gives_what_it_was_given() -> None:
    net = load(MEMORY % "scale: 2")
    with pytest.raises(UnsupportedError, match="MemoryData has no data"):
        net.blobs()
    data = torch.randn(4, 3, 4, 4)
    net.layers["L"].reset(data, [1, 2, 3, 4])  # type: ignore[operator]
    for first in (0, 2, 0):
        blobs = net.blobs()
        assert torch.equal(blobs["data"], data[first : first + 2]), "as it is"
        assert blobs["label"].tolist() == [first + 1, first + 2]
    assert list(net.blobs({"data": data})) == ["data"]


def test_memory_of_volumes() -> None:
    text = 'layer { name: "L" type: "MemoryData" top: "data" top: "label" %s }'
    net = load(text % "memory_data_param { dim: [2, 1, 3, 4, 5] }")
    data = torch.randn(2, 1, 3, 4, 5)
    net.layers["L"].reset(data, [1, 2])  # type: ignore[operator]
    blobs = net.blobs()
    assert torch.equal(blobs["data"], data)
    assert blobs["label"].tolist() == [[[[[1]]]], [[[[2]]]]]


def test_memory_transforms_added_images() -> None:
    net = load(MEMORY % "crop_size: 4 scale: 2 mean_value: 3")
    net.layers["L"].add_images(IMAGES[:4], range(4))  # type: ignore[operator]
    net.blobs()
    want = (IMAGES[2:4, :, 1:5, 2:6].astype(float) - 3) * 2
    assert net.blobs()["data"].tolist() == want.tolist()
    net = load(MEMORY % ALL, "TRAIN")
    runs = []
    for seed in (1, 1, 2):
        net.seed_data(seed)
        net.layers["L"].add_images(IMAGES[:4], range(4))  # type: ignore[operator]
        runs.append(torch.stack(batches(net, 2)))
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])


@pytest.mark.parametrize(
    ("data", "classes", "says"),
    [
        (np.zeros((2, 3, 4, 5)), [0, 0], "wants n x"),
        (np.zeros((3, 3, 4, 4)), [0, 0, 0], "3 images are no multiple of batch_size 2"),
        (np.zeros((0, 3, 4, 4)), [], "0 images are no multiple"),
        (np.zeros((2, 3, 4, 4)), [0], "1 labels for 2 images"),
    ],
)
def test_memory_wants_whole_batches(data: np.ndarray, classes: list[int], says: str) -> None:
    net = load(MEMORY % "")
    with pytest.raises(ShapeError, match=says):
        net.layers["L"].reset(data, classes)  # type: ignore[operator]
    with pytest.raises(ShapeError, match=r"an image is \(3, 6, 8\) transformed, wants \(3, 4, 4\)"):
        net.layers["L"].add_images(IMAGES[:2], [0, 0])  # type: ignore[operator]


@pytest.fixture
def hdf5() -> str:
    """Return an HDF5Data layer over two files, of 3 and 4 rows that count up."""
    from prototxt.hdf5.datasets import write_datasets

    pytest.importorskip("h5py", reason="HDF5 files need h5py")
    write_datasets("a.h5", {"data": np.arange(3.0)})
    write_datasets("b.h5", {"data": np.arange(3.0, 7)})
    Path("h5.txt").write_text("a.h5 b.h5")
    return (
        'layer { name: "L" type: "HDF5Data" top: "data"'
        ' hdf5_data_param { source: "h5.txt" batch_size: 2 %s } }\n'
    )


@pytest.mark.parametrize("shuffle", ["", "shuffle: true"])
def test_hdf5_rows_are_shared_out(hdf5: str, shuffle: str) -> None:
    for world in (2, 3, 5):
        size = f"batch_size: {2 * world}"
        whole = load((hdf5 % shuffle).replace("batch_size: 2", size), "TRAIN")
        whole.seed_data(3)
        parts = [load(hdf5 % shuffle, "TRAIN") for _ in range(world)]
        for rank, part in enumerate(parts):
            part.seed_data(3, rank=rank, world=world)
        for _ in range(5):
            joined = torch.stack([part.blobs()["data"] for part in parts], dim=1).flatten()
            assert whole.blobs()["data"].tolist() == joined.tolist()


def test_a_seeded_hdf5_shuffle_comes_again(hdf5: str) -> None:
    net = load(hdf5 % "shuffle: true")
    runs = []
    for seed in (1, 1, 2):
        net.seed_data(seed)
        runs.append(torch.cat(batches(net, 14)).tolist())
    assert runs[0] == runs[1] != runs[2]
    assert sorted(runs[0]) == sorted([*range(7)] * 4)
    net.seed_data(1, rank=1, world=2)
    assert torch.cat(batches(net, 14)).tolist() == runs[0], "in TEST everything"
