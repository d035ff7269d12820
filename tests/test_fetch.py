"""Datasets fetched from a server on localhost that cuts, lies and refuses as real ones do."""

from __future__ import annotations

import hashlib
import io
import json
import random
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from fetal_monai import download as downloading
from fetal_monai.download import FetchError, download
from fetal_monai.fetch import Dataset, RemoteFile, check, describe, fetch, load_manifest
from fetal_monai.unpack import unpack

CONTENT = random.Random(0).randbytes(300_000)
MD5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()
PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 50


@dataclass
class Server:
    """Files by path, and how to misbehave: `cuts` are how many bytes to send before the connection breaks."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    ranges: bool = True
    cuts: list[int] = field(default_factory=list)
    errors: list[int] = field(default_factory=list)
    etag: str = '"one"'
    asked: list[tuple[str, str | None]] = field(default_factory=list)


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.asked.append((self.path, self.headers.get("Range")))
            if state.errors:
                return self.send_error(state.errors.pop(0))
            data = state.files.get(self.path)
            if data is None:
                return self.send_error(404)
            start = 0
            asked = self.headers.get("Range")
            if asked and state.ranges and self.headers.get("If-Range", state.etag) == state.etag:
                start = int(asked.removeprefix("bytes=").rstrip("-"))
                if start >= len(data):
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{len(data)}")
                    self.send_header("Content-Length", "0")
                    return self.end_headers()
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
            else:
                self.send_response(200)
            self.send_header("Content-Length", str(len(data) - start))
            self.send_header("ETag", state.etag)
            self.end_headers()
            end = start + state.cuts.pop(0) if state.cuts else None
            self.wfile.write(data[start:end])
            return None

        def log_message(self, *_: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{http.server_port}"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield state
    http.shutdown()
    http.server_close()
    thread.join()


def zipped(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def dataset(server: Server, **changes: object) -> Dataset:
    plain = Dataset(
        name="toy",
        title="Toy",
        description="Two pictures.",
        licence="CC0",
        licence_url="https://example.org/licence",
        citation="Nobody 2020.",
        doi=("10.1/1",),
        page="https://example.org/toy",
        access="direct",
        files=(
            RemoteFile("toy.zip", f"{server.url}/toy.zip"),
            RemoteFile("table.csv", f"{server.url}/table.csv"),
        ),
        layout=(("set/*HC.png", 2), ("table.csv", 1)),
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def serve_toy(server: Server) -> None:
    server.files["/toy.zip"] = zipped(
        **{"set/1_HC.png": PNG, "set/2_HC.png": PNG, "__MACOSX/set/._1_HC.png": b"x"}
    )
    server.files["/table.csv"] = b"filename\n1_HC.png\n"


def test_download_is_whole_and_leaves_nothing_beside(server: Server, tmp_path: Path) -> None:
    server.files["/a"] = CONTENT
    target = download(f"{server.url}/a", tmp_path / "sub" / "a", size=len(CONTENT), md5=MD5)
    assert target.read_bytes() == CONTENT
    assert [path.name for path in target.parent.iterdir()] == ["a"]
    download(f"{server.url}/a", target, md5=MD5)
    assert len(server.asked) == 1, "what is there and right is not fetched again"


def test_cut_connection_is_taken_up_where_it_broke(server: Server, tmp_path: Path) -> None:
    server.files["/a"] = CONTENT
    server.cuts = [100_000, 50_000]
    download(f"{server.url}/a", tmp_path / "a", md5=MD5, pause_seconds=0)
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert [asked for _, asked in server.asked] == [None, "bytes=100000-", "bytes=150000-"]


def test_a_later_call_resumes_what_an_earlier_one_left(server: Server, tmp_path: Path) -> None:
    server.files["/a"] = CONTENT
    server.cuts = [100_000, 0, 0, 0, 0]
    with pytest.raises(FetchError, match="fetching again goes on there"):
        download(f"{server.url}/a", tmp_path / "a", pause_seconds=0)
    assert (tmp_path / "a.part").stat().st_size == 100_000
    assert not (tmp_path / "a").exists()
    server.cuts = []
    assert download(f"{server.url}/a", tmp_path / "a", md5=MD5).read_bytes() == CONTENT
    assert server.asked[-1] == ("/a", "bytes=100000-")


def test_a_part_of_another_version_starts_anew(server: Server, tmp_path: Path) -> None:
    server.files["/a"] = b"old" * 100_000
    server.cuts = [1000, 0, 0, 0, 0]
    with pytest.raises(FetchError):
        download(f"{server.url}/a", tmp_path / "a", pause_seconds=0)
    server.files["/a"], server.etag, server.cuts = CONTENT, '"two"', []
    assert download(f"{server.url}/a", tmp_path / "a").read_bytes() == CONTENT


def test_server_without_ranges_starts_anew(server: Server, tmp_path: Path) -> None:
    server.files["/a"] = CONTENT
    server.ranges = False
    server.cuts = [100_000]
    assert download(f"{server.url}/a", tmp_path / "a", md5=MD5, pause_seconds=0).read_bytes() == CONTENT
    assert len(server.asked) == 2


def test_part_that_is_complete_is_only_checked(server: Server, tmp_path: Path) -> None:
    server.files["/a"] = CONTENT
    (tmp_path / "a.part").write_bytes(CONTENT)
    assert download(f"{server.url}/a", tmp_path / "a", md5=MD5).read_bytes() == CONTENT
    (tmp_path / "b.part").write_bytes(CONTENT + b"too long")
    server.files["/b"] = CONTENT
    assert download(f"{server.url}/b", tmp_path / "b", md5=MD5).read_bytes() == CONTENT


def test_busy_server_is_asked_again(server: Server, tmp_path: Path) -> None:
    server.files["/a"] = CONTENT
    server.errors = [503, 429]
    assert download(f"{server.url}/a", tmp_path / "a", pause_seconds=0).read_bytes() == CONTENT


@pytest.mark.parametrize(("known", "what"), [({"md5": "0" * 32}, "MD5"), ({"size": 5}, "should have 5")])
def test_wrong_checksum_or_size_leaves_nothing(
    server: Server, tmp_path: Path, known: dict, what: str
) -> None:
    server.files["/a"] = CONTENT
    with pytest.raises(FetchError, match=what):
        download(f"{server.url}/a", tmp_path / "a", **known)
    assert list(tmp_path.iterdir()) == []


def test_missing_file_says_so_at_once(server: Server, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="404"):
        download(f"{server.url}/gone", tmp_path / "gone")
    assert len(server.asked) == 1


def test_offline_is_said_clearly(tmp_path: Path) -> None:
    with pytest.raises(FetchError, match=r"127\.0\.0\.1:9: no connection .* check the network"):
        download("http://127.0.0.1:9/a", tmp_path / "a")


def test_unwritable_target_is_no_network_trouble(server: Server, tmp_path: Path) -> None:
    server.files["/a"] = CONTENT
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(FetchError, match="cannot be written"):
        download(f"{server.url}/a", tmp_path / "file" / "a")
    assert server.asked == []


def test_too_little_space_is_said_before(server: Server, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="GB are needed"):
        download(f"{server.url}/a", tmp_path / "a", size=10**18)


def test_fetch_unpacks_checks_and_cleans_up(server: Server, tmp_path: Path) -> None:
    serve_toy(server)
    said: list[str] = []
    assert fetch(dataset(server), tmp_path / "toy", say=said.append) == []
    found = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert found == {"toy/set/1_HC.png", "toy/set/2_HC.png", "toy/table.csv"}
    assert any("checksum not known" in line for line in said)
    asked = len(server.asked)
    assert fetch(dataset(server), tmp_path / "toy") == []
    assert len(server.asked) == asked, "a complete dataset is not fetched again"


def test_fetch_says_what_is_missing(server: Server, tmp_path: Path) -> None:
    serve_toy(server)
    toy = dataset(server, layout=(("set/*HC.png", 3),))
    assert fetch(toy, tmp_path, keep_archives=True) == ["set/*HC.png: 2 of 3 files"]
    assert (tmp_path / "toy.zip").is_file()


def test_check_counts_only_sound_files(server: Server, tmp_path: Path) -> None:
    serve_toy(server)
    fetch(dataset(server), tmp_path)
    (tmp_path / "set" / "2_HC.png").write_text("<html>Not found</html>")
    (tmp_path / "table.csv").write_bytes(b"")
    assert check(dataset(server), tmp_path) == [
        "set/*HC.png: 1 of 2 files, set/2_HC.png is damaged",
        "table.csv: 0 of 1 files, table.csv is damaged",
    ]
    assert check(dataset(server), tmp_path / "none") == [f"{tmp_path / 'none'} is not there"]


def test_publisher_states_checksums(server: Server, tmp_path: Path) -> None:
    serve_toy(server)
    entries = [
        {
            "key": name,
            "size": len(server.files[f"/{name}"]),
            "checksum": "md5:" + hashlib.md5(server.files[f"/{name}"], usedforsecurity=False).hexdigest(),
            "links": {"self": f"{server.url}/{name}"},
        }
        for name in ("toy.zip", "table.csv")
    ]
    server.files["/api"] = json.dumps({"files": entries}).encode()
    said: list[str] = []
    assert fetch(dataset(server, api=f"{server.url}/api"), tmp_path / "a", say=said.append) == []
    assert not any("not known" in line for line in said)
    assert fetch(dataset(server, api=f"{server.url}/api", files=()), tmp_path / "b") == []
    server.files["/table.csv"] = b"filename\n2_HC.png\n"
    with pytest.raises(FetchError, match="MD5"):
        fetch(dataset(server, api=f"{server.url}/api"), tmp_path / "c")
    assert not (tmp_path / "c" / "table.csv").exists()


def test_publisher_that_is_silent_or_names_paths(server: Server, tmp_path: Path) -> None:
    serve_toy(server)
    said: list[str] = []
    assert fetch(dataset(server, api=f"{server.url}/none"), tmp_path / "a", say=said.append) == []
    assert any("did not tell its checksums" in line for line in said)
    with pytest.raises(FetchError, match="by hand"):
        fetch(dataset(server, api=f"{server.url}/none", files=()), tmp_path / "b")
    climbing = {"key": "../evil", "links": {"self": f"{server.url}/table.csv"}}
    server.files["/api"] = json.dumps({"files": [climbing]}).encode()
    with pytest.raises(FetchError, match="not taken"):
        fetch(dataset(server, api=f"{server.url}/api", files=()), tmp_path / "c")
    assert not (tmp_path / "evil").exists()


def test_form_is_not_fetched_but_explained(server: Server, tmp_path: Path) -> None:
    closed = dataset(server, access="form", steps=("Ask them.", "Unpack into FOLDER."))
    with pytest.raises(FetchError, match="form"):
        fetch(closed, tmp_path)
    text = describe(closed, tmp_path / "toy")
    assert f"2. Unpack into {tmp_path / 'toy'}." in text
    assert "Nobody 2020." in text
    assert server.asked == []


def test_truncated_zip_is_left_out_whole(server: Server, tmp_path: Path) -> None:
    serve_toy(server)
    server.files["/toy.zip"] = server.files["/toy.zip"][:-40]
    with pytest.raises(FetchError, match="damaged or incomplete"):
        fetch(dataset(server), tmp_path)
    assert not (tmp_path / "set").exists()


def test_zip_with_damaged_content(tmp_path: Path) -> None:
    data = bytearray(zipped(**{"a.bin": b"a" * 1000, "b.bin": b"b" * 1000}))
    data[data.index(b"bbbb")] = ord("c")
    (tmp_path / "x.zip").write_bytes(data)
    with pytest.raises(FetchError, match="damaged"):
        unpack(tmp_path / "x.zip", tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/tmp/evil", "..\\evil", "C:evil"])
def test_names_that_climb_out_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "x.zip").write_bytes(zipped(**{"good.txt": b"1", name: b"2"}))
    with pytest.raises(FetchError, match="leads out"):
        unpack(tmp_path / "x.zip", tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []
    assert not list(tmp_path.glob("evil"))


def test_zip_bomb_is_left_packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fetal_monai.unpack.SPARE_BYTES", 1000)
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(10_000_000))
    with pytest.raises(FetchError, match="larger unpacked"):
        unpack(tmp_path / "x.zip", tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_tar_and_nested_archives(tmp_path: Path) -> None:
    inner = zipped(**{"deep/b.txt": b"b"})
    with tarfile.open(tmp_path / "x.tar.gz", "w:gz") as archive:
        for name, data in {"set/a.txt": b"a", "set/inner.zip": inner}.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    assert unpack(tmp_path / "x.tar.gz", tmp_path / "flat") == 2
    assert unpack(tmp_path / "x.tar.gz", tmp_path / "deep", nested=True) == 2
    assert (tmp_path / "deep" / "set" / "deep" / "b.txt").read_bytes() == b"b"
    assert not (tmp_path / "deep" / "set" / "inner.zip").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused(tmp_path: Path, kind: bytes) -> None:
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        info = tarfile.TarInfo("link")
        info.type, info.linkname = kind, "/etc/passwd"
        archive.addfile(info)
    with pytest.raises(FetchError, match="link or a device"):
        unpack(tmp_path / "x.tar", tmp_path / "out")


def test_progress_bar_counts_what_was_there(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.files["/a"] = CONTENT
    (tmp_path / "a.part").write_bytes(CONTENT[:150_000])
    download(f"{server.url}/a", tmp_path / "a", size=len(CONTENT), md5=MD5, progress=True)
    assert "a: " in capsys.readouterr().err


def test_manifest_is_whole() -> None:
    manifest = load_manifest()
    assert {"hc18", "fetal_planes", "feta", "brats2021", "brats2023", "msd_brain_tumour"} <= set(manifest)
    for name, entry in manifest.items():
        assert entry.layout, name
        assert entry.doi, name
        assert entry.citation, name
        assert bool(entry.steps) == (entry.access == "form"), name
        assert entry.files or entry.api or entry.access == "form", name
        for file in entry.files:
            assert file.url.startswith("https://"), name
            assert file.md5 is None or len(file.md5) == 32, name
    assert ("training_set/*HC.png", 999) in manifest["hc18"].layout


def test_damaged_manifest(tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text("datasets: {toy: {title: Toy}}")
    with pytest.raises(ValueError, match="no readable manifest"):
        load_manifest(tmp_path / "m.yaml")


def test_read_json_refuses_pages(server: Server) -> None:
    server.files["/page"] = b"<html>"
    with pytest.raises(FetchError, match="no JSON"):
        downloading.read_json(f"{server.url}/page")
