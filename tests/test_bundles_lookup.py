"""Bundles found by name and by path, and copied to be changed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fetal_monai import bundles
from fetal_monai.bundles import UsageError, bundle_dir, copy_bundle, list_bundles


def make_bundle(folder: Path, **metadata: str) -> Path:
    (folder / "configs").mkdir(parents=True)
    (folder / "models").mkdir()
    (folder / "configs" / "metadata.json").write_text(json.dumps({"version": "1.2.3", **metadata}))
    for name in ("inference", "train", "evaluate", "segnet"):
        (folder / "configs" / f"{name}.yaml").write_text("run: []\n")
    (folder / "models" / "model.pt").write_bytes(b"weights")
    return folder


def test_project_has_bundles_that_are_found_by_name() -> None:
    found = list_bundles()
    assert found
    assert all(bundle_dir(bundle.name) == bundle.path for bundle in found)
    assert all(bundle.version and bundle.description for bundle in found)


def test_what_is_known_without_loading(tmp_path: Path) -> None:
    make_bundle(tmp_path / "one", description="Measures.")
    make_bundle(tmp_path / "zero", task="Looks.")
    (tmp_path / "no_bundle").mkdir()
    (tmp_path / "one" / "configs" / "multi_gpu_train.yaml").write_text("a: 1\n")
    one, zero = list_bundles(tmp_path)
    assert (one.name, one.version, one.description) == ("one", "1.2.3", "Measures.")
    assert one.overlays == ("segnet",)
    assert one.workflows == ("inference", "train", "evaluate", "multi_gpu_train")
    assert one.weights == ("model.pt",)
    assert zero.description == "Looks."
    assert list_bundles(tmp_path / "none") == []


def test_damaged_metadata_hides_no_bundle(tmp_path: Path) -> None:
    make_bundle(tmp_path / "one")
    (tmp_path / "one" / "configs" / "metadata.json").write_text("{")
    assert list_bundles(tmp_path)[0].description == "configs/metadata.json is damaged"


def test_installed_bundles_lie_inside_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "site-packages" / "fetal_monai"
    make_bundle(package / "_bundles" / "one")
    monkeypatch.setattr(bundles, "__file__", str(package / "bundles.py"))
    assert [bundle.name for bundle in list_bundles()] == ["one"]
    assert bundle_dir("one") == package / "_bundles" / "one"


def test_path_of_ones_own_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = make_bundle(tmp_path / "own")
    assert bundle_dir(str(own)) == own
    monkeypatch.chdir(tmp_path)
    assert bundle_dir("./own") == Path("own")
    assert bundle_dir("own") == Path("own"), "a folder here serves where no bundle has the name"


@pytest.mark.parametrize(
    ("name", "what"), [("nonsense", "there is no bundle"), ("empty", "no folder configs")]
)
def test_no_such_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, what: str) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=what):
        bundle_dir(name)


def test_copy_leaves_out_what_training_left(tmp_path: Path) -> None:
    source = make_bundle(tmp_path / "one")
    (source / "runs" / "unet").mkdir(parents=True)
    (source / "eval").mkdir()
    (tmp_path / "into").mkdir()
    assert copy_bundle(str(source), tmp_path / "into") == tmp_path / "into" / "one"
    assert copy_bundle(str(source), tmp_path / "new" / "mine") == tmp_path / "new" / "mine"
    for copied in (tmp_path / "into" / "one", tmp_path / "new" / "mine"):
        assert sorted(child.name for child in copied.iterdir()) == ["configs", "models"]
        assert (copied / "models" / "model.pt").read_bytes() == b"weights"
    assert sorted(child.name for child in (tmp_path / "new").iterdir()) == ["mine"]


def test_copy_overwrites_nothing(tmp_path: Path) -> None:
    source = make_bundle(tmp_path / "one")
    (tmp_path / "into" / "one").mkdir(parents=True)
    with pytest.raises(UsageError, match="is there already"):
        copy_bundle(str(source), tmp_path / "into")
    assert list((tmp_path / "into" / "one").iterdir()) == []
