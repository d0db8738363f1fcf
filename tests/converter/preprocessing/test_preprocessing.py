"""What images become before a network sees them: by hand, in torch, in ONNX."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import torch

import converter
from converter.__main__ import main
from converter.onnx.runtime import run_onnx
from converter.preprocessing import FAMILIES, Preprocessing, Transform
from prototxt import CaffeError, FormatError, ShapeError, UnsupportedError, UsageError

NET = """
name: "probe"
input: "data" input_shape { dim: 1 dim: 3 dim: 8 dim: 8 }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 2 kernel_size: 3 weight_filler { type: "gaussian" std: 1 } } }
"""
DATA = """
name: "trained"
layer { name: "d" type: "Data" top: "data" top: "label"
  transform_param { PARAM }
  data_param { source: "db" batch_size: 1 } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 2 kernel_size: 3 weight_filler { type: "gaussian" std: 1 } } }
"""


def images(height: int, width: int, count: int = 1) -> np.ndarray:
    generator = np.random.default_rng(1701)
    return generator.integers(256, size=(count, height, width, 3), dtype=np.uint8)


def load(folder: Path, text: str, **options: object) -> converter.CaffeNet:
    (folder / "net.prototxt").write_text(text)
    return converter.load(folder / "net.prototxt", **options)


def bilinear(plane: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize one plane between pixel centres, sample by sample."""
    out = np.empty((height, width))
    for row in range(height):
        for column in range(width):
            y = min(max((row + 0.5) * plane.shape[0] / height - 0.5, 0), plane.shape[0] - 1)
            x = min(max((column + 0.5) * plane.shape[1] / width - 0.5, 0), plane.shape[1] - 1)
            up, left = int(y), int(x)
            down, right = min(up + 1, plane.shape[0] - 1), min(left + 1, plane.shape[1] - 1)
            above = plane[up, left] * (1 - x + left) + plane[up, right] * (x - left)
            below = plane[down, left] * (1 - x + left) + plane[down, right] * (x - left)
            out[row, column] = above * (1 - y + up) + below * (y - up)
    return out


def by_hand(image: np.ndarray, what: Preprocessing, size: tuple[int, int]) -> np.ndarray:
    """Resize, order, subtract, crop the middle, scale: one H x W x 3 image, in double."""
    planes = {"R": image[:, :, 0], "G": image[:, :, 1], "B": image[:, :, 2]}
    planes = {name: bilinear(plane.astype(float), *size) for name, plane in planes.items()}
    if what.order == "GRAY":
        gray = 0.299 * planes["R"] + 0.587 * planes["G"] + 0.114 * planes["B"]
        out = np.stack([gray])
    else:
        out = np.stack([planes[letter] for letter in what.order])
    out = out - np.asarray(what.mean_planes, float)
    assert what.crop
    top, left = (size[0] - what.crop[0]) // 2, (size[1] - what.crop[1]) // 2
    return out[:, top : top + what.crop[0], left : left + what.crop[1]] * what.scale


@pytest.mark.parametrize(
    ("what", "source", "resized"),
    [
        (Preprocessing("BGR", (103.94, 116.78, 123.68), 0.017, 12, (8, 8)), (19, 30), (12, 18)),
        (Preprocessing("RGB", (1.5,), 2.0, 10, (8, 9)), (31, 17), (18, 10)),
        (Preprocessing("GRAY", (128.0,), 1 / 256, (9, 14), (8, 7)), (20, 20), (9, 14)),
        (Preprocessing("BGR", (104.0, 117.0, 123.0), 1.0, (21, 20), (20, 20)), (7, 5), (21, 20)),
    ],
)
def test_the_arithmetic_is_that_done_by_hand(what, source, resized):
    image = images(*source)
    got = Transform(what, torch.float64)(image)
    want = by_hand(image[0], what, resized)
    assert got.shape == (1, *want.shape)
    # mean and scale are float32 numbers, as Caffe's are; the weights of the resizing are torch's
    assert np.abs(got[0].numpy() - want).max() <= 1e-5 * np.abs(want).max()
    assert np.abs(Transform(what)(image)[0].numpy() - want).max() <= 1e-4 * np.abs(want).max()


