"""Explicit prompts: what the NSFW policy of a community is about, and what no policy allows.

A short list of words that hardly mean anything else, in the syntax of `moderation`'s rules: many
words would refuse a medical drawing, and communities add their own. Used by `Admission` only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from bot.core.suggest import shown
from bot.errors import PromptRefused
from bot.services.moderation import first_match, texts_of

EXPLICIT: Final = (
    *("nsfw", "porn*", "hentai", "rule34", "erotic*", "nude", "nudes", "nudity", "topless"),
    *("naked woman", "naked women", "naked man", "naked men", "naked girl*", "naked boy*"),
    *("naked person", "naked people", "naked body", "naked bodies", "sexually explicit"),
    *("having sex", "sex scene", "blowjob*", "handjob*", "cumshot*", "masturbat*", "orgasm*"),
    *("色情", "情色", "裸体", "裸照", "全裸", "裸女", "裸男", "露点", "性交", "做爱", "自慰"),
    *("黄片", "成人片", "成人影片", "无码", "口交", "高潮脸"),
)
MINOR: Final = (
    *("child", "children", "childlike", "kid", "kids", "toddler*", "preteen*", "teen", "teens"),
    *("teenage*", "underage*", "minor", "minors", "schoolgirl*", "schoolboy*", "loli", "lolis"),
    *("lolicon", "shota", "shotas", "shotacon", "little girl*", "little boy*", "young girl*"),
    *("young boy*", "baby", "babies"),
    *("儿童", "孩子", "小孩", "幼女", "幼童", "女童", "男童", "少女", "少年", "萝莉", "正太"),
    *("未成年", "小学生", "中学生", "高中生", "女学生", "婴儿"),
)


def check_params(params: Mapping[str, Any], *, explicit_allowed: bool) -> None:
    """Raise PromptRefused for an explicit prompt where there may be none. One about minors is
    refused everywhere, whatever anybody decided."""
    texts = texts_of(params)
    found = next((word for text in texts if (word := first_match(text, EXPLICIT))), None)
    if found is None:
        return
    if any(first_match(text, MINOR) for text in texts):
        raise PromptRefused(
            "Sexual content about minors is never made here.",
            "这里绝不生成涉及未成年人的色情内容。",
        )
    if not explicit_allowed:
        raise PromptRefused(
            f"Prompts with “{shown(found)}” are for channels that are age-restricted, where this"
            " community allows them at all. Please word it differently.",
            f"含有“{shown(found)}”的提示词只能用于设有年龄限制的频道（如果本社区允许）。请换一种说法。",
        )
