"""Python 2 under `--python2`: syntax, division, old modules and names; installed code stays."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from converter.pycaffe.era.compiled import gpu_nms, nms, overlaps
from converter.pycaffe.era.translate import divided, divided_in_place, parse_python_2, rounded
from tests.support.paths import ROOT

pytest.importorskip("fissix", reason="--python2 is an extra")

SCRIPT = """
import cPickle, Queue, urlparse
from cStringIO import StringIO
import numpy as np
from itertools import izip
import own.other
print "quotients", 7 / 2, -7 / 2, 7 / 2.0, own.other.half(5)
total = 9
total /= 2
print total, round(2.5), round(-0.5), np.arange(4) / 2
counts = {"a": 1}
print counts.has_key("a"), counts.keys()[0], map(str, xrange(2)), zip([1], [2])
text = StringIO()
text.write("text")
print text.getvalue(), Queue.Queue, urlparse.urlparse("a://b/c").netloc
try:
    raise ValueError, "said"
except ValueError, error:
    print "caught", error
print np.int(3.7), np.float is float, list(izip([1], [2]))
with open("data.pkl", "rb") as pickled:
    print cPickle.load(pickled)
binary = str(open("bytes.bin").read())
print StringIO(binary).read() == open("bytes.bin", "rb").read(), len(binary.split("\\n"))
with open("copy.bin", "w") as copied:
    copied.write(StringIO(binary).read())
    copied.write("text")