@pytest.mark.parametrize("size", [(300, 400), (640, 480), (200, 260)])
def test_resizing_is_within_a_level_of_opencvs(size):
    image = images(*size)
    what = Preprocessing("RGB", resize=256)
    height, width = what.resized(*size)
    assert min(height, width) == 256
    want = cv2.resize(image[0], (width, height), interpolation=cv2.INTER_LINEAR)
    got = Transform(what)(image)[0].permute(1, 2, 0).numpy()
    assert np.abs(got - want).max() <= 1


def test_a_mean_image_is_subtracted_before_the_crop():
    mean = np.arange(3 * 10 * 12, dtype=np.float32).reshape(3, 10, 12)
    what = Preprocessing("RGB", scale=0.5, resize=(10, 12), crop=(8, 8), mean_image=mean)
    image = images(10, 12)
    want = (image[0].transpose(2, 0, 1) - mean)[:, 1:9, 2:10] * 0.5
    assert np.array_equal(Transform(what)(image)[0].numpy(), want)
    with pytest.raises(ShapeError, match=r"resized to \(11, 12\), the mean image is \(10, 12\)"):
        Transform(Preprocessing("RGB", mean_image=mean))(images(11, 12))


def test_images_of_different_sizes_and_kinds():
    what = Preprocessing(*("BGR", (1.0, 2.0, 3.0)), resize=8, crop=(8, 8))
    small, large = images(9, 12)[0], images(20, 11)[0]
    got = Transform(what)([small, torch.from_numpy(large)])
    assert torch.equal(got[:1], Transform(what)(small))
    assert torch.equal(got[1:], Transform(what)(large[None]))
    with pytest.raises(ShapeError, match="wants N x H x W x 3"):
        Transform(what)(np.zeros((4, 4), np.uint8))
    with pytest.raises(UsageError, match=r"'a\.jpg' is no image\n  fix: open it"):
        Transform(what)("a.jpg")
    with pytest.raises(UsageError, match="no image is given"):
        Transform(what)([])
    with pytest.raises(ShapeError, match=r"image is 5x9, the crop 8x8\n  fix: bring it.* --resize"):
        Transform(Preprocessing("RGB", crop=(8, 8)))(images(5, 9))


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("sknet50_basic", "sknet"),
        ("SE-ResNeXt-50 (32 x 4d)", "senet"),
        ("SENet-154", "senet"),
    ],
)
def test_families_are_recognised(tmp_path, name, family):
    net = load(tmp_path, NET.replace("probe", name))
    found = converter.preprocess(net).preprocessing
    assert found == FAMILIES[family].for_input((1, 3, 8, 8))


BVLC = """name: "%s" input: "data" input_shape { dim: [1, 3, %d, %d] }
layer { name: "fc" type: "InnerProduct" bottom: "data" top: "fc"
  inner_product_param { num_output: %d } }"""


@pytest.mark.parametrize("name", ["AlexNet", "CaffeNet", "VGG_ILSVRC_16_layers"])
@pytest.mark.parametrize("size", [224, 227])
def test_bvlcs_models_are_recognised(name, size, tmp_path):
    net = load(tmp_path, BVLC % (name, size, size, 1000), weightless=True)
    assert converter.preprocess(net).preprocessing == FAMILIES["bvlc"].for_input((1, 3, size, size))


@pytest.mark.parametrize(("size", "classes"), [(227, 20), (48, 1000)])
def test_a_name_alone_is_no_fact(size, classes, tmp_path):
    net = load(tmp_path, BVLC % ("AlexNet", size, size, classes), weightless=True)
    with pytest.raises(UnsupportedError, match="'AlexNet' is the name of one of BVLC's models"):
        converter.preprocess(net)
    assert converter.preprocess(net, family="bvlc").preprocessing.mean == (104, 117, 123)
    given = converter.preprocess(net, mean="1,2,3").preprocessing
    assert (given.mean, given.scale, given.resize) == ((1, 2, 3), 1, (size, size))


