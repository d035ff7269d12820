"""The files, configurations and metadata of every folder in bundles/, so that a new one is covered unasked."""

from __future__ import annotations

import hashlib
import inspect
import json
import re
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest
from bundle_configs import CONFIGS, commands, imported, metadata, parser_of, read, targets
from bundle_runs import BUNDLES, MONAI_WARNS_OF_CONFIGS, ROOT
from jsonschema import Draft202012Validator
from monai.bundle import verify_metadata
from monai.bundle.reference_resolver import ReferenceResolver

import fetal_monai

pytestmark = pytest.mark.filterwarnings(MONAI_WARNS_OF_CONFIGS)

REQUIRED = [
    *(f"configs/{name}.yaml" for name in ("inference", "train", "evaluate", "multi_gpu_train")),
    *("configs/metadata.json", "configs/logging.conf", "docs/README.md", "docs/data_license.txt"),
    *("LICENSE", "models/model.pt"),
]
SECTIONS = [
    "description",
    "data",
    "preprocessing",
    "performance",
    "usage",
    "system",
    "limitations",
    "citation",
]
MAY_BE_SHARED = {"LICENSE", "logging.conf"}
MOST_BYTES = 25e6
SCHEMA = ROOT / "tests" / "metadata_schema.json"

each_bundle = pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.name)
each_config = pytest.mark.parametrize(
    "config", CONFIGS, ids=lambda path: f"{path.parents[1].name}-{path.stem}"
)


def shipped(bundle: Path) -> list[Path]:
    """The files that git knows, or would."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", str(bundle)]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:  # an unpacked archive
        return [
            path for path in bundle.rglob("*") if path.is_file() and not {"eval", "runs"} & set(path.parts)
        ]
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def verify(file: Path) -> None:
    digest = hashlib.sha256(SCHEMA.read_bytes()).hexdigest()
    verify_metadata(meta_file=str(file), filepath=str(SCHEMA), hash_val=digest, hash_type="sha256")


def test_there_are_bundles():
    assert BUNDLES


@each_bundle
def test_holds_what_a_bundle_needs(bundle: Path):
    missing = [
        name for name in REQUIRED if not (bundle / name).is_file() or not (bundle / name).stat().st_size
    ]
    assert missing == []
    assert "Apache License" in (bundle / "LICENSE").read_text(encoding="utf-8")


@each_bundle
def test_files_are_not_too_large(bundle: Path):
    sizes = {path.name: path.stat().st_size for path in shipped(bundle)}
    assert {name: size for name, size in sizes.items() if size > MOST_BYTES} == {}


def test_nothing_but_licence_and_logging_is_shared():
    bundles_with = defaultdict(set)
    for bundle in BUNDLES:
        for path in shipped(bundle):
            if path.name not in MAY_BE_SHARED:
                bundles_with[hashlib.sha256(path.read_bytes()).hexdigest()].add(f"{bundle.name}/{path.name}")
    shared = [names for names in bundles_with.values() if len({name.split("/")[0] for name in names}) > 1]
    assert shared == []


@each_bundle
def test_readme_has_the_sections_of_the_model_zoo(bundle: Path):
    text = (bundle / "docs" / "README.md").read_text(encoding="utf-8").lower()
    headings = " / ".join(re.findall(r"^#+ *(.+)$", text, re.MULTILINE))
    assert [section for section in SECTIONS if section not in headings] == []


@each_config
def test_head_comment_names_a_command_that_runs_it(config: Path):
    assert config.read_text(encoding="utf-8").startswith("# ")
    runs = [configs for configs in commands(config) if config in configs]
    assert runs, "the head comment says how it is run: --config_file …"
    assert [path for configs in runs for path in configs if not path.is_file()] == []


@each_config
def test_targets_import_and_take_their_arguments(config: Path):
    for component in targets(read(config)):
        target = imported(component["_target_"])
        assert callable(target), component["_target_"]
        arguments = {key: value for key, value in component.items() if not re.fullmatch(r"_\w+_", key)}
        inspect.signature(target).bind_partial(**arguments)


@each_config
def test_paths_are_relative(config: Path):
    text = config.read_text(encoding="utf-8")
    assert re.findall(r"(?:^|[\s'\"])((?:/|~/|[A-Z]:\\)\w[^\s'\"]*)", re.sub(r"'/\w[^']*'", "", text)) == []


@each_config
def test_references_are_there(config: Path):
    for configs in commands(config):
        parser = parser_of(*configs)
        items = parser.ref_resolver.items
        for name, item in items.items():
            missing = [
                ref
                for ref in ReferenceResolver.find_refs_in_config(item.get_config(), name)
                if ref not in items
            ]
            assert missing == [], f"{name} of {[path.name for path in configs]}"


@each_bundle
@pytest.mark.parametrize("name", ["inference", "train"])
def test_root_is_the_folder(bundle: Path, name: str):
    assert read(bundle / "configs" / f"{name}.yaml")["bundle_root"] == f"bundles/{bundle.name}"


@each_bundle
def test_training_and_inference_have_one_network(bundle: Path):
    inference, train = (
        parser_of(bundle / "configs" / f"{name}.yaml").get("network_def") for name in ("inference", "train")
    )
    assert imported(inference.pop("_target_")) is imported(train.pop("_target_"))
    assert inference == train


def test_schema_is_one():
    Draft202012Validator.check_schema(json.loads(SCHEMA.read_text(encoding="utf-8")))


@each_bundle
def test_metadata_follows_the_schema(bundle: Path):
    validator = Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))
    errors = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(metadata(bundle))]
    assert errors == []


@each_bundle
def test_verify_metadata(bundle: Path, monkeypatch: pytest.MonkeyPatch):
    """As the model zoo does, with the schema that is here already."""
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("asks the network"))
    verify(bundle / "configs" / "metadata.json")


@pytest.mark.parametrize("name", ["version", "task", "network_data_format", "required_packages_version"])
def test_schema_misses_what_is_missing(name: str, tmp_path: Path):
    content = {key: value for key, value in metadata(BUNDLES[0]).items() if key != name}
    (tmp_path / "metadata.json").write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ValueError, match=f"'{name}' is a required property"):
        verify(tmp_path / "metadata.json")


@each_bundle
def test_version_stands_in_the_changelog(bundle: Path):
    content = metadata(bundle)
    assert content["version"] in content["changelog"]
    numbers = [tuple(map(int, version.split("."))) for version in content["changelog"]]
    assert max(numbers) == tuple(map(int, content["version"].split(".")))


@each_bundle
def test_versions_are_those_that_were_tried(bundle: Path):
    content = metadata(bundle)
    tried = dict(re.findall(r"^([\w.-]+)==([\w.]+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    tried = {name.lower().replace("_", "-"): version for name, version in tried.items()}
    named = content["required_packages_version"] | {
        "monai": content["monai_version"],
        "torch": content["pytorch_version"],
        "numpy": content["numpy_version"],
    }
    assert named.pop("fetal_monai") == fetal_monai.__version__
    assert {name: tried.get(name.lower().replace("_", "-")) for name in named} == named


@each_bundle
def test_channels_are_named(bundle: Path):
    form = metadata(bundle)["network_data_format"]
    for tensor in (*form["inputs"].values(), *form["outputs"].values()):
        numbers = [int(key) for key in tensor["channel_def"]]
        assert numbers == [*range(len(numbers))]
        if tensor["num_channels"] > 1:
            assert len(numbers) == tensor["num_channels"]
