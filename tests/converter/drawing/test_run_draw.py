"""`run --draw`: boxes, maps and classes on the photo that is fed, in torch and from ONNX."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import converter
from converter.__main__ import main
from converter.drawing.overlay import covered, describe, draw_result
from converter.drawing.predictions import Boxes, Classes, ClassMap, DetectedBox, read_result
from converter.onnx.model import OnnxModel
from converter.preprocessing import Preprocessing
from prototxt.errors import UnsupportedError

VERIFY = import_module("converter.verification.verify")
GREY = np.full((60, 90, 3), 128, np.uint8)


def rows(*values: list[float]) -> np.ndarray:
    return np.array(values, np.float32)[None, None]


FOUND = rows(
    [0, 1, 0.9, 0.1, 0.5, 0.5, 0.9], [0, 2, 0.6, 0.6, 0.3, 0.9, 0.8], [0, 1, 0.2, 0, 0, 1, 1]
)


def test_boxes_come_by_rising_score() -> None:
    name, result = read_result({"found": FOUND, "prob": np.eye(1, 5)})
    assert name == "found"
    assert isinstance(result, Boxes)
    assert [(box.label, round(box.score, 2)) for box in result.boxes] == [(2, 0.6), (1, 0.9)]
    _, every = read_result({"found": FOUND}, least=0)
    assert isinstance(every, Boxes)
    assert len(every.boxes) == 3


def test_nothing_found_is_no_box() -> None:
    _, result = read_result({"found": rows([0, *[-1] * 6])}, least=-2)
    assert result == Boxes(())
    assert describe(result) == ["no box"]


def test_map_of_planes_of_indices_and_of_probabilities() -> None:
    planes = np.zeros((1, 3, 4, 5))
    planes[0, 2, 1], planes[0, 1, 2] = 1, 1
    for value, want in (
        (planes, [0, 2, 1, 0]),
        (planes[:, 2:] * 0.7, [0, 1, 0, 0]),
        (planes[:, 1:2] * 9, [0, 0, 9, 0]),
    ):
        _, result = read_result({"map": value})
        assert isinstance(result, ClassMap)
        assert result.classes.shape == (4, 5)
        assert result.classes[:, 0].tolist() == want


def test_classes_are_probabilities_or_become_them() -> None:
    _, result = read_result({"prob": np.array([[0.1, 0.7, 0.2]])}, most=2)
    assert result == Classes(((1, 0.7), (2, 0.2)))
    _, result = read_result({"fc": np.array([[0.0, np.log(3), -np.inf]]).reshape(1, 3, 1, 1)})
    assert isinstance(result, Classes)
    assert [(label, round(score, 6)) for label, score in result.scores] == [
        (1, 0.75),
        (0, 0.25),
        (2, 0.0),
    ]


def test_output_that_says_nothing_is_listed() -> None:
    outputs = {"boxes": np.zeros((1, 9, 4)), "scores": np.zeros((1, 9, 2))}
    with pytest.raises(UnsupportedError, match=r"boxes 1x9x4, scores 1x9x2.*outside of the"):
        read_result(outputs)


def test_several_are_asked_about() -> None:
    outputs = {"a": np.eye(1, 5), "b": np.eye(1, 6)}
    with pytest.raises(UnsupportedError, match="a, b could be drawn\n  fix: name one with --blob"):
        read_result(outputs)
    assert read_result(outputs, blob="b")[0] == "b"


def test_boxes_are_where_they_belong() -> None:
    result = Boxes((DetectedBox(3, 0.8, (0.2, 0.5, 0.6, 0.9)),))
    image = np.asarray(draw_result(GREY, result))
    changed = (image != GREY).any(2)
    ys, xs = np.nonzero(changed[33:])  # the label's ground is above
    assert (xs.min(), xs.max()) == (18, 54)
    assert ys.max() + 33 == 54
    assert not changed[40:50, 30:45].any()
    assert np.array_equal(GREY, np.full_like(GREY, 128)), "the photo itself was drawn on"


def test_map_covers_what_the_network_sees() -> None:
    classes = np.zeros((2, 2), np.int64)
    classes[1] = 4
    area = covered(60, 90, Preprocessing(resize=30, crop=(30, 30)))
    assert area == (14, 0, 74, 60)
    image = np.asarray(draw_result(GREY, ClassMap(classes), area=area))
    changed = (image != GREY).any(2)
    assert changed[31:, 14:74].all()
    assert not changed[:30, 20:].any()
    assert not changed[:, 75:].any()


def test_covered_parts() -> None:
    assert covered(60, 90, None) == (0, 0, 90, 60)
    assert covered(60, 90, Preprocessing(resize=(20, 20), crop=(20, 20))) == (0, 0, 90, 60)
    assert covered(60, 90, Preprocessing(resize=(20, 30), crop=(10, 10))) == (30, 15, 60, 45)


def test_names_of_classes() -> None:
    result = Classes(((1, 0.5), (7, 0.25)))
    assert describe(result, ["sky", "sea"]) == ["sea 0.500", "7 0.250"]
    plain = np.asarray(draw_result(GREY, result))
    assert not np.array_equal(np.asarray(draw_result(GREY, result, ["sky", "sea"])), plain)


NET = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: [1, 3, 6, 9] } } }
layer { name: "mean" type: "Pooling" bottom: "data" top: "mean"
        pooling_param { pool: AVE global_pooling: true } }
layer { name: "prob" type: "Softmax" bottom: "mean" top: "prob" }
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "net.prototxt").write_text(NET)
    (tmp_path / "labels.txt").write_text("blue\ngreen\nred\n")
    np.save(tmp_path / "x.npy", np.zeros((1, 3, 6, 9), np.float32))
    photo = np.zeros((12, 18, 3), np.uint8)
    photo[:, :, 0] = 9  # red is the last plane of Caffe's
    Image.fromarray(photo).save(tmp_path / "photo.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("engine", ["torch", "onnx"])
@pytest.mark.parametrize(
    "more",
    [["--raw", "--input-shape", "data=1,3,12,18"], ["--mean", "1"]],
    ids=["as it is", "preprocessed"],
)
def test_command(
    engine: str, more: list[str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net = "net.prototxt"
    if engine == "onnx":
        net = "net.onnx"
        shapes = {"data": (1, 3, 12, 18)} if "--raw" in more else {}
        converter.export_onnx(converter.load("net.prototxt", input_shapes=shapes), net)
        more = [word for word in more if "input-shape" not in word and not word.startswith("data=")]
    args = ["run", net, "--input", "data=photo.png", "--labels", "labels.txt", *more]
    assert main([*args, "--draw", "out.png", "--output", "blobs.npz"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("preprocessing: 12x18 as it is" if "--raw" in more else "preproc")
    assert said[1] == "prob 1x3x1x1"
    assert said[2].startswith("red 1.000")
    assert said[-1] == "wrote out.png"
    with Image.open("out.png") as image:
        assert image.size == (18, 12)
    with np.load("blobs.npz") as blobs:
        assert blobs["prob"].argmax() == 2


PHOTO = ["net.prototxt", "--input", "data=photo.png"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["net.prototxt"], "nothing is asked for"),
        (["net.prototxt", "--input", "data=x.npy"], "nothing is asked for of 0 photos"),
        ([*PHOTO, "--mean", "1", "--blob", "data"], "there is no output 'data'"),
        (["net.prototxt", "--draw", "out.png"], "0 of the inputs are images, --draw wants one"),
        (["net.onnx", "net.caffemodel", "--draw", "o.png"], "has its weights inside"),
        ([*PHOTO, "--mean", "1", "--draw", "out.xyz"], "no suffix of an"),
        ([*PHOTO, "--mean", "1", "--draw", "out.png", "--blob", "no"], "there is no output 'no'"),
        ([*PHOTO, "--draw", "out.png"], "nothing says how images become the input"),
        ([*PHOTO, "--raw", "--draw", "out.png"], "the image is 12x18, the input 6x9"),
        ([*PHOTO, "--raw", "--scale", "2", "--draw", "out.png"], "cannot be fed as they are and"),
        (["net.prototxt", "--input", "nope=photo.png", "--draw", "o.png"], "'nope' is unknown"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_refusals(
    args: list[str], message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", *args]) == 1
    assert message in capsys.readouterr().err
    assert not list(folder.glob("o*.*")), "something was written"


def test_photo_alone_is_answered(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    args = ["run", *PHOTO, "--mean", "1", "--labels", "labels.txt"]
    assert main(args) == 0
    alone = capsys.readouterr().out.splitlines()
    assert alone[2].startswith("red 1.000")
    assert main([*args, "--draw", "out.png"]) == 0
    assert capsys.readouterr().out.splitlines() == [*alone, "wrote out.png"]


def test_photo_that_no_output_answers_is_still_written(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", *PHOTO, "--mean", "1", "--end", "mean,prob", "--output", "blobs.npz"]) == 0
    assert "wrote blobs.npz" in capsys.readouterr().out


def test_model_of_any_size_wants_the_photo_as_it_is(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net = converter.load("net.prototxt")
    converter.export_onnx(net, "net.onnx", dynamic=("batch", "height", "width"))
    args = ["run", "net.onnx", "--input", "data=photo.png", "--mean", "1", "--draw", "out.png"]
    assert main(args) == 1
    assert "the model takes images of any size as 'data'" in capsys.readouterr().err


def test_an_input_that_does_not_fit_the_model_is_not_run(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    converter.export_onnx(converter.load("net.prototxt"), "net.onnx")
    np.save("x.npy", np.zeros((1, 3, 5, 5), np.float32))
    assert main(["run", "net.onnx", "--input", "data=x.npy", "--output", "out.npz"]) == 1
    assert "net.onnx: input 'data' is 1 x 3 x 5 x 5, the model takes" in capsys.readouterr().err
    assert not Path("out.npz").exists()


def test_a_model_that_prepares_photos_gets_the_photo(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args = ["net.prototxt", "-o", "out", "--embed-preprocessing", "--mean", "1", "--quiet"]
    assert main(["convert", *args]) == 0
    args = ["run", "out/net.onnx", "--input", "image=photo.png", "--labels", "labels.txt"]
    assert main([*args, "--draw", "out.png"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("preprocessing: the model's own")
    assert said[2].startswith("red 1.000")
    assert main([*args, "--draw", "o.png", "--mean", "1"]) == 1
    assert "prepares images itself" in capsys.readouterr().err


def test_face_is_found(shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = shared / "models" / "yufacedetect_v1"
    net, weights = str(folder / "deploy.prototxt"), str(folder / "weights.caffemodel")
    photo = f"data={shared / 'images' / 'astronaut.png'}"
    more = ["--input", photo, "--mean", "103.94,116.78,123.68", "--least", "0.9"]
    assert main(["run", net, weights, *more, "--draw", str(tmp_path / "torch.png")]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[2].startswith("1 1.000 at 0.35")
    assert len(said) == 4, "what was done to the photo, a face, and where it is written"
    model = str(tmp_path / "net.onnx")
    converter.export_onnx(converter.load(net, weights), model)
    assert main(["run", model, *more, "--draw", str(tmp_path / "onnx.png")]) == 0
    with Image.open(tmp_path / "torch.png") as ours, Image.open(tmp_path / "onnx.png") as theirs:
        assert np.array_equal(np.asarray(ours), np.asarray(theirs))
        assert ours.size == (512, 512)


CONV = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: [1, 3, 6, 9] } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 2 kernel_size: 3 weight_filler { type: "xavier" } } }
"""