def test_what_a_name_alone_tells_is_not_built_in(tmp_path):
    (tmp_path / "net.prototxt").write_text(BVLC % ("AlexNet", 32, 32, 5))
    options = {"embed_preprocessing": True, "verify_it": False, "formats": ["onnx"]}
    with pytest.raises(UnsupportedError, match="the name alone does not say") as caught:
        converter.convert(tmp_path / "net.prototxt", None, tmp_path / "out", **options)
    assert "--family bvlc" in caught.value.fix
    said = {"family": "bvlc"}
    converter.convert(
        tmp_path / "net.prototxt", None, tmp_path / "out", preprocessing=said, **options
    )


def test_the_definition_says_it(tmp_path):
    param = "scale: 0.25 crop_size: 8 mean_value: 1 mean_value: 2 mean_value: 3 mirror: true"
    text = DATA.replace("PARAM", param)
    shapes = {"data": (1, 3, 8, 8), "label": (1,)}
    for options in ({}, {"deploy": True}):
        given = shapes if not options else {"data": shapes["data"]}
        net = load(tmp_path, text, input_shapes=given, **options)
        found = converter.preprocess(net).preprocessing
        assert (found.order, found.mean, found.scale) == ("BGR", (1.0, 2.0, 3.0), 0.25)
        assert (found.resize, found.crop) == (None, (8, 8))
        assert "transform_param of layer 'd'" in str(found)
    with pytest.raises(UnsupportedError, match="images of any size are to be resized"):
        converter.export_onnx(net, tmp_path / "net.onnx", preprocessing=found)
    assert not (tmp_path / "net.onnx").exists()
    settings = {"mean": "7", "scale": 2.0, "resize": "9", "channels": "rgb"}
    given = converter.preprocess(net, **settings).preprocessing
    assert (given.order, given.mean, given.scale, given.resize) == ("RGB", (7.0,), 2.0, 9)


SSD = """resize_param { prob: 1 resize_mode: %s height: 9 width: 9 interp_mode: LINEAR }
  mean_value: 5 distort_param { hue_prob: 0.5 }"""


@pytest.mark.parametrize(
    ("kind", "param", "resize", "crop"),
    [
        ("AnnotatedData", SSD % "WARP", (9, 9), (8, 8)),
        ("AnnotatedData", SSD % "FIT_SMALL_SIZE", 9, (8, 8)),
        ("AnnotatedData", "crop_h: 8 crop_w: 8", None, (8, 8)),
        ("Data", "crop_height: 8 crop_width: 8 scale_factors: 2", None, (8, 8)),
        ("Data", "crop_size: 8", None, (8, 8)),
        ("Data", "mean_value: 5", (8, 8), (8, 8)),
    ],
)
def test_forks_say_sizes_in_fields_of_their_own(tmp_path, kind, param, resize, crop):
    text = DATA.replace("PARAM", param).replace('"Data"', f'"{kind}"')
    net = load(tmp_path, text, input_shapes={"data": (1, 3, 8, 8)}, deploy=True)
    found = converter.preprocess(net).preprocessing
    assert (found.resize, found.crop) == (resize, crop)


@pytest.mark.parametrize(
    ("param", "field"),
    [
        (SSD % "FIT_LARGE_SIZE_AND_PAD", "transform_param.resize_param"),
        (SSD.replace("LINEAR", "NEAREST") % "WARP", "transform_param.resize_param"),
        ("bgr2rgb: true", "transform_param.bgr2rgb"),
    ],
)
def test_what_is_not_done_to_images_is_named(tmp_path, param, field):
    kind = "AnnotatedData" if "resize" in param else "Data"
    text = DATA.replace("PARAM", param).replace('"Data"', f'"{kind}"')
    net = load(tmp_path, text, input_shapes={"data": (1, 3, 8, 8)}, deploy=True)
    with pytest.raises(UsageError, match=f"does more to images than is done here: {field}"):
        converter.preprocess(net)
    assert f"without {field}" in str(converter.preprocess(net, mean="5").preprocessing)


