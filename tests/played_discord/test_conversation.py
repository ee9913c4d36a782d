"""The real discord.py client holds whole conversations with the played Discord."""

from __future__ import annotations

import io

import discord
from discord_server import PlayedDiscord
from PIL import Image


def png() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (8, 6), "red").save(out, "PNG")
    return out.getvalue()


async def imagine(interaction: discord.Interaction, prompt: str) -> None:
    """A command with one option; what it does is up to each test's `on`."""


async def with_imagine(discord_: PlayedDiscord, bot):
    client = await bot()
    command = discord.app_commands.Command(name="imagine", description="Draw", callback=imagine)
    client.tree.add_command(command)
    await client.tree.sync()
    return client


async def test_a_deferred_answer_is_edited_and_its_button_pressed(played_discord, bot):
    cats = played_discord.guild()
    general = played_discord.channel(cats)
    ana = played_discord.member(cats)
    client = await with_imagine(played_discord, bot)

    async def draw(interaction: discord.Interaction) -> None:
        await interaction.response.defer(thinking=True)
        view = discord.ui.LayoutView(timeout=None)
        view.add_item(discord.ui.TextDisplay("a heart"))
        gallery = discord.ui.MediaGallery(discord.MediaGalleryItem("attachment://heart.png"))
        view.add_item(gallery)
        row = discord.ui.ActionRow()
        row.add_item(discord.ui.Button(label="U1", custom_id="u1:7"))
        view.add_item(row)
        file = discord.File(io.BytesIO(png()), "heart.png")
        await interaction.edit_original_response(view=view, attachments=[file])

    client.on = draw
    asked = await played_discord.slash(ana, general, "imagine", prompt="a red heart")
    body = await asked.acknowledged(within_s=1)
    assert body["type"] == 5
    message = await asked.answer()
    assert message.text == "a heart"
    assert message.uploads[0].data == png()
    assert (message.uploads[0].width, message.uploads[0].height) == (8, 6)
    assert not client.failures

    async def again(interaction: discord.Interaction) -> None:
        assert interaction.data["custom_id"] == "u1:7"
        assert interaction.message.id == int(message.id)
        await interaction.response.send_message("larger", ephemeral=True)

    client.on = again
    pressed = await played_discord.press(message, "U1", ana)
    larger = await pressed.answer()
    assert larger.ephemeral
    assert larger.text == "larger"
    assert played_discord.messages(general) == [message]
    assert not client.failures
