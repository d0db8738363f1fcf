"""How exact models of eight bits are: digits that are lost, and photos that are called otherwise.

    python benchmarks/int8_accuracy.py SHARED [--openvino]

The demo's network is calibrated on digits of its training, and classifies the 360 that were held
out. SqueezeNet (SHARED/models) is calibrated on seeded crops of scikit-learn's two sample
photographs; compared is its top class with the float32 network's on the photos of SHARED/images,
each as it is and mirrored: whole, cropped to 90 and 80 %, at brightness 0.8 and 1.2, and as JPEG of
quality 30. Beside it stand the ratio of the outputs and the error of the difference between the
two classes that the float32 network finds highest: no more pictures can be called alike than have a
larger difference. With --seeds the crops are others too, for `minmax`. With --openvino (pip install
openvino nncf) our file runs in OpenVINO too, beside NNCF's own quantisation of our float32 file.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageOps
from sklearn.datasets import load_sample_images

import converter
from converter.demo.data import split_digits
from converter.demo.files import DIGITS, NET, WEIGHTS
from converter.demo.run import tensor_of
from converter.onnx.options import METHODS
from converter.onnx.quantization.decibels import decibels
from converter.onnx.runtime import open_onnx
from converter.preprocessing import Transform, preprocessing_of

Run = Callable[[np.ndarray], np.ndarray]
CROPS, SMALLEST, MEAN, SEED = 128, 227, "104,117,123", 1701
LISTED = 12
"""Pictures whose two highest scores are listed."""
GENERATED = "qr"
"""What is among the photos and was drawn by a program begins so."""


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shared", type=Path)
    parser.add_argument("--openvino", action="store_true")
    parser.add_argument("--seeds", type=int, nargs="*", default=[], help="of other crops")
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        digits(Path(folder))
        photos(args.shared, Path(folder), args.seeds, openvino=args.openvino)


def digits(folder: Path) -> None:
    """Print how many digits each file gets right."""
    (images, _), _ = split_digits()
    feeds = [{"data": tensor_of(images[index : index + 1]).numpy()} for index in range(CROPS)]
    with np.load(DIGITS) as held:
        x, labels = tensor_of(held["images"]).numpy(), held["labels"]
    net = converter.load(NET, WEIGHTS)
    plain = folder / "digits.onnx"
    converter.export_onnx(net, plain)
    rows = [("float32", plain)]
    for form, each in (("", net), (", optimised", net.optimize(channels_last=False))):
        for method in METHODS:
            path = folder / f"digits{form}.{method}.onnx"
            given = converter.Calibration(feeds, method)
            converter.export_onnx(each, path, calibration=given)
            rows.append((f"eight bits{form}, {method}", path))
    print(f"| digits | right of {len(labels)} |\n|---|---|")
    for name, path in rows:
        found = open_onnx(path)({"data": x})["classifier"].argmax(1)
        print(f"| {name} | {(found == labels).sum()} |", flush=True)


def photos(shared: Path, folder: Path, seeds: list[int], *, openvino: bool) -> None:
    """Print how often each file's top class is the float32 network's."""
    model = shared / "models" / "squeezenet_v1.0_dc"
    net = converter.load(model / "deploy.prototxt", model / "weights.caffemodel")
    prepare = Transform(preprocessing_of(net, mean=MEAN))
    pictures = [prepare(np.asarray(one)).numpy() for one in seen(shared / "images")]

    def feeds_of(seed: int) -> list[dict[str, np.ndarray]]:
        return [{"data": prepare(np.asarray(one)).numpy()} for one in crops(seed)]

    feeds = feeds_of(SEED)
    clean = net.optimize(channels_last=False)
    plain = folder / "photos.onnx"
    converter.export_onnx(clean, plain)
    float32 = in_onnxruntime(plain)
    wanted = [float32(x) for x in pictures]
    nearest = ", ".join(f"{one:.2f}" for one in sorted(map(lead, wanted))[:LISTED])
    print(f"\nthe least differences of the two highest scores: {nearest}")
    print(
        f"| SqueezeNet, {len(pictures)} pictures | top class alike | | dB | of their difference |"
    )
    print("|---|---|---|---|---|")
    for method in METHODS:
        path = folder / f"photos.{method}.onnx"
        converter.export_onnx(clean, path, calibration=converter.Calibration(feeds, method))
        row(f"eight bits, {method}", in_onnxruntime(path), pictures, wanted)
        if openvino:
            row(f"the same in OpenVINO, {method}", in_openvino(path), pictures, wanted)
    for seed in seeds:
        path = folder / f"photos.{seed}.onnx"
        converter.export_onnx(clean, path, calibration=converter.Calibration(feeds_of(seed)))
        row(
            f"eight bits, {METHODS[0]}, crops of seed {seed}",
            in_onnxruntime(path),
            pictures,
            wanted,
        )
    if openvino:
        import nncf
        from openvino import Core

        own = nncf.quantize(Core().read_model(plain), nncf.Dataset(feeds), subset_size=len(feeds))
        row("NNCF's, in OpenVINO", in_openvino(own), pictures, wanted)


def seen(folder: Path) -> Iterator[Image.Image]:
    """Yield the photos of a folder, each in twelve forms."""
    for path in sorted(folder.iterdir()):
        if path.suffix not in (".png", ".jpg") or path.name.startswith(GENERATED):
            continue
        photo = Image.open(path).convert("RGB")
        for one in (photo, ImageOps.mirror(photo)):
            for share in (1.0, 0.9, 0.8):
                yield middle(one, share)
            for brightness in (0.8, 1.2):
                yield ImageEnhance.Brightness(one).enhance(brightness)
            file = BytesIO()
            one.save(file, "JPEG", quality=30)
            yield Image.open(file).convert("RGB")


def middle(photo: Image.Image, share: float) -> Image.Image:
    """Return the middle of a photo."""
    width, height = (round(side * share) for side in photo.size)
    left, top = (photo.width - width) // 2, (photo.height - height) // 2
    return photo.crop((left, top, left + width, top + height))


def crops(seed: int) -> Iterator[Image.Image]:
    """Yield seeded square crops of scikit-learn's two photographs."""
    random = np.random.default_rng(seed)
    for pixels in load_sample_images().images:
        photo = Image.fromarray(pixels)
        for _ in range(CROPS // 2):
            side = int(random.integers(SMALLEST, min(photo.size) + 1))
            left = int(random.integers(0, photo.width - side + 1))
            top = int(random.integers(0, photo.height - side + 1))
            yield photo.crop((left, top, left + side, top + side))


def in_onnxruntime(path: Path) -> Run:
    """Return what gives a file's only output in ONNX Runtime."""
    run = open_onnx(path)
    return lambda x: next(iter(run({"data": x}).values())).ravel()


def in_openvino(model: object) -> Run:
    """Return what gives a file's, or a model's, only output in OpenVINO."""
    from openvino import Core

    options = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = Core().compile_model(model, "CPU", options)
    return lambda x: np.asarray(compiled([x])[0]).ravel()


def row(name: str, run: Run, pictures: list[np.ndarray], wanted: list[np.ndarray]) -> None:
    """Print a file's agreement with the float32 network."""
    got = [run(x) for x in pictures]
    alike = sum(one.argmax() == other.argmax() for one, other in zip(got, wanted, strict=True))
    noise = sum(float(((a - b) ** 2).sum()) for a, b in zip(got, wanted, strict=True))
    ratio = decibels(noise, sum(float((one**2).sum()) for one in wanted))
    moved = []
    for one, other in zip(got, wanted, strict=True):
        first, second = np.argsort(-other)[:2]
        moved.append(one[first] - one[second] - lead(other))
    off = float(np.sqrt(np.mean(np.square(moved))))
    print(f"| {name} | {alike} | {alike / len(got):.1%} | {ratio:.1f} | {off:.2f} |", flush=True)


def lead(scores: np.ndarray) -> float:
    """Return by how much the highest score leads the next."""
    second, first = np.partition(scores, -2)[-2:]
    return float(first - second)


if __name__ == "__main__":
    main()