def test_a_mean_is_a_file_or_values(tmp_path):
    np.save(tmp_path / "m.npy", np.zeros((3, 8, 8), np.float32))
    text = DATA.replace("PARAM", f'mean_value: 1 mean_file: "{tmp_path / "m.npy"}"')
    net = load(tmp_path, text, input_shapes={"data": (1, 3, 8, 8)}, deploy=True)
    with pytest.raises(UsageError, match="both mean_file and mean_value"):
        converter.preprocess(net)
    assert converter.preprocess(net, mean="1").preprocessing.mean == (1.0,)


def test_a_mean_file_that_is_not_there(tmp_path):
    text = DATA.replace("PARAM", 'mean_file: "gone.binaryproto"')
    net = load(tmp_path, text, input_shapes={"data": (1, 3, 8, 8)}, deploy=True)
    with pytest.raises(CaffeError, match=r"mean_file 'gone.binaryproto' is not there\n  fix: give"):
        converter.preprocess(net)
    assert converter.preprocess(net, mean="1").preprocessing.mean == (1.0,)


def test_means_are_read_in_every_form(tmp_path):
    net = load(tmp_path, NET)
    rng = np.random.default_rng(1)
    image = rng.uniform(0, 255, (3, 8, 8)).astype(np.float32)
    forms = {"image": image, "one": image[None], "channels": np.array([1.0, 2.0, 3.0])}
    for name, mean in forms.items():
        np.save(tmp_path / f"{name}.npy", mean)
    for name in ("image", "one"):
        found = converter.preprocess(net, mean=str(tmp_path / f"{name}.npy")).preprocessing
        assert np.array_equal(found.mean_image, image)
        assert (found.resize, found.crop) == ((8, 8), (8, 8))
    found = converter.preprocess(net, mean=str(tmp_path / "channels.npy")).preprocessing
    assert (found.mean, found.mean_image) == ((1.0, 2.0, 3.0), None)
    np.save(tmp_path / "five.npy", np.zeros((1, 1, 3, 8, 8)))
    with pytest.raises(ShapeError, match=r"five.npy: a mean of \(1, 1, 3, 8, 8\), wants one image"):
        converter.preprocess(net, mean=str(tmp_path / "five.npy"))
    (tmp_path / "no.npy").write_bytes(b"no array")
    with pytest.raises(FormatError, match=r"no\.npy: no \.npy file"):
        converter.preprocess(net, mean=str(tmp_path / "no.npy"))
    gray = load(tmp_path, NET.replace("dim: 3", "dim: 1", 1).replace("1, 3, 8, 8", "1, 1, 8, 8"))
    np.save(tmp_path / "plane.npy", image[0])
    found = converter.preprocess(gray, mean=str(tmp_path / "plane.npy")).preprocessing
    assert found.mean_image.shape == (1, 8, 8)


@pytest.mark.parametrize(
    ("mean", "said"),
    [
        (np.array(["a", "b", "c"]), "an array of <U1, wants numbers"),
        (np.zeros((3, 8, 8), complex), "an array of complex128, wants numbers"),
        (np.full((3, 8, 8), np.nan), r"a mean of \(3, 8, 8\), wants finite numbers"),
        (np.full((3, 8, 8), 1e300), r"a mean of \(3, 8, 8\), wants finite numbers"),
        (np.zeros((3, 0, 0)), r"a mean of \(3, 0, 0\), wants finite numbers"),
        (np.zeros((8, 9, 3)), r"wants channels x height x width\n  fix: turn it with"),
    ],
)
def test_means_that_are_none(tmp_path, mean, said):
    np.save(tmp_path / "m.npy", mean)
    with pytest.raises(CaffeError, match=rf"m\.npy: .*{said}"):
        converter.preprocess(load(tmp_path, NET), mean=str(tmp_path / "m.npy"))


