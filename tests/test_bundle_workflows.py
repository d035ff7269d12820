"""What MONAI and its model zoo check of every bundle: its networks, its weights and its workflows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from bundle_configs import metadata, parser_of, skip_without_weights, variants
from bundle_runs import BUNDLES, MONAI_WARNS_OF_CONFIGS
from bundle_trials import TRIALS
from monai.bundle import ConfigWorkflow, ckpt_export, verify_net_in_out
from monai.bundle.properties import InferProperties, TrainProperties

pytestmark = [
    pytest.mark.filterwarnings(MONAI_WARNS_OF_CONFIGS),
    pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning"),
]

each_bundle = pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.name)
each_variant = pytest.mark.parametrize(("bundle", "overlays"), variants())


def configs_of(bundle: Path, name: str, overlays: tuple[str, ...] = ()) -> list[Path]:
    return [bundle / "configs" / f"{config}.yaml" for config in (name, *overlays)]


@each_variant
def test_weights_load_strictly(bundle: Path, overlays: tuple[str, ...]):
    skip_without_weights(bundle, overlays)
    parser = parser_of(*configs_of(bundle, "inference", overlays))
    state = torch.load(parser.get_parsed_content("model_path"), weights_only=True)
    assert {(value.device.type, bool(value.isfinite().all())) for value in state.values()} == {("cpu", True)}
    parser.get_parsed_content("network_def").load_state_dict(state, strict=True)


@each_variant
@pytest.mark.parametrize("name", ["inference", "train"])
def test_network_is_what_the_metadata_says(bundle: Path, overlays: tuple[str, ...], name: str):
    configs = configs_of(bundle, name, overlays)
    verify_net_in_out(
        "network_def",
        meta_file=str(bundle / "configs" / "metadata.json"),
        config_file=[str(config) for config in configs],
        bundle_root=str(bundle),
        device="cpu",
        n=4,
    )


@each_variant
def test_network_keeps_the_shape(bundle: Path, overlays: tuple[str, ...]):
    """The shape of `pred` in the metadata stands for the same n as that of `image`."""
    form = metadata(bundle)["network_data_format"]
    image, pred = form["inputs"]["image"], form["outputs"]["pred"]
    network = parser_of(*configs_of(bundle, "inference", overlays)).get_parsed_content("network_def").eval()
    sizes = [eval(str(size), {"n": 4, "p": 4}) for size in image["spatial_shape"]]
    with torch.no_grad():
        output = network(torch.zeros(2, image["num_channels"], *sizes))
    expected = [eval(str(size), {"n": 4, "p": 4}) for size in pred["spatial_shape"]]
    assert [*output.shape] == [2, pred["num_channels"], *expected]


@each_bundle
def test_network_is_what_the_metadata_says_as_the_zoo_asks(bundle: Path):
    verify_net_in_out(
        "network_def",
        meta_file=str(bundle / "configs" / "metadata.json"),
        config_file=str(bundle / "configs" / "inference.yaml"),
        bundle_root=str(bundle),
    )


@each_bundle
def test_exports_to_torchscript(bundle: Path, tmp_path: Path):
    ckpt_export(
        "network_def",
        filepath=str(tmp_path / "model.ts"),
        ckpt_file=str(bundle / "models" / "model.pt"),
        meta_file=str(bundle / "configs" / "metadata.json"),
        config_file=str(bundle / "configs" / "inference.yaml"),
        bundle_root=str(bundle),
    )
    form = metadata(bundle)["network_data_format"]["inputs"]["image"]
    image = torch.rand(1, form["num_channels"], *[64] * len(form["spatial_shape"]))
    network = parser_of(bundle / "configs" / "inference.yaml").get_parsed_content("network").cpu().eval()
    with torch.no_grad():
        exported = torch.jit.load(str(tmp_path / "model.ts"))(image)
        torch.testing.assert_close(exported, network(image), rtol=1e-4, atol=1e-4)


@each_variant
def test_inference_has_its_properties(bundle: Path, overlays: tuple[str, ...], tmp_path: Path):
    skip_without_weights(bundle, overlays)
    TRIALS[bundle.name].write(tmp_path / "in")
    check(
        configs_of(bundle, "inference", overlays),
        "infer",
        InferProperties,
        dataset_dir=str(tmp_path / "in"),
        output_dir=str(tmp_path / "out"),
    )


@each_variant
def test_training_has_its_properties(bundle: Path, overlays: tuple[str, ...], tmp_path: Path):
    check(
        configs_of(bundle, "train", overlays),
        "train",
        TrainProperties,
        output_dir=str(tmp_path),
        model_path=str(tmp_path / "model.pt"),
        **TRIALS[bundle.name].data(tmp_path / "data"),
    )
    assert not (tmp_path / "model.pt").exists()


def check(configs: list[Path], kind: str, properties: dict[str, Any], **values: Any) -> None:
    """All required properties of MONAI are there, and none of the optional ones goes by another name."""
    workflow = ConfigWorkflow(
        [str(config) for config in configs],
        logging_file=False,
        workflow_type=kind,
        bundle_root=str(configs[0].parents[1]),
        **values,
    )
    workflow.initialize()
    assert workflow.check_properties() == []
    required = [name for name, entry in properties.items() if entry["required"]]
    assert [name for name in required if getattr(workflow, name) is None] == []
    workflow.finalize()