def fed_to_onnx(monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """Gather the images that verification feeds to ONNX Runtime."""
    seen: list[np.ndarray] = []

    plain = OnnxModel.run

    def run(model, inputs):
        seen.append(inputs["image" if "image" in inputs else "data"])
        return plain(model, inputs)

    monkeypatch.setattr(OnnxModel, "run", run)
    return seen


SETTINGS = ["--family", "bvlc", "--resize", "6x9", "--scale", "0.5"]
"""Not the photo's 12 x 18, and no zero at the least value."""


def test_checks_feed_a_photo_as_run_does(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "net.prototxt").write_text(CONV)
    converter.save_caffemodel(converter.load("net.prototxt"), "net.caffemodel")
    net = ["net.prototxt", "net.caffemodel"]
    given = ["--input", "data=photo.png", *SETTINGS]
    assert main(["run", *net, *given, "--output", "blobs.npz"]) == 0
    with np.load("blobs.npz") as blobs:
        want = blobs["data"]
    assert want[0, :, 0, 0].tolist() == [-52, -58.5, -57]
    seen = fed_to_onnx(monkeypatch)
    assert main(["convert", *net, "-o", "out", *given]) == 0
    assert main(["verify", *net, *given]) == 0
    assert main(["verify", *net, "out/net.onnx", *given]) == 0
    # Beside the photo what is fed of another size, once by each that has a file.
    assert len(seen) == 5
    assert sum(np.array_equal(got, want) for got in seen) == 3
    seen.clear()
    given = ["--input", "image=photo.png", *SETTINGS]
    assert main(["convert", *net, "-o", "out", "--embed-preprocessing", *given]) == 0
    assert main(["verify", *net, "out/net.onnx", *given]) == 0
    with Image.open("photo.png") as photo:
        assert sum(np.array_equal(got, np.asarray(photo)[None]) for got in seen) == 2


def test_a_photo_that_does_not_fit_is_not_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "net.prototxt").write_text(CONV)
    converter.save_caffemodel(converter.load("net.prototxt"), "net.caffemodel")
    net = ["net.prototxt", "net.caffemodel"]
    assert main(["convert", *net, "-o", "out", "--quiet"]) == 0
    seen = fed_to_onnx(monkeypatch)
    monkeypatch.setattr(VERIFY, "Runs", None)
    for args in (["convert", *net, "-o", "new"], ["verify", *net, "out/net.onnx"]):
        assert main([*args, "--input", "data=photo.png", "--quiet"]) == 1
        assert capsys.readouterr().err == (
            "caffeport: nothing says how images become the input of the network\n"
            "  fix: give --family, or --mean (and --scale, --channels, --resize, --crop), or --raw "
            "to feed images as they are\n"
        )
        assert main([*args, "--input", "data=photo.png", "--raw", "--quiet"]) == 1
        assert "the image is 12x18, the input 6x9" in capsys.readouterr().err
    assert not seen


