"""The real discord.py client holds whole conversations with the played Discord."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import discord
import pytest
from discord import ui
from discord_server import Channel, Guild, Member, NotOffered, PlayedDiscord, Upload
from played_bot import IMAGINE, Start, picture

Interaction = discord.Interaction[Any]


def panel(*buttons: str) -> ui.LayoutView:
    view = ui.LayoutView(timeout=None)
    view.add_item(ui.TextDisplay("a heart"))
    view.add_item(ui.MediaGallery(discord.MediaGalleryItem("attachment://heart.png")))
    row: ui.ActionRow[Any] = ui.ActionRow()
    for label in buttons:
        row.add_item(ui.Button(label=label, custom_id=f"{label.lower()}:7"))
    view.add_item(row)
    return view


def heart() -> discord.File:
    return discord.File(io.BytesIO(picture()), "heart.png")


async def draw(interaction: Interaction) -> None:
    """Defer, then edit: what every bot of this kind does."""
    await interaction.response.defer(thinking=True)
    await interaction.edit_original_response(view=panel("U1", "Edit"), attachments=[heart()])


async def test_a_deferred_answer_is_edited_and_its_button_pressed(
    played_discord: PlayedDiscord, start: Start, general: Channel, ana: Member
) -> None:
    client = await start()
    client.on = draw
    asked = await played_discord.slash(ana, general, "imagine", prompt="a red heart", count=2)
    assert (await asked.acknowledged(within_s=1))["type"] == 5
    message = await asked.answer(lambda m: m.uploads)
    assert asked.deferred
    assert (message.text, message.uploads[0].data) == ("a heart", picture())
    assert (message.uploads[0].width, message.uploads[0].height) == (8, 8)
    assert [state["flags"] & 128 for state in asked.history] == [128, 0]

    async def enlarge(interaction: Interaction) -> None:
        assert interaction.message is not None
        assert (interaction.data or {})["custom_id"] == "u1:7"
        assert interaction.message.id == int(message.id)
        assert len(interaction.message.attachments) == 1
        await interaction.response.send_message("larger", ephemeral=True)

    client.on = enlarge
    larger = await (await played_discord.press(message, "U1", ana)).answer()
    assert (larger.text, larger.ephemeral, larger.only_for) == ("larger", True, ana.user)
    assert played_discord.messages(general) == [message]
    bob = played_discord.member(ana.guild, "bob")
    with pytest.raises(NotOffered, match="does not see"):
        await played_discord.press(larger, "anything", bob)


async def test_a_button_opens_a_modal_and_what_is_typed_updates_the_message(
    played_discord: PlayedDiscord, start: Start, general: Channel, ana: Member
) -> None:
    client = await start()
    client.on = draw
    asked = await played_discord.slash(ana, general, "imagine", prompt="a heart")
    message = await asked.answer(lambda m: m.buttons)

    class Form(ui.Modal, title="Edit"):
        prompt: ui.Label[Any] = ui.Label(
            text="Prompt",
            component=ui.TextInput(custom_id="p", default="a heart", max_length=20),
        )

    async def edit(interaction: Interaction) -> None:
        if interaction.type is discord.InteractionType.component:
            await interaction.response.send_modal(Form(custom_id="edit:7"))
            return
        data: Any = interaction.data
        view = ui.LayoutView(timeout=None)
        view.add_item(ui.TextDisplay(f"now {data['components'][0]['component']['value']}"))
        await interaction.response.edit_message(view=view, attachments=[])

    client.on = edit
    pressed = await played_discord.press(message, "Edit", ana)
    form = await pressed.modal()
    assert (form["title"], form["custom_id"]) == ("Edit", "edit:7")
    with pytest.raises(NotOffered, match="20 characters"):
        await played_discord.submit(pressed, {"Prompt": "x" * 21})
    await (await played_discord.submit(pressed, {"Prompt": "a blue heart"})).acknowledged()
    assert message.text == "now a blue heart"
    assert not message.uploads
    assert message.edited_at


async def test_choices_come_while_one_types_and_the_app_refuses_what_is_out_of_range(
    played_discord: PlayedDiscord, start: Start, general: Channel, ana: Member
) -> None:
    client = await start()

    async def complete(interaction: Interaction) -> None:
        data: Any = interaction.data
        typed = next(o for o in data["options"] if o.get("focused"))["value"]
        names = [name for name in ("emoji", "embroidery", "photo") if name.startswith(typed)]
        choices = [discord.app_commands.Choice(name=name, value=name) for name in names]
        await interaction.response.autocomplete(choices)

    client.on = complete
    found = await played_discord.autocomplete(ana, general, "imagine", "model", "em", prompt="x")
    assert [choice["value"] for choice in found] == ["emoji", "embroidery"]
    with pytest.raises(NotOffered, match="1 to 4"):
        await played_discord.slash(ana, general, "imagine", prompt="x", count=5)
    with pytest.raises(NotOffered, match="required"):
        await played_discord.slash(ana, general, "imagine")
    with pytest.raises(NotOffered, match="not among the commands"):
        await played_discord.slash(ana, general, "paint")


async def test_an_attached_picture_is_fetched_from_the_cdn_until_its_address_expires(
    played_discord: PlayedDiscord, start: Start, general: Channel, ana: Member
) -> None:
    client = await start()
    fetched: list[bytes] = []

    async def read(interaction: Interaction) -> None:
        data: Any = interaction.data
        (attachment,) = data["resolved"]["attachments"].values()
        assert attachment["content_type"] == "image/png"
        found = discord.Attachment(data=attachment, state=client._connection)
        fetched.append(await found.read())
        await interaction.response.send_message("thanks", ephemeral=True)
        played_discord.advance(25 * 3600)
        with pytest.raises(discord.NotFound):
            await found.read()

    client.on = read
    upload = Upload(picture(5), "cat.png", "image/png")
    await (await played_discord.slash(ana, general, "imagine", prompt="x", image=upload)).answer()
    assert fetched == [picture(5)]


async def test_a_direct_message_arrives_unless_they_are_closed(
    played_discord: PlayedDiscord, start: Start, ana: Member
) -> None:
    client = await start()
    user = await client.fetch_user(int(ana.id))
    await user.send("for you", nonce="n1")
    await user.send("for you", nonce="n1")
    assert [m.text for m in played_discord.direct_messages(ana)] == ["for you"]
    ana.user.dm_open = False
    with pytest.raises(discord.Forbidden) as refused:
        await user.send("hello?")
    assert refused.value.code == 50007


async def test_a_menu_on_a_members_message_names_its_target(
    played_discord: PlayedDiscord, start: Start, general: Channel, ana: Member
) -> None:
    client = await start()
    await client.register(IMAGINE, {"name": "Report", "type": 3, "contexts": [0]})
    bad = await played_discord.say(ana, general, "something bad", Upload(picture()))

    async def report(interaction: Interaction) -> None:
        data: Any = interaction.data
        assert data["resolved"]["messages"][data["target_id"]]["content"] == "something bad"
        await interaction.response.defer(ephemeral=True)
        await interaction.followup.send("noted", ephemeral=True)
        await interaction.followup.send("and looked at", ephemeral=True)

    client.on = report
    asked = await played_discord.menu(bad, "Report", ana)
    second = await asked.follow_up(lambda m: m.text == "and looked at")
    assert (await asked.answer()).text == "noted"  # the first one takes the thinking's place
    assert second.ephemeral
    assert [m.text for m in asked.messages] == ["noted", "and looked at"]


async def test_a_choice_in_a_select_and_people_as_options(
    played_discord: PlayedDiscord, start: Start, general: Channel, ana: Member
) -> None:
    client = await start()
    grant = {"type": 6, "name": "member", "description": "Who", "required": True}
    sub = {"type": 1, "name": "grant", "description": "Give", "options": [grant]}
    moderators = {"default_member_permissions": str(1 << 5), "description": "Quota"}
    await client.register({"name": "quota", "options": [sub]} | moderators)
    with pytest.raises(NotOffered, match="not for ana"):
        await played_discord.slash(ana, general, "quota grant", member=ana)
    chief = played_discord.member(ana.guild, "chief", permissions=1 << 5)

    async def ask(interaction: Interaction) -> None:
        data: Any = interaction.data
        if interaction.type is discord.InteractionType.application_command:
            assert data["options"][0]["options"][0]["value"] == ana.id
            view = ui.View(timeout=None)
            options = [discord.SelectOption(label=name) for name in ("ten", "twenty")]
            view.add_item(ui.Select(custom_id="much", options=options))
            await interaction.response.send_message("How much?", view=view)
            return
        await interaction.response.edit_message(content=data["values"][0], view=None)

    client.on = ask
    message = await (await played_discord.slash(chief, general, "quota grant", member=ana)).answer()
    await (await played_discord.select(message, "much", ["twenty"], chief)).acknowledged()
    assert (message.content, message.components) == ("twenty", [])


async def test_emoji_stickers_and_sounds_are_kept_by_the_guild(
    played_discord: PlayedDiscord, start: Start, cats: Guild, ana: Member
) -> None:
    client = await start()
    guild = client.get_guild(int(cats.id))
    assert guild is not None
    emoji = await guild.create_custom_emoji(name="heart", image=picture(64))
    sticker = await guild.create_sticker(
        name="heart", description="", emoji="❤", file=discord.File(io.BytesIO(picture(320)))
    )
    assert [e["name"] for e in cats.emojis] == ["heart"]
    assert cats.media[str(emoji.id)] == picture(64)
    assert cats.media[str(sticker.id)] == picture(320)
    await guild.delete_emoji(emoji)
    assert not cats.emojis


async def test_two_hundred_commands_at_once_are_answered_once_each(
    played_discord: PlayedDiscord, start: Start, general: Channel, ana: Member
) -> None:
    played_discord.stop_clock()
    client = await start()
    client.on = draw
    every = [
        await played_discord.slash(ana, general, "imagine", prompt=f"heart {i}") for i in range(200)
    ]
    messages = await asyncio.gather(*(asked.answer(lambda m: m.uploads) for asked in every))
    assert len({m.id for m in messages}) == len(played_discord.messages(general)) == 200
    assert not played_discord.unacknowledged
    assert not played_discord.thinking
    assert played_discord.invalid_requests == 0
