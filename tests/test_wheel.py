"""A wheel built without the network carries bundles, weights and manifest, and works in an environment of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BUNDLE = "fetal_head_ultrasound_segmentation"
LEFT_OUT = shutil.ignore_patterns(
    ".*", "build", "dist", "*.egg-info", "__pycache__", "runs", "eval", "demo_output"
)
pytestmark = pytest.mark.slow


def run(*command: str | Path, cwd: Path) -> str:
    own = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=cwd, env=own, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with `dist`: a source archive, and the wheel that was made from that."""
    source = tmp_path_factory.mktemp("built") / "source"
    source.mkdir()
    for name in ("fetal_monai", "bundles", "data", "tests", "benchmarks"):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=LEFT_OUT)
    for path in ROOT.iterdir():
        if path.is_file():
            shutil.copy(path, source)
    (source / "bundles" / BUNDLE / "runs").mkdir()
    (source / "bundles" / BUNDLE / "runs" / "last.pt").write_bytes(b"left by training")
    run(sys.executable, "-m", "build", "--no-isolation", cwd=source)
    return source


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` folder of an environment with the wheel alone; the packages it needs come from this one."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    binaries = folder / ("Scripts" if sys.platform == "win32" else "bin")
    (wheel,) = built.glob("dist/*.whl")
    pip = (sys.executable, "-m", "pip", "--python", binaries / "python", "--disable-pip-version-check")
    run(*pip, "install", "--quiet", "--no-deps", "--no-index", wheel, cwd=folder)
    (packages,) = folder.glob("**/site-packages")
    (packages / "needs.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return binaries


def test_source_archive_is_whole(built: Path) -> None:
    (archive,) = built.glob("dist/*.tar.gz")
    with tarfile.open(archive) as tar:
        names = {name.partition("/")[2] for name in tar.getnames()}
    wanted = {"pyproject.toml", "setup.py", "LICENSE", "Makefile", "constraints.txt", "data/manifest.yaml"}
    wanted |= {
        f"bundles/{BUNDLE}/configs/inference.yaml",
        "tests/test_wheel.py",
        "data/samples/hc18/LICENSE.txt",
    }
    assert wanted <= names
    assert not [name for name in names if "/runs" in name or name.endswith(".pyc")]


def test_installed_command_finds_what_the_wheel_carries(built: Path, installed: Path, tmp_path: Path) -> None:
    command = installed / "fetal-monai"
    listed = json.loads(run(command, "list", "--json", cwd=tmp_path))
    assert {entry["name"] for entry in listed} == {
        path.parent.parent.name for path in built.glob("bundles/*/configs/metadata.json")
    }
    for entry in listed:
        carried, own = Path(entry["path"]), built / "bundles" / entry["name"]
        assert installed.parent in carried.parents, "not of the checkout"
        for file in own.rglob("*"):
            if file.is_file() and file.relative_to(own).parts[0] in ("configs", "docs", "models", "LICENSE"):
                assert (carried / file.relative_to(own)).read_bytes() == file.read_bytes(), file
        assert not (carried / "runs").exists()
    datasets = json.loads(run(command, "fetch", "--list", "--json", cwd=tmp_path))
    assert "hc18" in {entry["name"] for entry in datasets}


def test_installed_bundle_is_copied_and_measures(installed: Path, tmp_path: Path) -> None:
    run(installed / "fetal-monai", "copy", BUNDLE, tmp_path / "mine", cwd=tmp_path)
    if not (tmp_path / "mine" / "models" / "calibration.json").is_file():
        pytest.skip("the bundle has no weights yet")
    sample = ROOT / "data" / "samples" / "hc18"
    call = (
        installed / "fetal-monai",
        "run",
        "./mine",
        sample / "306_HC.png",
        "--out",
        "OUT",
        "--json",
        "--device",
        "cpu",
    )
    result = json.loads(run(*call, cwd=tmp_path))
    assert result["measurements"][0]["hc_mm"] == pytest.approx(182.41, abs=15)
    assert (tmp_path / "OUT" / "report.html").is_file()