def test_a_model_that_crops_photos_draws_where_it_looked(folder: Path) -> None:
    (folder / "net.prototxt").write_text(CONV)
    loaded = converter.load("net.prototxt")
    loaded.params["conv"][1].data[1] = 1e6  # the second class wherever it looks
    converter.save_caffemodel(loaded, "net.caffemodel")
    net = ["net.prototxt", "net.caffemodel"]
    drawn = {}
    for resize in ("9", "9x15"):
        sizes = ["--family", "bvlc", "--resize", resize]
        assert main(["convert", *net, "-o", "out", "--embed-preprocessing", *sizes]) == 0
        runs = {
            "torch": ["run", *net, "--input", "data=photo.png", *sizes],
            "onnx": ["run", "out/net.onnx", "--input", "image=photo.png"],
        }
        for name, args in runs.items():
            assert main([*args, "--draw", f"{name}.png"]) == 0
            with Image.open(f"{name}.png") as image:
                drawn[name, resize] = np.asarray(image)
        assert np.array_equal(drawn["onnx", resize], drawn["torch", resize])
    assert not np.array_equal(drawn["onnx", "9"], drawn["onnx", "9x15"])


@pytest.mark.parametrize("more", [[], ["--scale", "1"], ["--channels", "BGR"]], ids=str)
def test_a_photo_is_prepared_as_the_definition_says(more: list[str], folder: Path) -> None:
    """Whether some option is given changes nothing but what it says."""
    data = """layer { name: "d" type: "Data" top: "data"
      transform_param { mean_value: 1 mean_value: 2 mean_value: 3 crop_size: 6 }
      data_param { source: "db" batch_size: 1 } }"""
    (folder / "net.prototxt").write_text(data + NET[NET.index('layer { name: "mean"') :])
    shape = ["--input-shape", "data=1,3,6,6"]
    args = ["run", "net.prototxt", "--deploy", *shape, "--input", "data=photo.png", *more]
    assert main([*args, "--output", "blobs.npz"]) == 0
    with np.load("blobs.npz") as blobs:
        assert blobs["data"].shape == (1, 3, 6, 6)
        assert blobs["data"][0, :, 2, 2].tolist() == [-1, -2, 6]