def test_other_files_than_means(tmp_path):
    np.savez(tmp_path / "m.npz", np.zeros(3))
    (tmp_path / "m.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(90))
    for name, said in (("m.npz", "an archive of arrays, wants one"), ("m.jpg", "an image, wants")):
        with pytest.raises(CaffeError, match=said):
            converter.preprocess(load(tmp_path, NET), mean=str(tmp_path / name))
    np.save(tmp_path / "m.npy", np.arange(3.0).reshape(3, 1, 1))
    found = converter.preprocess(load(tmp_path, NET), mean=str(tmp_path / "m.npy"))
    assert found.preprocessing.mean == (0, 1, 2)


def test_a_mean_larger_than_the_input_is_resized_to_and_cropped(tmp_path):
    net = load(tmp_path, NET)
    mean = np.random.default_rng(2).uniform(0, 255, (3, 10, 12)).astype(np.float32)
    np.save(tmp_path / "mean.npy", mean)
    photo = images(10, 12)
    got = converter.preprocess(net, mean=str(tmp_path / "mean.npy"))(photo)
    want = photo[0, :, :, ::-1].transpose(2, 0, 1) - mean
    assert np.allclose(got[0].numpy(), want[:, 1:9, 2:10], atol=1e-4)
    smaller = converter.preprocess(net, mean=str(tmp_path / "mean.npy"), resize="20")
    assert smaller.preprocessing.resize == 20


def test_numbers_and_arrays_are_as_good_as_their_text(tmp_path):
    net = load(tmp_path, NET)
    said = converter.preprocess(net, mean="1,2,3", resize="12", crop="8x8").preprocessing
    for mean in ((1, 2, 3), [1.0, 2.0, 3.0], np.array([1, 2, 3])):
        given = converter.preprocess(net, mean=mean, resize=12, crop=(8, 8)).preprocessing
        assert given == said
    assert converter.preprocess(net, mean=5).preprocessing.mean == (5.0,)
    assert converter.preprocess(net, mean=1, resize=(12, 16)).preprocessing.resize == (12, 16)
    image = np.random.default_rng(1701).uniform(0, 255, (3, 8, 8)).astype(np.float32)
    np.save(tmp_path / "m.npy", image)
    photo = images(8, 8)[0]
    told = converter.preprocess(net, mean=str(tmp_path / "m.npy"))(photo)
    for mean in (image, tmp_path / "m.npy"):
        assert torch.equal(converter.preprocess(net, mean=mean)(photo), told)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"mean": (1, 2)}, "2 mean values"),
        ({"mean": [[1, 2], [3]]}, "is no mean"),
        ({"mean": ("1", "2", "3")}, "wants numbers"),
        ({"mean": (1, np.nan, 3)}, "wants finite numbers"),
        ({"mean": 0, "resize": -4}, "'-4' is no size"),
        ({"mean": 0, "crop": (8, 8, 8)}, "'8x8x8' is no size"),
        ({"mean": 0, "crop": 7.5}, "'7.5' is no size"),
    ],
)
def test_numbers_that_are_none(tmp_path, settings, said):
    with pytest.raises(CaffeError, match=said):
        converter.preprocess(load(tmp_path, NET), **settings)


def test_a_crop_is_taken_from_the_middle(tmp_path):
    net = load(tmp_path, NET)
    photo = images(12, 10)
    got = converter.preprocess(net, mean="0", crop="8")(photo)
    assert np.array_equal(got[0].numpy(), photo[0, 2:10, 1:9, ::-1].transpose(2, 0, 1))
    whole = converter.preprocess(net, mean="0").preprocessing
    assert whole.resize == (8, 8), "where nothing is said the whole image is resized"


