"""Which models are offered, and how the host's file is read and edited."""

from __future__ import annotations

from pathlib import Path

import pytest

from generators import catalog
from generators.models_file import (
    AdapterSource,
    HostEntry,
    RegistryError,
    add_model,
    read_models_file,
    remove_model,
    set_default,
)
from generators.registry import read_registry, starter_entries
from generators.weights import STARTER, WeightsError, WeightsManifest, part, write_manifest

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def starter(tmp_path: Path) -> Path:
    folder = tmp_path / "starter"
    for name in ("diffusion", "gpt2"):
        write_manifest(
            folder / name,
            WeightsManifest(generator=name, summary={"en": f"Ours: {name}."}, licence="free"),
        )
    return folder


@pytest.fixture
def models_file(tmp_path: Path) -> Path:
    return tmp_path / "host" / "models.toml"


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def test_what_ships_is_offered_without_any_file(starter: Path, models_file: Path) -> None:
    registry = read_registry(models_file, starter)
    assert list(registry.entries) == ["diffusion", "gpt2", "lanczos"]
    assert all(entry.starter for entry in registry.entries.values())
    image, text = registry.default("image"), registry.default("text")
    assert image is not None
    assert text is not None
    assert (image.name, text.name) == ("diffusion", "gpt2")
    assert image.folder == starter / "diffusion"
    upscale = registry.default("image", "upscale")
    assert upscale is not None
    assert (upscale.name, upscale.folder) == ("lanczos", None)
    assert registry.default("audio") is None


def test_the_real_starter_folder_is_in_order() -> None:
    for entry in starter_entries(STARTER):
        spec = catalog.spec(entry.generator)
        assert {"en", "zh"} <= set(entry.summary)
        assert set(entry.defaults) <= set(spec.params.model_fields)
        assert entry.licence or not spec.needs_weights


def test_a_hub_model_joins_with_its_commit(starter: Path, models_file: Path) -> None:
    write(
        models_file,
        f"""
        [defaults]
        image = "turbo"
        [models.turbo]
        generator = "diffusion"
        weights = "someone/turbo"
        revision = "{COMMIT}"
        defaults = {{ num_inference_steps = 1, guidance_scale = 0.0 }}
        """,
    )
    registry = read_registry(models_file, starter)
    turbo = registry.entry("turbo")
    assert (turbo.weights, turbo.revision, turbo.folder) == ("someone/turbo", COMMIT, None)
    assert turbo.defaults == {"num_inference_steps": 1, "guidance_scale": 0.0}
    assert turbo.default
    assert not turbo.starter
    assert [entry.name for entry in registry.offering("image")] == ["turbo", "diffusion"]


def test_a_folder_brings_its_manifest_and_the_host_has_the_last_word(
    starter: Path, models_file: Path
) -> None:
    write_manifest(
        models_file.parent / "mine",
        WeightsManifest(
            generator="gpt2",
            licence="ours",
            defaults={"top_k": 5, "temperature": 0.5},
            limits={"context": 64},
        ),
    )
    write(
        models_file,
        '[models.mine]\ngenerator = "gpt2"\nweights = "mine"\ndefaults = { top_k = 9 }\n',
    )
    entry = read_registry(models_file, starter).entry("mine")
    assert entry.folder == (models_file.parent / "mine").resolve()
    assert entry.defaults == {"top_k": 9, "temperature": 0.5}
    assert (entry.limits, entry.licence) == ({"context": 64}, "ours")


def test_every_adapter_is_a_model_of_its_own_over_the_same_weights(
    starter: Path, models_file: Path
) -> None:
    (models_file.parent / "ours").mkdir(parents=True)
    write(
        models_file,
        f"""
        [defaults]
        image = "turbo+ours"
        [models.turbo]
        generator = "diffusion"
        weights = "someone/turbo"
        revision = "{COMMIT}"
        licence = "open"
        dtype = "bfloat16"
        offload = "model"
        defaults = {{ num_inference_steps = 1 }}
        [models.turbo.adapters]
        ours = "ours"
        pixel = "someone/pixel@{COMMIT}"
        [models.turbo.adapters.soft]
        weights = "a/b"
        revision = "{COMMIT}"
        file = "x.safetensors"
        scale = 0.5
        licence = "MIT"
        """,
    )
    registry = read_registry(models_file, starter)
    base = registry.entry("turbo")
    ours, pixel, soft = (registry.entry(f"turbo+{style}") for style in ("ours", "pixel", "soft"))
    assert base.adapter is None
    assert (base.dtype, base.offload) == ("bfloat16", "model")
    for entry in (ours, pixel, soft):
        same = entry.base.model_copy(update={"default": False, "licence": base.licence})
        assert same == base
        assert (entry.weights, entry.defaults) == (base.weights, base.defaults)
    assert ours.adapter is not None
    assert ours.adapter.folder == (models_file.parent / "ours").resolve()
    assert pixel.adapter == AdapterSource(weights="someone/pixel", revision=COMMIT)
    assert (soft.licence, soft.adapter and soft.adapter.scale) == ("open; MIT", 0.5)
    assert registry.default("image") == ours


