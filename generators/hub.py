"""What weights in a folder or on the hub are: their generator, licence and commit.

Only small text files are read (configs and the model card), never tensors, and nothing is executed.
No torch; the hub's own client is imported only where a hub id is asked about. For `atelier models
add`. Sources: https://huggingface.co/docs/hub/model-cards (front matter), diffusers'
`model_index.json`, transformers' `config.json`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from generators.models_file import RegistryError
from generators.registry import HUB_ID, REVISION
from generators.weights import MANIFEST_NAME, read_manifest

Read = Callable[[str], "str | None"]
"""The text of a file of the weights by its name, or None where there is none."""

_CAUSAL = ("ForCausalLM", "LMHeadModel")
_FRONT_MATTER = re.compile(r"\A---\s*\n(.*?)\n---\s*(?:\n|\Z)", re.DOTALL)
_OFFLINE = "the hub cannot be reached ({error}); name a folder, or give --generator and --revision"


@dataclass(frozen=True, slots=True)
class Found:
    """What weights say of themselves. `kind` is their class in diffusers or transformers;
    `revision` the commit of a hub id."""

    generator: str
    kind: str
    licence: str = ""
    revision: str | None = None


def look(weights: str, revision: str | None = None) -> Found:
    """Look into a folder or a hub id (at `revision`: branch, tag or commit; else its newest).

    Raises RegistryError with a sentence where it is nothing that could be offered.
    """
    folder = Path(weights).expanduser()
    if folder.is_dir():
        return _described(weights, _folder_reader(folder), _files(folder), None)
    if not HUB_ID.fullmatch(weights):
        raise RegistryError(f"there is no folder {weights}, and it is no hub id (owner/name)")
    return _look_up(weights, revision)


def pinned(weights: str, revision: str | None = None) -> str | None:
    """The commit a hub id stands at now; None for a folder. Raises RegistryError."""
    if Path(weights).expanduser().is_dir() or not HUB_ID.fullmatch(weights):
        return None
    if revision is not None and REVISION.fullmatch(revision):
        return revision
    return str(_model_info(weights, revision).sha)


def _look_up(hub_id: str, revision: str | None) -> Found:
    from huggingface_hub import hf_hub_download

    info = _model_info(hub_id, revision)
    commit = str(info.sha)

    def read(name: str) -> str | None:
        if name not in names:
            return None
        try:
            path = hf_hub_download(hub_id, name, revision=commit)
        except Exception as error:  # of whichever HTTP library the client uses
            raise RegistryError(_OFFLINE.format(error=_first_line(error))) from error
        return Path(path).read_text(encoding="utf-8")

    names = {sibling.rfilename for sibling in info.siblings or ()}
    return _described(hub_id, read, names, commit)


def _model_info(hub_id: str, revision: str | None) -> Any:
    try:
        from huggingface_hub import HfApi
        from huggingface_hub.errors import HfHubHTTPError
    except ImportError as error:
        raise RegistryError("hub models need the worker's libraries: atelier[worker]") from error
    try:
        return HfApi().model_info(hub_id, revision=revision)
    except HfHubHTTPError as error:
        raise RegistryError(f"the hub does not give {hub_id}: {_first_line(error)}") from error
    except Exception as error:  # of whichever HTTP library the client uses
        raise RegistryError(_OFFLINE.format(error=_first_line(error))) from error


def _described(weights: str, read: Read, names: set[str], commit: str | None) -> Found:
    generator, kind = _generator(weights, read, names)
    if not any(name.endswith(".safetensors") for name in names):
        raise RegistryError(f"{weights} holds no safetensors file, and no other kind is loaded")
    own = _json(weights, MANIFEST_NAME, read) or {}
    return Found(generator, kind, _licence(read) or str(own.get("licence", "")), commit)


def _generator(weights: str, read: Read, names: set[str]) -> tuple[str, str]:
    """The generator for these weights, and their class."""
    own = _json(weights, MANIFEST_NAME, read)
    index = _json(weights, "model_index.json", read)
    config = _json(weights, "config.json", read)
    kind = ""
    if index is not None:
        named = index.get("_class_name")
        if not isinstance(named, str):
            raise RegistryError(f"{weights} needs a pipeline of its own code, which is never run")
        kind = named
    elif config is not None:
        if "auto_map" in config:
            raise RegistryError(f"{weights} needs code of its own, which is never run")
        kind = str(next(iter(config.get("architectures") or ()), ""))
    if own is not None and "generator" in own:
        return str(own["generator"]), kind
    if index is not None:
        return "diffusion", kind
    if kind.endswith(_CAUSAL):
        return "gpt2", kind
    if names & {"adapter_model.safetensors", "pytorch_lora_weights.safetensors"}:
        raise RegistryError(
            f"{weights} is an adapter; give it to its base: models add NAME BASE"
            f" --adapter style={weights}"
        )
    said = f"of class {kind}" if kind else "of no class that could be told"
    raise RegistryError(
        f"{weights} is {said}; text-to-image pipelines of diffusers and causal language models of"
        " transformers are known. Say --generator if you know better"
    )


def _licence(read: Read) -> str:
    """As the model card's front matter has it: `license`, or `license_name` for another one."""
    found = _FRONT_MATTER.match(read("README.md") or "")
    fields: dict[str, str] = dict(
        re.findall(r"^(license(?:_name)?):[ \t]*[\"']?([^\"'\n]+?)[\"']?[ \t]*$", found[1], re.M)
        if found
        else ()
    )
    name = fields.get("license", "")
    return fields.get("license_name", name) if name in ("", "other") else name


def _json(weights: str, name: str, read: Read) -> dict[str, Any] | None:
    text = read(name)
    if text is None:
        return None
    try:
        content = json.loads(text)
    except ValueError as error:
        raise RegistryError(f"{weights}: {name} is not valid JSON") from error
    return content if isinstance(content, dict) else None


def _folder_reader(folder: Path) -> Read:
    read_manifest(folder)  # says in words what is wrong with it

    def read(name: str) -> str | None:
        path = folder / name
        if not path.is_file():
            return None
        return path.read_text(encoding="utf-8", errors="replace")

    return read


def _files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*.safetensors")}


def _first_line(error: Exception) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
