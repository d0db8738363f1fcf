"""What is built and installed from here holds everything that the packages need."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

from converter.version import VERSION
from tests.support.paths import ROOT
from tests.support.pythons import pythons

pytest.importorskip("setuptools.build_meta", reason="building needs setuptools")

PACKAGES = ("prototxt", "caffe_layers", "converter")
BESIDE = ("pyproject.toml", "setup.cfg", "README.md", "LICENSE")
BUILD = "import sys; from setuptools import build_meta as b; print(getattr(b, sys.argv[1])('.'))"


def run(*words: str | Path, cwd: Path, **environment: str) -> str:
    """Return what a command of Python prints; it sees no checkout."""
    inherited = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, *map(str, words)],
        cwd=cwd,
        env=inherited | environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def built(folder: Path, kind: str) -> Path:
    """Return the archive that is built in a folder of sources, without a network."""
    return folder / run("-c", BUILD, kind, cwd=folder).splitlines()[-1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a wheel, built from a source archive that was built from the checkout's packages."""
    sources, unpacked = (tmp_path_factory.mktemp(name) for name in ("sources", "unpacked"))
    for name in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, sources / name, ignore=ignored)
    for name in BESIDE:
        shutil.copy(ROOT / name, sources)
    with tarfile.open(built(sources, "build_sdist")) as archive:
        archive.extractall(unpacked, filter="data")
    return built(next(unpacked.iterdir()), "build_wheel")


def test_every_file_of_the_packages_is_in_the_wheel(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    files = (path for name in PACKAGES for path in (ROOT / name).rglob("*") if path.is_file())
    wanted = {str(path.relative_to(ROOT)) for path in files if "__pycache__" not in path.parts}
    assert {Path(name).suffix for name in wanted} > {".py", ".proto", ".js", ".npz", ".md"}
    assert held == wanted


def test_what_is_installed_runs_without_the_checkout(wheel: Path, tmp_path: Path) -> None:
    """Its dependencies are this environment's, for there is no network."""
    pytest.importorskip("pip", reason="installing needs pip")
    target = tmp_path / "installed"
    alone = ("--no-index", "--no-deps", "--no-compile", "--quiet", "--target", target)
    run("-m", "pip", "install", *alone, wheel, cwd=tmp_path)
    where = {"PYTHONPATH": str(target), "OMP_NUM_THREADS": "1"}
    files = "import converter as c, prototxt as p; print(c.__file__, p.__file__)"
    assert run("-c", files, cwd=tmp_path, **where).count(str(target)) == 2
    said = run(target / "bin" / "caffeport", "demo", "-o", "demo", cwd=tmp_path, **where)
    assert "digits_sk.caffemodel" in said


LIGHT = ("lazy_loader", "packaging", "typing_extensions.py")
"""What says a command's help needs: Python alone, which any version takes from this one."""


@pytest.mark.parametrize("end", ["oldest", "newest"])
def test_the_oldest_and_the_newest_python_install_it(wheel: Path, tmp_path: Path, end: str) -> None:
    """Of those that are found here, which may be one: in an environment of its own, fresh."""
    pytest.importorskip("pip", reason="installing needs pip")
    versions = pythons() or {sys.version_info[:2]: Path(sys.executable)}
    version, python = list(versions.items())[0 if end == "oldest" else -1]
    print(f"the {end} Python here is {version}: {python}")
    fresh = tmp_path / "env"
    subprocess.run([python, "-m", "venv", "--without-pip", fresh], check=True)
    inside = fresh / "bin" / "python"
    alone = ("--no-index", "--no-deps", "--no-compile", "--quiet")
    run("-m", "pip", "--python", inside, "install", *alone, wheel, cwd=tmp_path)
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = Path(subprocess.check_output([inside, "-c", where], text=True).strip())
    for name in LIGHT:
        source = Path(sysconfig.get_path("purelib"), name)
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, site / name)
    plain = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}

    def said(*words: str | Path) -> str:
        return subprocess.check_output([inside, *words], cwd=tmp_path, env=plain, text=True)

    folders = [site / name for name in PACKAGES]
    said("-W", "error", "-m", "compileall", "-q", *folders)
    assert said(ROOT / "tests" / "support" / "stdlib_names.py", *folders) == ""
    assert f"caffeport {VERSION}\n" == said("-m", "converter", "--version")
    assert "| family | layers |" in said("-m", "converter", "layers")
    for command in ("check", "convert", "run"):
        assert f"usage: caffeport {command}" in said("-m", "converter", command, "--help")
