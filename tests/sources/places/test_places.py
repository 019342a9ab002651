"""Folders and files in object stores and on web servers are read as those of this machine are."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from helpers.checkpoints import safetensors, sharded, write
from helpers.gguf_files import write_header
from helpers.program import Run

import llmarch
from llmarch.errors import MissingExtra, NotAModel, ReadError, UnknownReference
from llmarch.sources.places import open_place, stores, web
from llmarch.sources.walking import find_models, find_models_in_place

BUCKET = "models"
CONFIG = {
    "model_type": "llama",
    "hidden_size": 64,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "intermediate_size": 128,
    "vocab_size": 20_000,
}
SQUARE, WIDE, VECTOR = ("F32", (64, 64)), ("F32", (128, 64)), ("F32", (64,))
LAYER = {
    **{f"self_attn.{name}_proj.weight": SQUARE for name in "qkvo"},
    "mlp.gate_proj.weight": WIDE,
    "mlp.up_proj.weight": WIDE,
    "mlp.down_proj.weight": ("F32", (64, 128)),
    "input_layernorm.weight": VECTOR,
    "post_attention_layernorm.weight": VECTOR,
}
TENSORS = {
    "model.embed_tokens.weight": ("F32", (20_000, 64)),
    "lm_head.weight": ("F32", (20_000, 64)),
    "model.norm.weight": VECTOR,
    **{f"model.layers.{i}.{name}": kind for i in range(2) for name, kind in LAYER.items()},
}
TEXT = json.dumps(CONFIG).encode()
GGUF = {
    "block_count": 2,
    "context_length": 512,
    "embedding_length": 64,
    "feed_forward_length": 128,
    "attention.head_count": 4,
}
FOLDERS = ("single", "sharded", "lone", "part", "configs/small.json")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree of models of each form."""
    root = tmp_path_factory.mktemp("places")
    single = safetensors(TENSORS)
    write(root / "single", {"config.json": TEXT, "model.safetensors": single})
    write(root / "sharded", {"config.json": TEXT, **sharded(TENSORS, 3)})
    write(root / "lone", {"config.json": TEXT, ".hidden/config.json": b"{"})
    write(root / "part", {"model.safetensors": safetensors({"a.weight": ("F32", (8,))})})
    write(root / "configs", {"small.json": TEXT, "other.json": b"{}"})
    return root


