"""What is found out about weights before they are offered: folders, and a hub of our own."""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from generators import catalog, hub
from generators.contract import Generated, GenerateRequest
from generators.models_file import RegistryError
from generators.registry import ModelEntry
from generators.runtime import ModelCache, _size_in_memory

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CARD = "---\ntags: [x]\nlicense: apache-2.0\n---\n# A model\nlicense: not this\n"


def weights(folder: Path, **files: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        text = content if isinstance(content, str) else json.dumps(content)
        (folder / name.replace("__", ".")).write_text(text)
    (folder / "model.safetensors").write_bytes(b"")
    return folder


@pytest.mark.parametrize(
    ("files", "generator", "kind"),
    [
        ({"model_index__json": {"_class_name": "FluxPipeline"}}, "diffusion", "FluxPipeline"),
        ({"config__json": {"architectures": ["LlamaForCausalLM"]}}, "gpt2", "LlamaForCausalLM"),
        ({"config__json": {"architectures": ["GPT2LMHeadModel"]}}, "gpt2", "GPT2LMHeadModel"),
        ({"config__json": {}, "atelier__json": {"generator": "lstm"}}, "lstm", ""),
    ],
)
def test_the_generator_is_read_off_the_configs(
    tmp_path: Path, files: dict[str, Any], generator: str, kind: str
) -> None:
    found = hub.look(str(weights(tmp_path, README__md=CARD, **files)))
    assert found == hub.Found(generator, kind, "apache-2.0", None)


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ("", ""),
        ("# no front matter\nlicense: mit\n", ""),
        ("---\nlicense: 'mit'\n---\n", "mit"),
        ("---\nlicense: other\nlicense_name: our-own\n---\n", "our-own"),
    ],
)
def test_the_licence_is_the_cards(tmp_path: Path, card: str, licence: str) -> None:
    index = {"_class_name": "StableDiffusionPipeline"}
    assert hub.look(str(weights(tmp_path, README__md=card, model_index__json=index))).licence == (
        licence
    )


def test_weights_of_ours_say_their_licence_themselves(tmp_path: Path) -> None:
    manifest = json.dumps({"generator": "gan", "licence": "CC0-1.0"})
    folder = weights(tmp_path)
    (folder / "atelier.json").write_text(manifest, encoding="utf-8")
    assert hub.look(str(folder)).licence == "CC0-1.0"


REFUSED: dict[str, dict[str, Any]] = {
    "pipeline of its own code": {"model_index__json": {"_class_name": ["mine", "Pipeline"]}},
    "needs code of its own": {"config__json": {"auto_map": {"AutoModel": "evil.Model"}}},
    "of class BertForMaskedLM": {"config__json": {"architectures": ["BertForMaskedLM"]}},
    "of no class": {},
    "not valid JSON": {"config__json": "{"},
}


@pytest.mark.parametrize("sentence", REFUSED)
def test_what_cannot_be_offered_is_refused_in_words(tmp_path: Path, sentence: str) -> None:
    with pytest.raises(RegistryError, match=sentence):
        hub.look(str(weights(tmp_path, **REFUSED[sentence])))


def test_an_adapter_is_sent_to_its_base_and_pickles_are_not_taken(tmp_path: Path) -> None:
    weights(tmp_path / "a", adapter_config__json={}).joinpath("model.safetensors").rename(
        tmp_path / "a" / "adapter_model.safetensors"
    )
    with pytest.raises(RegistryError, match=r"is an adapter.*--adapter style="):
        hub.look(str(tmp_path / "a"))
    weights(tmp_path / "b", config__json={"architectures": ["GPT2LMHeadModel"]})
    (tmp_path / "b" / "model.safetensors").rename(tmp_path / "b" / "pytorch_model.bin")
    with pytest.raises(RegistryError, match="no safetensors file"):
        hub.look(str(tmp_path / "b"))
    with pytest.raises(RegistryError, match="no hub id"):
        hub.look(str(tmp_path / "nowhere"))