@pytest.mark.parametrize("kind", ["values", "a mean image"])
def test_an_option_replaces_a_part_of_what_a_models_metadata_say(folder: Path, kind: str) -> None:
    mean = np.arange(3 * 8 * 11, dtype=np.float32).reshape(3, 8, 11)
    np.save("mean.npy", mean)
    given = ["--mean", "1,2,3" if kind == "values" else "mean.npy", "--scale", "2"]
    assert main(["convert", "net.prototxt", "-o", "out", *given]) == 0
    runs = {"torch": ["run", "net.prototxt", *given], "onnx": ["run", "out/net.onnx"]}
    for more in ([], ["--scale", "0.5"], ["--channels", "RGB"], ["--resize", "8x11"]):
        for name, args in runs.items():
            photo = ["--input", "data=photo.png", "--output", f"{name}.npz"]
            assert main([*args, *photo, *more]) == 0, more
        with np.load("torch.npz") as torch, np.load("onnx.npz") as onnx:
            assert np.allclose(torch["prob"], onnx["prob"], atol=1e-6), more
    for file in folder.glob("out/*.npy"):
        file.unlink()
    more = ["--output", "onnx.npz", "--mean", "0"]
    assert main(["run", "out/net.onnx", "--input", "data=photo.png", *more]) == 0