@pytest.fixture(scope="module")
def bucket(tree: Path) -> Iterator[str]:
    """The tree on an S3 server."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    endpoint = f"http://127.0.0.1:{port}"
    keys = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret"}
    variables = {**keys, "AWS_ENDPOINT_URL": endpoint, "AWS_DEFAULT_REGION": "us-east-1"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        client: Any = boto3.client("s3")
        client.create_bucket(Bucket=BUCKET)
        for path in tree.rglob("*"):
            if path.is_file():
                client.upload_file(str(path), BUCKET, f"org/{path.relative_to(tree)}")
        yield f"s3://{BUCKET}/org"
    server.stop()


class Ranges(SimpleHTTPRequestHandler):
    """Sends ranges of files, and pages of links unless the server lists nothing."""

    lists = True
    ignores_range = False
    sent: list[int] = []

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""

    def list_directory(self, path: Any) -> Any:
        if self.lists:
            return super().list_directory(path)
        self.send_error(403)
        return None

    def do_GET(self) -> None:
        wanted = self.headers["range"]
        path = Path(self.translate_path(self.path))
        if wanted is None or self.ignores_range or not path.is_file():
            return super().do_GET()
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        size = path.stat().st_size
        with path.open("rb") as file:
            file.seek(int(first))
            data = file.read(int(last) + 1 - int(first))
        self.sent.append(len(data))
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {first}-{int(first) + len(data) - 1}/{size}")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
        return None


@pytest.fixture
def served(tree: Path) -> Iterator[tuple[str, type[Ranges]]]:
    """The tree on a web server."""
    handler = type("Handler", (Ranges,), {"sent": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(tree)))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", handler
    server.shutdown()
    server.server_close()


def told(reference: str) -> dict[str, Any]:
    """The row of a model without what says where it is."""
    (row,) = llmarch.scan(reference)
    assert row["reference"] == reference
    return {name: value for name, value in row.items() if name not in ("reference", "name")}


@pytest.mark.slow
@pytest.mark.parametrize("form", FOLDERS)
def test_a_bucket_says_what_the_folder_says(form: str, bucket: str, tree: Path) -> None:
    expected = told(str(tree / form))
    assert expected["status"] in ("verified", "computed", "observed")
    assert told(f"{bucket}/{form}") == expected


@pytest.mark.slow
def test_files_of_a_bucket(bucket: str, tree: Path) -> None:
    for file in ("single/config.json", "single/model.safetensors"):
        assert told(f"{bucket}/{file}") == told(str(tree / file))
    index = "sharded/model.safetensors.index.json"
    assert told(f"{bucket}/{index}") == told(str(tree / "sharded"))
    assert told(f"{bucket}/sharded/model-00002-of-00003.safetensors")["status"] == "partial"


@pytest.mark.slow
def test_weights_of_a_bucket_are_not_read(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    read = 0
    original = stores.FileStore.read

    def counted(self: Any, path: str, start: int, count: int) -> bytes:
        nonlocal read
        data = original(self, path, start, count)
        read += len(data)
        return data

    monkeypatch.setattr(stores.FileStore, "read", counted)
    assert told(f"{bucket}/single")["stored_bytes"] > 10_000_000
    assert read < 110_000


@pytest.mark.slow
def test_a_bucket_is_searched(bucket: str, tree: Path, run: Run) -> None:
    found = [path.removeprefix(bucket) for path in find_models_in_place(bucket)]
    assert found == [path.removeprefix(str(tree)) for path in find_models(str(tree))]
    assert found == [f"/{form}" for form in sorted(FOLDERS)]
    out, _ = run("scan", bucket)
    assert [json.loads(line)["reference"] for line in out.splitlines()] == [
        f"{bucket}/{form}" for form in sorted(FOLDERS)
    ]


@pytest.mark.slow
def test_what_a_bucket_lacks(bucket: str, run: Run) -> None:
    for reference, message in (
        (f"{bucket}/nothing", "no such file or folder"),
        (f"{bucket}/single/no.safetensors", "no such file or folder"),
        ("s3://no-such-bucket/model", "no-such-bucket"),
    ):
        with pytest.raises(ReadError) as caught:
            llmarch.load(reference)
        assert message in caught.value.message and reference in caught.value.message
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        patch.setenv("AWS_MAX_ATTEMPTS", "1")
    assert "no such" in run("show", f"{bucket}/nothing", code=3)[1]


def test_file_systems_in_memory_and_archives(tree: Path, tmp_path: Path) -> None:
    import shutil

    import fsspec

    memory: Any = fsspec.filesystem("memory")
    memory.put(str(tree), "/places", recursive=True)
    archive = shutil.make_archive(str(tmp_path / "models"), "zip", tree)
    for form in FOLDERS:
        expected = told(str(tree / form))
        assert told(f"memory://places/{form}") == expected
        assert told(f"zip://{form}::file://{archive}") == expected
    assert len(list(find_models_in_place("memory://places"))) == len(FOLDERS)


def test_gguf_models_of_a_place(tmp_path: Path, run: Run) -> None:
    import fsspec

    keys = {
        "general.architecture": ("STRING", None, "llama"),
        **{f"llama.{name}": ("UINT32", None, value) for name, value in GGUF.items()},
        "llama.attention.layer_norm_rms_epsilon": ("FLOAT32", None, 1e-6),
    }
    tensors = [("token_embd.weight", (64, 100), "F16")]
    for name in ("m-Q8_0", "m-F16"):
        write_header(tmp_path / f"{name}.gguf", keys, tensors, tokens=100)
    memory: Any = fsspec.filesystem("memory")
    memory.put(str(tmp_path), "/ggufs", recursive=True)
    expected = told(str(tmp_path / "m-F16.gguf"))
    assert expected["tensors"] == 1
    assert told("memory://ggufs/m-F16.gguf") == told("memory://ggufs:F16") == expected
    assert "2 GGUF models" in run("show", "memory://ggufs", code=2)[1]
    assert list(find_models_in_place("memory://ggufs")) == [
        "memory://ggufs/m-F16.gguf",
        "memory://ggufs/m-Q8_0.gguf",
    ]


@pytest.mark.parametrize("lists", [True, False])
@pytest.mark.parametrize("ignores_range", [True, False])
def test_a_web_server_says_what_the_folder_says(
    served: tuple[str, type[Ranges]], tree: Path, lists: bool, ignores_range: bool
) -> None:
    url, handler = served
    handler.lists, handler.ignores_range = lists, ignores_range
    for form in FOLDERS:
        assert told(f"{url}/{form}") == told(str(tree / form))
    if lists:
        assert sum(handler.sent) < 500_000
        found = [path.removeprefix(url) for path in find_models_in_place(url)]
        assert found == [f"/{form}" for form in sorted(FOLDERS)]


def test_no_token_is_sent_to_web_servers(
    served: tuple[str, type[Ranges]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, handler = served
    seen: list[str | None] = []
    original = handler.do_GET

    def noted(self: Any) -> None:
        seen.append(self.headers["authorization"])
        original(self)

    monkeypatch.setattr(handler, "do_GET", noted)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    llmarch.load(f"{url}/single")
    assert seen and set(seen) == {None}


def test_what_a_web_server_lacks(served: tuple[str, type[Ranges]]) -> None:
    url, handler = served
    with pytest.raises(NotAModel):
        llmarch.load(f"{url}/nothing")
    with pytest.raises(ReadError, match="HTTP 404"):
        llmarch.load(f"{url}/single/none.json")
    assert handler.sent is not None
    names = web.WebPlace().tree(f"{url}/single")
    assert sorted(names) == ["config.json", "model.safetensors"]


def test_modelscope(
    served: tuple[str, type[Ranges]], tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, handler = served
    original = handler.do_GET

    def answer(self: Any) -> None:
        address = urlsplit(self.path)
        if address.path == "/api/v1/models/org/name/repo/files":
            asked = parse_qs(address.query)
            files = [path for path in tree.rglob("*") if path.is_file()]
            listed = [
                {"Path": str(p.relative_to(tree)), "Size": p.stat().st_size, "Type": "blob"}
                for p in files
                if asked["Revision"] == ["master"]
            ]
            body = json.dumps({"Code": 200, "Data": {"Files": listed}}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            return
        self.path = unquote(self.path).replace("/models/org/name/resolve/master", "")
        original(self)

    monkeypatch.setattr(handler, "do_GET", answer)
    monkeypatch.setenv("MODELSCOPE_ENDPOINT", url)
    for form in ("single", "sharded", "lone"):
        assert told(f"modelscope://org/name/{form}") == told(str(tree / form))
    assert len(list(find_models_in_place("modelscope://org/name"))) == len(FOLDERS)
    with pytest.raises(NotAModel):
        llmarch.load("modelscope://org/name@v2")
    with pytest.raises(UnknownReference, match="is not the address"):
        llmarch.load("modelscope://name")
    with pytest.raises(ReadError, match="HTTP 404"):
        llmarch.load("modelscope://org/other")


def test_offline_no_place_is_asked(served: tuple[str, type[Ranges]], run: Run) -> None:
    url, handler = served
    assert "is not on this machine" in run("show", f"{url}/single", "--offline", code=3)[1]
    assert handler.sent == []


def test_unknown_places(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownReference, match="nowhere"):
        llmarch.load("nowhere://bucket/model")
    with pytest.raises(NotAModel, match="a pickle"):
        llmarch.load("s3://bucket/pytorch_model.bin")
    import s3fs

    monkeypatch.setattr(s3fs, "S3FileSystem", None)
    monkeypatch.setitem(__import__("sys").modules, "fsspec.core", None)
    with pytest.raises(MissingExtra) as caught:
        open_place("s3://bucket/model")
    assert caught.value.hint == "pip install 'llmarch[s3]'"