class _Hub(BaseHTTPRequestHandler):
    """As much of the hub's API as its client asks for, over one folder `owner/name`."""

    def __init__(self, folder: Path, *args: Any) -> None:
        self._folder = folder
        super().__init__(*args)

    def do_GET(self) -> None:
        self._serve(with_body=True)

    def do_HEAD(self) -> None:
        self._serve(with_body=False)

    def _serve(self, *, with_body: bool) -> None:
        path = self.path.partition("?")[0]
        names = sorted(
            p.relative_to(self._folder).as_posix() for p in self._folder.rglob("*") if p.is_file()
        )
        if path.startswith("/api/models/owner/name/tree/"):
            tree = [
                {
                    "type": "file",
                    "path": name,
                    "size": (self._folder / name).stat().st_size,
                    "oid": f"{index:040x}",
                }
                for index, name in enumerate(names)
            ]
            self._answer(200, json.dumps(tree).encode(), with_body)
        elif path.startswith("/api/models/owner/name"):
            info = {
                "id": "owner/name",
                "sha": COMMIT,
                "siblings": [{"rfilename": name} for name in names],
            }
            self._answer(200, json.dumps(info).encode(), with_body)
        elif path.startswith(prefix := f"/owner/name/resolve/{COMMIT}/") and (
            path.removeprefix(prefix) in names
        ):
            data = (self._folder / path.removeprefix(prefix)).read_bytes()
            self._answer(200, data, with_body)
        else:
            self._answer(404, b"", with_body)

    def _answer(self, status: int, data: bytes, with_body: bool) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("ETag", f'"{hashlib.sha1(data, usedforsecurity=False).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        if with_body:
            self.wfile.write(data)

    def log_message(self, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def serve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[Path], ThreadingHTTPServer]]:
    """Serve a folder as the hub's `owner/name`, with a cache of its own."""
    servers = []

    def start(folder: Path) -> ThreadingHTTPServer:
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Hub, folder))
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        find_hub_at(monkeypatch, f"http://127.0.0.1:{server.server_port}", tmp_path / "hub")
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def find_hub_at(monkeypatch: pytest.MonkeyPatch, address: str, cache: Path) -> None:
    """The client reads its environment once; this is what it keeps of it."""
    from huggingface_hub import constants, hf_api

    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(hf_api.api, "endpoint", address)


def test_a_hub_model_is_pinned_fetched_and_loaded(
    gpt2_folder: Path,
    tmp_path: Path,
    runtime: Any,
    serve: Callable[[Path], ThreadingHTTPServer],
) -> None:
    """The stock client against a hub on this machine: look, then load as the model child does."""
    folder = tmp_path / "served"
    shutil.copytree(gpt2_folder, folder, ignore=shutil.ignore_patterns("atelier.json"))
    (folder / "README.md").write_text(CARD)
    (folder / "pytorch_model.bin").write_bytes(b"a pickle that nobody may fetch")
    serve(folder)
    found = hub.look("owner/name")
    assert found == hub.Found("gpt2", "GPT2LMHeadModel", "apache-2.0", COMMIT)
    entry = ModelEntry(name="x", generator="gpt2", weights="owner/name", revision=found.revision)
    loaded = ModelCache(runtime).get(entry)
    assert loaded.weights_hash == COMMIT[:16]
    assert _size_in_memory(entry, runtime) == loaded.memory_bytes  # known before the next time
    request = GenerateRequest("a", catalog.spec("gpt2").params(prompt="red", max_new_tokens=3), 7)
    assert isinstance(loaded.model.generate([request], lambda step: frozenset())[0], Generated)
    cached = {path.name for path in (tmp_path / "hub").rglob("*")}
    assert "model.safetensors" in cached
    assert "pytorch_model.bin" not in cached


def test_a_hub_pipeline_is_fetched_at_its_commit(
    sd_folder: Path,
    tmp_path: Path,
    runtime: Any,
    serve: Callable[[Path], ThreadingHTTPServer],
) -> None:
    folder = tmp_path / "served"
    shutil.copytree(sd_folder, folder, ignore=shutil.ignore_patterns("atelier.json"))
    serve(folder)
    found = hub.look("owner/name")
    assert (found.generator, found.kind) == ("diffusion", "StableDiffusionPipeline")
    entry = ModelEntry(
        name="x", generator="diffusion", weights="owner/name", revision=found.revision
    )
    model = catalog.load("diffusion").load(entry, runtime)
    params = catalog.spec("diffusion").params(prompt="red", num_inference_steps=1)
    [answer] = model.generate([GenerateRequest("a", params, 7)], lambda step: frozenset())
    assert isinstance(answer, Generated)


def test_a_hub_that_does_not_answer_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find_hub_at(monkeypatch, "http://127.0.0.1:9", tmp_path)
    with pytest.raises(RegistryError, match="the hub cannot be reached"):
        hub.look("owner/name")


def test_what_the_hub_does_not_have_is_a_sentence(
    tmp_path: Path, serve: Callable[[Path], ThreadingHTTPServer]
) -> None:
    serve(weights(tmp_path / "served"))
    with pytest.raises(RegistryError, match="the hub does not give other/name"):
        hub.look("other/name")