def test_raw_is_as_it_is(tmp_path):
    net = load(tmp_path, NET)
    photo = images(8, 8)
    raw = converter.preprocess(net, raw=True)
    assert np.array_equal(raw(photo)[0].numpy(), photo[0, :, :, ::-1].transpose(2, 0, 1))
    assert str(raw.preprocessing).startswith("8x8 as it is, BGR, minus 0, times 1 (raw")
    with pytest.raises(ShapeError, match="the image is 9x8, the input 8x8"):
        raw(images(9, 8))
    with pytest.raises(UsageError, match="cannot be fed as they are and be prepared"):
        converter.preprocess(net, raw=True, scale=2.0)


def test_what_nothing_says_is_not_guessed(tmp_path):
    net = load(tmp_path, NET)
    with pytest.raises(UnsupportedError, match="nothing says how images become the input"):
        converter.preprocess(net)
    with pytest.raises(UnsupportedError, match="family 'frob' is unknown"):
        converter.preprocess(net, family="frob")
    with pytest.raises(ShapeError, match="the crop is 7x7, the input 8x8"):
        converter.preprocess(net, mean="0", crop="7")
    with pytest.raises(ShapeError, match="shorter side 7 is less than the crop 8x8"):
        converter.preprocess(net, mean="0", resize="7")
    with pytest.raises(CaffeError, match="'7x' is no size"):
        converter.preprocess(net, mean="0", resize="7x")
    with pytest.raises(ShapeError, match="2 mean values, wants 1 or 3"):
        converter.preprocess(net, mean="0,1")


@pytest.mark.parametrize("opset", [13, 17, onnx.defs.onnx_opset_version()])
@pytest.mark.parametrize(
    "settings",
    [
        {"family": "sknet"},
        {"mean": "1,2,3", "scale": 0.5, "resize": "10x12", "channels": "RGB"},
    ],
)
def test_embedded_is_the_transform_and_the_network(tmp_path, settings, opset):
    net = load(tmp_path, NET)
    transform = converter.preprocess(net, **settings)
    path = tmp_path / "net.onnx"
    converter.export_onnx(net, path, opset=opset, preprocessing=transform.preprocessing)
    converter.check_onnx(path)
    assert [value.name for value in onnx.load(str(path)).graph.input] == ["image"]
    for batch in (images(270, 301, 2), images(300, 270)):
        got = run_onnx(path, {"image": batch})["conv"]
        with torch.no_grad():
            want = net(transform(batch))["conv"].numpy()
        assert np.abs(got - want).max() <= 1e-4 * np.abs(want).max()


def test_a_gray_input_with_a_mean_image(tmp_path):
    net = load(tmp_path, NET.replace("dim: 3 dim: 8 dim: 8", "dim: 1 dim: 8 dim: 8"))
    mean = np.linspace(0, 255, 110, dtype=np.float32).reshape(1, 10, 11)
    what = Preprocessing("GRAY", resize=(10, 11), scale=0.1, crop=(8, 8), mean_image=mean)
    converter.export_onnx(net, tmp_path / "net.onnx", preprocessing=what)
    batch = images(31, 29, 3)
    with torch.no_grad():
        want = net(Transform(what)(batch))["conv"].numpy()
    got = run_onnx(tmp_path / "net.onnx", {"image": batch})["conv"]
    assert np.abs(got - want).max() <= 1e-4 * np.abs(want).max()


