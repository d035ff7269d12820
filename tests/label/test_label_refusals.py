"""What a server must not do: answer for what is not there, leave the studies' folder, or run what a client writes."""

from __future__ import annotations

from pathlib import Path

import pytest
from label_server import Server

HEAD = "fetal_head_ultrasound_segmentation"


def files_of(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if "server.log" not in path.name}


def test_a_model_that_is_not_there(server: Server) -> None:
    answer = server.infer("spleen", "043_HC")
    assert answer.status == 404 and "'spleen'" in answer.json["detail"] and HEAD in answer.json["detail"]


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n broken"])
def test_an_image_that_cannot_be_read(server: Server, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.png").write_bytes(content)
    answer = server.infer(HEAD, file=tmp_path / "bad.png")
    assert answer.status == 422 and answer.json["detail"]
    assert server.infer(HEAD, "043_HC").status == 200  # and it goes on


@pytest.mark.parametrize("image", ["nosuch", "/etc/passwd", "../../../../etc/passwd", "labels/../043_HC.png"])
def test_an_image_that_is_none_of_the_studies(server: Server, image: str) -> None:
    assert server.infer(HEAD, image).status == 404
    assert server.infer(HEAD, "043_HC", {"image": image}).status == 404
    assert server.get("/datastore/image", image=image).status == 404


@pytest.mark.parametrize("name", ["../escaped", "/tmp/escaped", "labels/escaped", ".hidden", "a\\b"])
def test_an_upload_stays_in_the_studies(server: Server, studies: Path, tmp_path: Path, name: str) -> None:
    picture = tmp_path / "one.png"
    picture.write_bytes((studies / "043_HC.png").read_bytes())
    before = files_of(studies.parent)
    assert server.put("/datastore/image", "file", picture, image=name).status == 400
    assert server.label("043_HC", picture, tag=name).status == 400
    assert server.label(name, picture).status in (400, 404)
    assert files_of(studies.parent) == before and not Path("/tmp/escaped.png").exists()


def test_only_images_and_labels_are_taken(server: Server, tmp_path: Path) -> None:
    (tmp_path / "run.sh").write_text("echo")
    assert server.put("/datastore/image", "file", tmp_path / "run.sh").status == 400
    assert server.label("043_HC", tmp_path / "run.sh").status == 400


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("spacing_mm", "$__import__('os').getpid()"),
        ("flips", "@network"),
        ("flips", ["%other.yaml#x"]),
        ("model_filename", "../../model.pt"),
        ("device", "cpu'); raise"),
    ],
)
def test_a_setting_is_a_value_and_no_expression(server: Server, name: str, value: object) -> None:
    answer = server.infer(HEAD, "043_HC", {name: value})
    assert answer.status == 400 and answer.json["detail"]


def test_what_is_no_setting_changes_nothing(server: Server, tmp_path: Path) -> None:
    asked = {
        "output_dir": str(tmp_path / "out"),
        "model_path": "x.pt",
        "network_def": {"_target_": "os.getcwd"},
    }
    answer = server.infer(HEAD, "043_HC", asked)
    assert answer.status == 200 and not (tmp_path / "out").exists()
    assert answer.json["weights"] == server.infer(HEAD, "043_HC").json["weights"]