@pytest.mark.parametrize("more", [["--scale", "1"], ["--channels", "RGB"], ["--crop", "6x9"]])
def test_an_option_is_no_preprocessing(
    folder: Path, more: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["convert", "net.prototxt", "-o", "out"]) == 0
    for net in ("net.prototxt", "out/net.onnx"):
        assert main(["run", net, "--input", "data=photo.png", *more]) == 1, net
        assert "nothing says how images become" in capsys.readouterr().err


def test_a_model_of_raw_photos_takes_those_of_its_size(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["convert", "net.prototxt", "-o", "out", "--raw"]) == 0
    args = ["run", "out/net.onnx", "--output", "blobs.npz", "--input"]
    capsys.readouterr()
    assert main([*args, "data=photo.png"]) == 1
    assert "the image is 12x18, the input 6x9" in capsys.readouterr().err
    assert "photo = photo[" not in Path("out/report.md").read_text()
    Image.open("photo.png").resize((9, 6)).save("small.png")
    assert main([*args, "data=small.png"]) == 0
    assert "6x9 as it is" in capsys.readouterr().out


@pytest.mark.parametrize("dtype", ["float64", "float16", "int64", "uint8", "bool"])
def test_arrays_of_any_numbers_are_fed_to_networks_and_models(folder: Path, dtype: str) -> None:
    assert main(["convert", "net.prototxt", "-o", "out"]) == 0
    np.save("x.npy", (np.random.default_rng(1701).random((1, 3, 6, 9)) * 2).astype(dtype))
    for net in ("net.prototxt", "out/net.onnx"):
        out = ["--output", f"{Path(net).suffix}.npz"]
        assert main(["run", net, "--input", "data=x.npy", *out]) == 0, net
    with np.load(".prototxt.npz") as torch, np.load(".onnx.npz") as onnx:
        assert np.allclose(torch["prob"], onnx["prob"], atol=1e-6)


@pytest.mark.parametrize("array", [np.full((1, 3, 6, 9), "a"), np.zeros((1, 3, 6, 9), complex)])
def test_arrays_of_no_numbers_are_named(
    folder: Path, array: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["convert", "net.prototxt", "-o", "out"]) == 0
    np.save("x.npy", array)
    np.savez("x.npz", data=array)
    for net in ("net.prototxt", "out/net.onnx"):
        for file in ("x.npy", "x.npz"):
            assert main(["run", net, "--input", f"data={file}", "--output", "out.npz"]) == 1
            said = f"caffeport: {file}: an array of {array.dtype}, wants numbers\n"
            assert capsys.readouterr().err == said