def test_convert_embeds_verifies_and_reports(tmp_path, capsys):
    (tmp_path / "net.prototxt").write_text(NET)
    args = ["convert", str(tmp_path / "net.prototxt"), "-o", str(tmp_path / "out")]
    assert main([*args, "--embed-preprocessing", "--family", "sknet"]) == 0
    report = (tmp_path / "out" / "report.md").read_text()
    assert "net.onnx: takes RGB images, N x H x W x 3 bytes of any size, as 'image'" in report
    assert "resize to shorter side 256, crop the middle 8x8, BGR" in report
    assert "BGR, minus 103.94/116.78/123.68, times 0.017 (known of SKNet)" in report
    assert "| conv | 2x2x6x6 |" in report
    assert main([*args, "--mean", "1,2,3"]) == 0
    assert "images become 'data' so: resize to 8x8" in (tmp_path / "out" / "report.md").read_text()
    assert main([*args, "--embed-preprocessing"]) == 1
    assert "nothing says how images become the input of probe" in capsys.readouterr().err


MORE = """
input: "info" input_shape { dim: 1 dim: 3 }
layer { name: "ip" type: "InnerProduct" bottom: "info" top: "ip"
  inner_product_param { num_output: 2 weight_filler { type: "gaussian" std: 1 } } }
"""
FIXED = """
layer { name: "flat" type: "Reshape" bottom: "conv" top: "flat"
  reshape_param { shape { dim: 1 dim: 72 } } }
"""


@pytest.mark.parametrize(
    ("text", "name", "blob"),
    [
        (NET.replace('"data"', '"image"'), "image_", "conv"),
        (NET + MORE, "image", "ip"),
        (NET + FIXED, "image", "flat"),
    ],
    ids=["the input is called image", "another input beside it", "a fixed batch"],
)
def test_what_embeds_is_verified(tmp_path, text, name, blob):
    (tmp_path / "net.prototxt").write_text(text)
    args = ["convert", str(tmp_path / "net.prototxt"), "-o", str(tmp_path / "out")]
    args += ["--embed-preprocessing", "--family", "sknet"]
    assert main(args) == 0
    report = (tmp_path / "out" / "report.md").read_text()
    assert f"| {blob} | " in report
    assert f"as {name!r}" in report
    np.save(tmp_path / "images.npy", images(20, 30, 2 if blob != "flat" else 1))
    given = ["--input", f"{name}={tmp_path / 'images.npy'}"]
    assert main([*args, *given]) == 0
    np.save(tmp_path / "images.npy", np.zeros((1, 3, 8, 8), np.float32))
    assert main([*args, *given]) == 1


def test_verify_a_model_that_takes_images(tmp_path, capsys):
    path = tmp_path / "net.prototxt"
    path.write_text(NET)
    converter.save_caffemodel(converter.load(path), tmp_path / "net.caffemodel")
    net = [str(path), str(tmp_path / "net.caffemodel")]
    made, settings = ["convert", *net, "-o", str(tmp_path)], ["--family", "sknet", "--scale", "2"]
    assert main([*made, "--embed-preprocessing", *settings, "--no-verify", "--quiet"]) == 0
    np.save(tmp_path / "images.npy", images(20, 30, 2))
    args = ["verify", *net, str(tmp_path / "net.onnx")]
    for given in ([], ["--input", f"image={tmp_path / 'images.npy'}"]):
        assert main([*args, *settings, *given]) == 0
        said = capsys.readouterr().out
        assert "the model prepares images so: resize to shorter side 256" in said
        assert "ONNX Runtime, the file as it ships, against torch: passed" in said
        assert main([*args, *settings[:2], *given]) == 1, "another scale"
        assert "FAILED at 'conv', the first blob that differs" in capsys.readouterr().out
        assert main([*args, *given]) == 1
        assert capsys.readouterr().err == (
            f"caffeport: {tmp_path / 'net.onnx'} takes images: nothing says how images become the "
            "input of probe\n  fix: give --family, or --mean (and --scale, --channels, --resize, "
            "--crop), or --raw to feed images as they are\n"
        )
    with pytest.raises(UnsupportedError, match="takes images: nothing says"):
        converter.verify(converter.load(*net), tmp_path / "net.onnx")
    assert main([*args[:-1], *settings]) == 1
    assert "--family, --scale: nothing to prepare" in capsys.readouterr().err