cPickle.dump([1], open("list.pkl", "w"), 2)
print cPickle.load(open("list.pkl")), cPickle.loads(open("list.pkl").read())
print [line for line in file("lines.txt", "rU")], open("lines.txt", "rb").readlines()
"""
BYTES = b"\xff\xd8\r\n\x00\xc3\xa9"  # no text in any encoding that is usual
PICKLE = b"S'caf\\xe9'\n."  # protocol 0, a byte string of Python 2


def test_a_script_and_its_own_modules_are_translated(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "data.pkl").write_bytes(PICKLE)
    (tmp_path / "bytes.bin").write_bytes(BYTES)
    (tmp_path / "lines.txt").write_bytes(b"a\r\nb\n")
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "__init__.py").write_text("")
    (tmp_path / "own" / "other.py").write_text(
        "import sibling\n\ndef half(x):\n    return sibling.halved(x)\n"
    )
    (tmp_path / "own" / "sibling.py").write_text("def halved(x):\n    return x / 2\n")
    program = (
        f"import sys; sys.path.insert(1, {str(ROOT)!r}); from converter.__main__ import main; "
        "sys.exit(main(['pycaffe', '--python2', 'script.py']))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == [
        "quotients 3 -4 3.5 2",
        "4 3.0 -1.0 [0 0 1 1]",
        "True a ['0', '1'] [(1, 2)]",
        "text <class 'queue.Queue'> b",
        "caught said",
        "3 True [(1, 2)]",
        "café",
        "True 2",
        "[1] [1]",
        "['a\\n', 'b\\n'] [b'a\\r\\n', b'b\\n']",
    ]
    assert (tmp_path / "copy.bin").read_bytes() == BYTES + b"text"


def test_division_is_pythons_own_where_the_file_imports_it() -> None:
    tree = parse_python_2("from __future__ import division\nx = 1 / 2\n", "a.py")
    names: dict[str, object] = {}
    exec(compile(tree, "a.py", "exec"), names)
    assert names["x"] == 0.5


def test_division_of_each_kind() -> None:
    assert (divided(7, 2), divided(7, 2.0), divided(np.int64(7), 2)) == (3, 3.5, 3)
    assert divided(np.arange(4), 2).tolist() == [0, 0, 1, 1]
    assert divided(np.arange(4), 2.0).tolist() == [0, 0.5, 1, 1.5]
    array = np.array([3.0, 4.0])
    assert divided_in_place(array, 2) is array
    assert array.tolist() == [1.5, 2.0]
    whole = np.array([3, 5])
    assert divided_in_place(whole, 2) is whole
    assert whole.tolist() == [1, 2]
    assert divided_in_place(9, 2) == 4


def test_halves_are_rounded_away_from_zero() -> None:
    values = [rounded(2.5), rounded(-2.5), rounded(0.125, 2), rounded(3)]
    assert values == [3.0, -3.0, 0.13, 3.0]
    assert all(isinstance(value, float) for value in values)


def test_scikit_images_resizing_is_that_of_then(tmp_path: Path) -> None:
    folder = tmp_path / "skimage"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "transform.py").write_text(
        "def rescale(image, scale, order=None, **others):\n    return order, others\n\n\n"
        "def resize(image, shape, order=None, mode='reflect', **others):\n"
        "    return mode, others\n"
    )
    (tmp_path / "script.py").write_text(
        "import numpy as np\n"
        "from skimage.transform import rescale, resize\n"
        "print(rescale(np.zeros((4, 4, 3)), 2), rescale(np.zeros((4, 4)), 2, 1))\n"
        "print(rescale(np.zeros((4, 4, 3)), 2, multichannel=False, anti_aliasing=True))\n"
        "print(resize(0, (2, 2)), resize(0, (2, 2), 1, 'edge'), resize(0, (2, 2), mode='wrap'))\n"
    )
    program = (
        f"import sys; sys.path.insert(1, {str(ROOT)!r}); from converter.__main__ import main; "
        "sys.exit(main(['pycaffe', 'script.py']))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    plain = "{'anti_aliasing': False}"
    assert ran.stdout.splitlines() == [
        f"(None, {plain[:-1]}, 'channel_axis': 2}}) (1, {plain})",
        "(None, {'anti_aliasing': True})",
        f"('constant', {plain}) ('edge', {plain}) ('wrap', {plain})",
    ]


def test_libraries_take_what_they_took_then(tmp_path: Path) -> None:
    pytest.importorskip("PIL", reason="images are an extra")
    (tmp_path / "ImageOps.py").write_text("whose = 'own'\n")
    (tmp_path / "script.py").write_text(
        "import sys\n"
        "import numpy as np\n"
        "import Image, ImageDraw, ImageOps\n"
        "image = Image.new('RGB', (2, 1))\n"
        "ImageDraw.Draw(image).point((1, 0), 'red')\n"
        "print(isinstance(image, Image.Image), np.array(image).tolist(), ImageOps.whose)\n"
        "for threshold in (np.nan, 'nan'):\n"
        "    np.set_printoptions(threshold=5)\n"
        "    np.set_printoptions(3, threshold)\n"
        "    print(str(np.arange(6) / 3.0), np.get_printoptions()['threshold'] == sys.maxsize)\n"
        "np.set_printoptions(threshold=5)\n"
        "np.set_printoptions(suppress=True, edgeitems=1)\n"
        "print(np.arange(6))\n"
    )
    program = (
        f"import sys; sys.path.insert(1, {str(ROOT)!r}); from converter.__main__ import main; "
        "sys.exit(main(['pycaffe', 'script.py']))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    printed = "[0.    0.333 0.667 1.    1.333 1.667] True"
    assert ran.stdout.splitlines() == [
        "True [[[0, 0, 0], [255, 0, 0]]] own",
        printed,
        printed,
        "[0 ... 5]",
    ]


def test_what_nobody_compiled_is_found_beside_its_source(tmp_path: Path) -> None:
    for name in ("nms", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("")
    (tmp_path / "nms" / "cpu_nms.pyx").write_text("cimport numpy\n")
    (tmp_path / "script.py").write_text(
        "from nms.cpu_nms import cpu_nms\n"
        "import numpy as np\n"
        "print(cpu_nms(np.array([[0, 0, 9, 9, 0.5], [0, 0, 9, 9, 0.7]], np.float32), 0.5))\n"
        "import other.cpu_nms\n"
    )
    program = (
        f"import sys; sys.path.insert(1, {str(ROOT)!r}); from converter.__main__ import main; "
        "sys.exit(main(['pycaffe', 'script.py']))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ran.stdout == "[1]\n"
    assert "No module named 'other.cpu_nms'" in ran.stderr


def test_suppression_and_overlaps_are_those_of_plain_loops() -> None:
    random = np.random.RandomState(1701)
    corners = random.randint(0, 40, (300, 2))
    sides = random.randint(1, 20, (300, 2))
    scores = random.permutation(300)[:, np.newaxis] / 300
    dets = np.hstack([corners, corners + sides, scores]).astype(np.float32)
    shares = overlaps(dets[:, :4].astype(float), dets[:, :4].astype(float))
    for a, b in random.randint(0, 300, (200, 2)):
        wide, high = (
            max(0, min(dets[a, i + 2], dets[b, i + 2]) - max(dets[a, i], dets[b, i]) + 1)
            for i in (0, 1)
        )
        areas = [(dets[i, 2] - dets[i, 0] + 1) * (dets[i, 3] - dets[i, 1] + 1) for i in (a, b)]
        assert shares[a, b] == pytest.approx(wide * high / (sum(areas) - wide * high))
    for function, hides in ((nms, np.greater_equal), (gpu_nms, np.greater)):
        kept: list[int] = []
        for row in dets[:, 4].argsort()[::-1]:
            if not any(hides(shares[row, other], 0.25) for other in kept):
                kept.append(int(row))
        assert function(dets, 0.25) == kept
    assert len(nms(dets, 0.25)) < len(gpu_nms(dets, 0.25))  # some share just a quarter