def test_a_photo_is_looked_at_upright(folder: Path) -> None:
    """As OpenCV reads it, and so the program in the report: as its camera says."""
    turned = Image.Exif()
    turned[0x0112] = 6
    photo = np.random.default_rng(1701).integers(256, size=(9, 6, 3), dtype=np.uint8)
    Image.fromarray(photo).save("photo.png", exif=turned)
    (folder / "list.txt").write_text("photo.png 1\n")
    (folder / "net.prototxt").write_text(NET.replace("global_pooling: true", "kernel_size: 1"))
    net = ["net.prototxt", "--raw"]
    assert main(["run", *net, "--input", "data=photo.png", "--output", "blobs.npz"]) == 0
    assert main(["features", *net, "--data", "list.txt", "--blobs", "mean", "-o", "f.npz"]) == 0
    upright = np.rot90(photo, -1)[:, :, ::-1].transpose(2, 0, 1)
    for file in ("blobs.npz", "f.npz"):
        with np.load(file) as blobs:
            assert np.array_equal(blobs["mean"][0], upright)


def test_verify_says_how_a_photo_is_prepared(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = "data' so: resize to 6x9, crop the middle 6x9, BGR, minus 1, times 1 (as given)"
    for args in (["verify", "net.prototxt"], ["convert", "net.prototxt", "-o", "out"]):
        assert main([*args, "--input", "data=photo.png", "--mean", "1"]) == 0
        assert capsys.readouterr().out.count(said) == 1


def test_several_images_are_fed(folder: Path) -> None:
    two = """
    layer { name: "a" type: "Input" top: "a" input_param { shape { dim: [1, 3, 12, 18] } } }
    layer { name: "b" type: "Input" top: "b" input_param { shape { dim: [1, 3, 6, 9] } } }
    layer { name: "pa" type: "Pooling" bottom: "a" top: "pa"
            pooling_param { pool: AVE global_pooling: true } }
    layer { name: "pb" type: "Pooling" bottom: "b" top: "pb"
            pooling_param { pool: AVE global_pooling: true } }
    layer { name: "sum" type: "Eltwise" bottom: "pa" bottom: "pb" top: "sum" }
    """
    (folder / "net.prototxt").write_text(two)
    args = ["run", "net.prototxt", "--input", "a=photo.png", "--input", "b=photo.png"]
    assert main([*args, "--mean", "4", "--output", "blobs.npz"]) == 0
    with np.load("blobs.npz") as blobs:
        assert blobs["sum"].ravel().tolist() == [-8, -8, 10]
        assert blobs["b"].shape == (1, 3, 6, 9)


@pytest.mark.parametrize("more", [[], ["--scale", "1"]], ids=["no option", "a no-op"])
def test_a_cup_of_coffee(
    more: list[str], shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fed raw, as any photo once was without an option, it is a mixing bowl."""
    model = shared / "models" / "squeezenet_v1.0_dc"
    text = (model / "deploy.prototxt").read_text()
    named = tmp_path / "net.prototxt"
    labels = str(shared / "images" / "synset.txt")
    photo = ["--input", f"data={shared / 'images' / 'coffee.png'}", *more]
    args = ["run", str(named), str(model / "weights.caffemodel"), *photo, "--labels", labels]
    named.write_text('name: "AlexNet"\n' + re.sub(r"(?m)^name:.*$", "", text, count=1))
    assert main([*args, "--draw", str(tmp_path / "out.png")]) == 0
    said = capsys.readouterr().out
    assert "minus 104/117/123" in said
    assert re.search(r"espresso' 0\.9", said)
    named.write_text('name: "FireNet"\n' + re.sub(r"(?m)^name:.*$", "", text, count=1))
    assert main([*args, "--draw", str(tmp_path / "other.png")]) == 1
    assert "nothing says how images become the input of FireNet" in capsys.readouterr().err
    assert not (tmp_path / "other.png").exists()
