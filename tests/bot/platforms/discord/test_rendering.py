"""Replies as messages: everything of a reply is shown, and whatever it holds, Discord takes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from discord_rules import message_complaints
from people_and_jobs import a_job, an_artifact

from bot.core.chat import Button, Card, Field, Reply
from bot.core.domain import Artifact, Member
from bot.platforms.discord import components
from bot.platforms.discord.message import Message, Place
from bot.platforms.discord.packing import Luggage, Packed, stem
from bot.platforms.discord.rendering import CARD_ID, ERROR_ACCENT, draw

MIB = 1024 * 1024
PLACE = Place("en", 10 * MIB)
JOB = a_job(Member("account", "community", "member"))
ROWS = tuple(
    tuple(Button(f"{letter}{n}", f"{letter}{n}:{JOB.id}:sig", "says") for n in range(1, 5))
    for letter in "uvw"
)


def media(count: int, mime: str = "image/png", **more: Any) -> tuple[Artifact, ...]:
    return tuple(
        an_artifact(JOB, f"key{n}", n, id=f"{n:032x}", mime=mime, **more) for n in range(count)
    )


def packed(all_media: Sequence[Artifact], ending: str = "png", **texts: str) -> Luggage:
    files = {one.id: Packed(f"{stem(one)}.{ending}", b"x") for one in all_media}
    return Luggage(files, texts)


def text_of(message: Message) -> str:
    return "\n".join(
        part["content"] for part in components.walk(message.components) if part["type"] == 10
    )


def kinds(message: Message) -> list[int]:
    return [part["type"] for part in message.components[0]["components"]]


def test_an_answer_shows_title_grid_caption_and_buttons() -> None:
    pictures = media(4)
    reply = Reply(title="red *heart*", text="emoji · seed 7 · 2 s", media=pictures, buttons=ROWS)

    message = draw(reply, packed(pictures), PLACE)

    assert message_complaints(message) == []
    assert kinds(message) == [10, 12, 10, 1, 1, 1]
    assert text_of(message) == "### red \\*heart\\*\n-# emoji · seed 7 · 2 s"
    gallery = message.components[0]["components"][1]
    assert [item["media"]["url"] for item in gallery["items"]] == [
        f"attachment://atelier-{JOB.id[:8]}-{n}.png" for n in (1, 2, 3, 4)
    ]
    assert {item["description"] for item in gallery["items"]} == {"red *heart*"}
    assert message.payload()["allowed_mentions"] == {"parse": [], "users": []}
    assert message.payload()["flags"] == 1 << 15


def test_an_error_is_edged_in_red_and_says_what_is_wrong() -> None:
    message = draw(Reply(text="That is too large.", error=True), Luggage(), PLACE)

    assert message.components[0]["accent_color"] == ERROR_ACCENT
    assert text_of(message) == "That is too large."
    assert message_complaints(message) == []


def test_fields_are_rows_and_fractions_are_meters() -> None:
    fields = (Field("GPU time", "5 min of 10 min", 0.5), Field("Jobs", "3"))

    message = draw(Reply(title="Your quota", fields=fields), Luggage(), PLACE)

    assert text_of(message) == (
        "### Your quota\n**GPU time**  5 min of 10 min\n`▰▰▰▰▰▰▱▱▱▱▱▱` 50%\n**Jobs**  3"
    )


def test_a_mention_pings_the_one_it_is_for_and_nobody_else() -> None:
    message = draw(Reply(text="<@999> @everyone"), Luggage(), PLACE, mention="<@700>")

    assert message.payload()["allowed_mentions"] == {"parse": [], "users": ["700"]}
    assert text_of(message) == "<@700>\n\\<@999> @everyone"


def test_buttons_for_others_are_left_out_where_nobody_reads_along() -> None:
    report = Button("Report", f"report:{JOB.id}:sig", "Tell the moderators", among_others=True)
    reply = Reply(text="x", buttons=((report,),))

    assert 1 in kinds(draw(reply, Luggage(), PLACE))
    assert 1 not in kinds(draw(reply, Luggage(), replace(PLACE, others=False)))


def test_sounds_come_as_files_under_their_plots() -> None:
    sound, plot = media(1, "audio/wav") + media(2, role="plot")[1:]
    luggage = Luggage(
        {sound.id: Packed("a.wav", b"RIFF"), plot.id: Packed("a.png", b"png")},
    )

    message = draw(Reply(title="violin", text="c", media=(sound, plot)), luggage, PLACE)

    assert kinds(message) == [10, 12, 13, 10]
    assert {one.filename for one in message.files} == {"a.wav", "a.png"}
    assert message_complaints(message) == []


def test_a_long_text_is_cut_and_comes_whole_as_a_file() -> None:
    (text,) = media(1, "text/plain")
    luggage = packed((text,), "txt", **{text.id: "word " * 2000})

    message = draw(Reply(title="t", text="lexicon · seed 7", media=(text,)), luggage, PLACE)

    assert message_complaints(message) == []
    assert "…" in text_of(message)
    assert text_of(message).endswith("-# lexicon · seed 7"), "the caption keeps its room"
    assert 13 in kinds(message)


def test_a_short_text_needs_no_file() -> None:
    (text,) = media(1, "text/plain")

    message = draw(Reply(media=(text,)), packed((text,), "txt", **{text.id: "a cat"}), PLACE)

    assert (kinds(message), message.files) == ([10], ())


def test_what_did_not_fit_is_named_and_where_it_is() -> None:
    pictures = media(2, size_bytes=12 * MIB)
    luggage = Luggage(
        {pictures[0].id: Packed("a.png", b"x")}, too_large=frozenset({pictures[1].id})
    )
    place = replace(PLACE, link=lambda artifact_id: f"https://studio.example/{artifact_id}")

    message = draw(Reply(media=pictures), luggage, place)

    assert message_complaints(message) == []
    assert "Picture 2 (12 MiB) is larger than Discord takes here (10 MiB)." in text_of(message)
    assert "It stays in /history." in text_of(message)
    (link,) = [one for one in components.walk(message.components) if one["type"] == 2]
    assert link["url"] == f"https://studio.example/{pictures[1].id}"
    assert link["label"] == "Open in the studio (12 MiB)"


def test_what_was_lost_is_not_said_to_be_too_large() -> None:
    (picture,) = media(1)

    text = text_of(draw(Reply(media=(picture,)), Luggage(missing=frozenset({picture.id})), PLACE))

    assert text == "Picture is not in the studio's store any more."


def test_five_cards_keep_their_pictures_words_and_buttons() -> None:
    buttons = ((Button("Show", "show", "s"), Button("⭐", "fav", "f"), Button("🗑️", "del", "d")),)
    cards, shown = [], []
    for n in range(5):
        shown.append(media(5)[n])
        own = tuple(replace(one, data=f"{one.data}{n}") for one in buttons[0])
        cards.append(Card(f"{n:x}" * 32, f"card {n}", f"/imagine {n}", (shown[-1],), (own,)))
    older = ((Button("Older", "older", "o"),),)

    message = draw(
        Reply(title="Your history", cards=tuple(cards), buttons=older), packed(shown), PLACE
    )

    assert message_complaints(message) == []
    assert kinds(message) == [10, *(9, 1) * 5, 1]
    assert len(message.files) == 5
    numbers = [part["id"] // CARD_ID for part in message.components[0]["components"]]
    assert numbers == [0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 0]


def test_an_empty_reply_still_is_a_message() -> None:
    assert message_complaints(draw(Reply(), Luggage(), PLACE)) == []


def monsters() -> list[Reply]:
    """Replies beyond every limit, each in its own way."""
    long = "*_`<@1>` 心😀" * 2000
    pictures = media(30)
    buttons = tuple(tuple(Button(long, f"b{row}x{n}", "s") for n in range(9)) for row in range(12))
    cards = tuple(
        Card(f"{n:032x}", long, long, pictures[n : n + 3], (buttons[n % 12][:3],))
        for n in range(15)
    )
    own = tuple(
        replace(
            card,
            buttons=(tuple(replace(b, data=f"c{n}-{b.data}") for b in card.buttons[0]),),
        )
        for n, card in enumerate(cards)
    )
    return [
        Reply(title=long, text=long, media=pictures, buttons=buttons),
        Reply(
            title=long, text=long, fields=tuple(Field(long[:90], long[:90], 0.3) for _ in "x" * 99)
        ),
        Reply(title=long, cards=own, buttons=buttons[:1], text=long),
        Reply(title=long, cards=own[:5], buttons=buttons),
        Reply(title="t", text=long, media=media(9, "text/plain"), buttons=buttons[:2]),
        Reply(title="t", text=long, media=media(12, "audio/wav"), buttons=buttons),
        Reply(title="t", media=media(3) + media(6, "text/plain")[3:] + media(9, "video/mp4")[6:]),
    ]


@pytest.mark.parametrize("number", range(7))
def test_whatever_a_reply_holds_discord_takes_the_message(number: int) -> None:
    reply = monsters()[number]
    every = [*reply.media, *(one for card in reply.cards for one in card.media)]
    distinct = {one.id: one for one in every}.values()
    files = {one.id: Packed(f"{stem(one)}.bin", b"x") for one in list(distinct)[:10]}
    texts = {one.id: "*_`" * 3000 for one in reply.media}

    message = draw(
        reply,
        Luggage(files, texts, too_large=frozenset(one.id for one in distinct)),
        replace(PLACE, link=lambda artifact_id: f"https://studio.example/{'x' * 300}"),
        mention="<@700>",
        note="I may not post there.",
    )

    assert message_complaints(message) == []
    if reply.buttons:
        assert 1 in kinds(message), "buttons always find room"
