"""The models page: what is on offer, and only what the host put beside the weights."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from web_studio import MODELS, ServedStudio, picture, serve_studio, tone

from bot.platforms.web.markdown import Span, blocks, spans
from generators.registry import ModelEntry
from generators.weights import WeightsManifest, write_manifest

CARD = """---
license: mit
---
# A model <script>alert(1)</script>

It **plays** `notes`, see [the paper](https://example.org/a?b=1&c=2) or [this](javascript:alert(1)).

| figure | value |
|---|---|
| accuracy | 0.9 |

* one
* two
  goes on

```python
load("<b>")
```

![neighbours](neighbours.png) ![elsewhere](https://example.org/pixel.png) ![up](../secret.png)
"""


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A folder of weights as the trainer and `atelier evaluate` leave it, and more than that."""
    folder = tmp_path / "weights" / "notes"
    (folder / "samples").mkdir(parents=True)
    manifest = WeightsManifest(generator="audio_gan", figures={"held_out_loss": 0.123456})
    write_manifest(folder, manifest)
    (folder / "README.md").write_text(CARD)
    for name in ("samples.png", "neighbours.png"):
        (folder / name).write_bytes(picture(1))
    (folder / "samples" / "kick-drum.ogg").write_bytes(tone(1)[1].data)
    (folder / "model.safetensors").write_bytes(b"secret")
    (folder.parent / "secret.png").write_bytes(picture(2))
    (folder / "linked.png").symlink_to(folder.parent / "secret.png")
    return folder


@pytest_asyncio.fixture
async def offering(tmp_path: Path, weights: Path) -> AsyncIterator[ServedStudio]:
    """A studio that offers those weights and a hub model beside the usual ones."""
    notes = ModelEntry(
        name="notes",
        generator="audio_gan",
        weights=str(weights),
        licence="MIT <i>",
        summary={"en": "Plays <b>notes</b>.", "zh": "演奏音符。"},
    )
    hub = ModelEntry(name="turbo", generator="diffusion", weights="some/model", revision="a" * 40)
    async with serve_studio(tmp_path, models=(*MODELS, notes, hub)) as running:
        yield running


async def test_every_model_shows_what_lies_beside_its_weights(offering: ServedStudio) -> None:
    async with offering.visitor() as visitor:
        page = await visitor.look("/models")
    names = re.findall(r'<h3 id="model-([\w-]+)"', page)
    assert set(names) == {one.name for one in MODELS} | {"notes", "turbo"}
    assert names[0] == "diffusion"  # the default comes first on its shelf
    notes = page[page.index('id="model-notes"') - 900 :]
    assert "<dt>held out loss</dt><dd>0.1235</dd>" in notes
    assert 'src="/models/notes/samples.png"' in notes
    assert 'src="/models/notes/samples/kick-drum.ogg"' in notes
    assert ">kick drum<" in notes
    assert "some/model @ aaaaaaaaaaaa" in page
    assert str(offering.services) not in page
    assert "/weights/notes" not in page  # where things lie on the host's disk is nobody's business


async def test_a_card_is_text_whatever_is_in_it(offering: ServedStudio) -> None:
    async with offering.visitor() as visitor:
        page = await visitor.look("/models")
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert" not in page
    assert "Plays &lt;b&gt;notes" in page
    assert "MIT &lt;i&gt;" in page
    assert 'href="javascript:' not in page
    assert 'href="https://example.org/a?b=1&amp;c=2" rel="noopener noreferrer"' in page
    assert "load(&#34;&lt;b&gt;&#34;)" in page
    assert 'src="/models/notes/neighbours.png"' in page
    assert "example.org/pixel.png" not in page.replace("https://example.org/a", "")
    assert "secret.png" not in page


@pytest.mark.parametrize(
    ("name", "mime"),
    [("samples.png", "image/png"), ("samples/kick-drum.ogg", "audio/ogg")],
)
async def test_what_the_page_shows_can_be_fetched(
    name: str, mime: str, offering: ServedStudio
) -> None:
    async with offering.visitor() as visitor:
        async with visitor.http.get(f"/models/notes/{name}") as response:
            assert (response.status, response.content_type) == (200, mime)
            assert response.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
            tag = response.headers["ETag"]
        again = {"If-None-Match": tag}
        async with visitor.http.get(f"/models/notes/{name}", headers=again) as response:
            assert response.status == 304


@pytest.mark.parametrize(
    "path",
    [
        "notes/model.safetensors",
        "notes/README.md",
        "notes/atelier.json",
        "notes/linked.png",
        "notes/../secret.png",
        "notes/%2e%2e/secret.png",
        "notes/..%2fsecret.png",
        "notes/samples/..%2f..%2fsecret.png",
        "notes//etc/passwd",
        "nobody/samples.png",
        "diffusion/samples.png",
        "turbo/samples.png",
    ],
)
async def test_nothing_else_on_the_disk_can(path: str, offering: ServedStudio) -> None:
    async with offering.visitor() as visitor:
        await visitor.look(f"/models/{path}", status=404)


async def test_the_page_speaks_chinese(offering: ServedStudio) -> None:
    async with offering.visitor(**{"Accept-Language": "zh"}) as visitor:
        page = await visitor.look("/models")
    assert "演奏音符。" in page
    assert "可用的模型" in page


def test_markdown_is_read_as_plain_parts() -> None:
    found = blocks(CARD)
    kinds = [one.kind for one in found]
    assert kinds == ["heading", "paragraph", "table", "list", "code", *["picture"] * 3]
    assert found[2].rows[1] == ((Span("accuracy"),), (Span("0.9"),))
    assert found[3].rows == (((Span("one"),),), ((Span("two goes on"),),))
    assert found[4].code == 'load("<b>")'
    assert found[5].file == "neighbours.png"


@pytest.mark.parametrize(
    "text",
    ["", "```", "|", "|\n|-|", "# ", "![](", "* ", "---", "[" * 5000, "`*[" * 5000, "# " * 9000],
)
def test_any_text_is_read_and_ends(text: str) -> None:
    blocks(text)
    assert "".join(span.text for span in spans("a **b** `c` [d](https://e.f)")) == "a b c d"