BROKEN = {
    "[models.x] adapters.s": f"""
        [models.x]\ngenerator = 'gpt2'\nweights = 'a/b'\nrevision = '{COMMIT}'
        adapters = {{ s = 3 }}""",
    "[models.x] adapters.s revision": f"""
        [models.x]\ngenerator = 'gpt2'\nweights = 'a/b'\nrevision = '{COMMIT}'
        adapters = {{ s = "c/d@main" }}""",
    "[models.x] adapters.S+": f"""
        [models.x]\ngenerator = 'gpt2'\nweights = 'a/b'\nrevision = '{COMMIT}'
        adapters = {{ "S+" = "c/d@{COMMIT}" }}""",
    "[models.x] dtype": f"""
        [models.x]\ngenerator = 'gpt2'\nweights = 'a/b'\nrevision = '{COMMIT}'\ndtype = 'int3'""",
    "is not valid TOML": "[models.x",
    "unknown section 'model'": "[model.x]\ngenerator = 'gpt2'",
    "must be tables": "models = 3",
    "[models.x] generator: Field required": "[models.x]\nweights = 'a/b'",
    "[models.x] colour": "[models.x]\ngenerator = 'gpt2'\nweights = 'a/b'\ncolour = 1",
    "[models.x] generator 'oracle' is unknown": "[models.x]\ngenerator = 'oracle'\nweights = 'a/b'",
    "[models.x] weights: name a folder": "[models.x]\ngenerator = 'gpt2'",
    "there is no folder": "[models.x]\ngenerator = 'gpt2'\nweights = './nowhere'",
    "[models.x] revision": "[models.x]\ngenerator = 'gpt2'\nweights = 'a/b'",
    "full commit": "[models.x]\ngenerator = 'gpt2'\nweights = 'a/b'\nrevision = 'main'",
    "a name has 1 to 40": "[models.'Big Name']\ngenerator = 'gpt2'\nweights = 'a/b'",
    "takes a starter model's name": f"""
        [models.gpt2]\ngenerator = 'gpt2'\nweights = 'a/b'\nrevision = '{COMMIT}'""",
    "no param 'steps'": f"""
        [models.x]\ngenerator = 'diffusion'\nweights = 'a/b'\nrevision = '{COMMIT}'
        defaults = {{ steps = 3 }}""",
    "defaults: temperature": f"""
        [models.x]\ngenerator = 'gpt2'\nweights = 'a/b'\nrevision = '{COMMIT}'
        defaults = {{ temperature = 9.0 }}""",
    "is no image model on offer": "[defaults]\nimage = 'gpt2'",
    "must map a modality": "[defaults]\nimage = 3",
}


@pytest.mark.parametrize("sentence", BROKEN)
def test_a_broken_entry_is_named_with_its_file(
    starter: Path, models_file: Path, sentence: str
) -> None:
    write(models_file, BROKEN[sentence])
    with pytest.raises(RegistryError) as raised:
        read_registry(models_file, starter)
    assert sentence in str(raised.value)
    assert str(models_file) in str(raised.value)
    assert "\n" not in str(raised.value).split("is not valid TOML")[0]


def test_a_manifest_for_another_generator_is_refused(starter: Path, models_file: Path) -> None:
    write(models_file, f'[models.x]\ngenerator = "gpt2"\nweights = "{starter / "diffusion"}"\n')
    with pytest.raises(RegistryError, match="its weights are for diffusion"):
        read_registry(models_file, starter)


def test_an_unknown_name_is_answered_with_the_known_ones(starter: Path) -> None:
    with pytest.raises(RegistryError, match=r"'nobody'.*diffusion, gpt2, lanczos"):
        read_registry(None, starter).entry("nobody")


def test_adding_and_removing_keeps_what_the_host_wrote(starter: Path, models_file: Path) -> None:
    written = "# our models\n\n[models.first] # the best\ngenerator = 'gpt2'\n"
    written += f"weights = 'a/b'\nrevision = '{COMMIT}'\n"
    write(models_file, written)
    entry = HostEntry(
        generator="diffusion",
        weights="some/one",
        revision=COMMIT,
        summary={"en": 'Says "hi"\n\x7f', "zh": "图"},
        defaults={"guidance_scale": 0.5},
        adapters={"x": AdapterSource(weights="c/d", revision=COMMIT, scale=0.5)},
    )
    add_model(models_file, "sd.new", entry)
    assert read_models_file(models_file)[0]["sd.new"] == entry
    set_default(models_file, "image", "sd.new")
    set_default(models_file, "text", "first")
    set_default(models_file, "text", "gpt2")
    registry = read_registry(models_file, starter)
    assert [e.name for e in registry.entries.values() if e.default] == ["gpt2", "sd.new"]
    remove_model(models_file, "sd.new")
    tables, defaults = read_models_file(models_file)
    assert (list(tables), defaults) == (["first"], {"text": "gpt2"})
    assert "# the best" in models_file.read_text()
    assert "# our models" in models_file.read_text()


def test_editing_refuses_what_makes_no_sense(models_file: Path) -> None:
    entry = HostEntry(generator="gpt2", weights="a/b", revision=COMMIT)
    add_model(models_file, "x", entry)
    with pytest.raises(RegistryError, match="already"):
        add_model(models_file, "x", entry)
    with pytest.raises(RegistryError, match="a name has"):
        add_model(models_file, "../x", entry)
    with pytest.raises(RegistryError, match="there is no model 'y'"):
        remove_model(models_file, "y")


def test_parts_are_found_beside_the_folder_or_among_what_ships(tmp_path: Path) -> None:
    parts = {"near": "../near", "shipped": "starter:diffusion/vae", "gone": "../gone"}
    write_manifest(tmp_path / "x", WeightsManifest(generator="diffusion", parts=parts))
    (tmp_path / "near").mkdir()
    assert part(tmp_path / "x", "near") == tmp_path / "near"
    assert part(tmp_path / "x", "shipped") == STARTER / "diffusion" / "vae"
    for name, sentence in (("gone", "where nothing lies"), ("other", "names no part 'other'")):
        with pytest.raises(WeightsError, match=sentence):
            part(tmp_path / "x", name)
