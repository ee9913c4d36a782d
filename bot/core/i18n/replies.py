"""Sentences that more than one command says. A command's own sentences live in its file."""

from __future__ import annotations

from bot.core.chat import Text

# --- a job on its way, and how it ended ---
RUNNING = Text(en="Working on it.", zh="正在生成。")
QUEUED_NEXT = Text(en="Queued: you are next.", zh="已排队：下一个就是你。")
QUEUED_AT = Text(en="Queued: number {position} in line.", zh="已排队：第 {position} 位。")
QUEUED_ETA = Text(en="About {time} to go.", zh="大约还需 {time}。")
CANCELLED = Text(
    en="Cancelled. Nothing was charged.",
    zh="已取消，未扣除额度。",
)
CANCELLING = Text(
    en="Stopping it. Nothing will be charged.",
    zh="正在停止，不会扣除额度。",
)
FAILED = Text(
    en="This did not work out, and nothing was charged. {why} (Job {job})",
    zh="没有成功，未扣除额度。{why}（任务 {job}）",
)
FAILED_INSIDE = Text(
    en="Something broke on our side. Please try again.", zh="我们这边出了问题，请再试一次。"
)

# --- what went wrong ---
INTERNAL = Text(
    en="Something broke on our side, sorry. It was logged as {reference}.",
    zh="抱歉，我们这边出了问题，已记录为 {reference}。",
)
UNKNOWN_COMMAND = Text(
    en="There is no command /{name}.{hint} /help lists what there is.",
    zh="没有命令 /{name}。{hint}输入 /help 查看所有命令。",
)
NEEDS_MODERATOR = Text(
    en="/{name} is for the moderators of this community.", zh="/{name} 仅限本社区的管理员使用。"
)
NEEDS_OWNER = Text(
    en="/{name} is for the person who hosts this studio.", zh="/{name} 仅限工作室的主人使用。"
)
RULES_NEED_MODERATOR = Text(
    en="Only the moderators of this community decide that.", zh="只有本社区的管理员可以决定。"
)
RULES_NEED_COMMUNITY = Text(
    en="This is decided in a community, by its moderators, or by the host of the studio.",
    zh="这由社区的管理员在社区内决定，或由工作室的主人决定。",
)
ONLY_IN_COMMUNITIES = Text(
    en="That exists in communities only, and here you are by yourself.",
    zh="这只存在于社区中，而这里只有你自己。",
)
NOT_YOURS = Text(
    en="This belongs to somebody else; only they and the moderators can do that.",
    zh="这是别人的作品，只有本人和管理员可以这样做。",
)
GONE = Text(en="This was deleted, or it is not yours to see.", zh="它已被删除，或者你无权查看。")
OLD_BUTTON = Text(
    en="This studio does not know that button any more.", zh="工作室已不再支持这个按钮。"
)

# --- buttons: what stands on them, and their accessible names ---
REROLL = Text(en="🔁 Again", zh="🔁 再来一次")
REROLL_SAYS = Text(en="Make it again with a new seed", zh="换一个种子重新生成")
REMIX = Text(en="✏️ Remix", zh="✏️ 修改")
REMIX_SAYS = Text(en="Change the prompt and make it again", zh="修改提示词后重新生成")
FAVORITE = Text(en="⭐ Favourite", zh="⭐ 收藏")
FAVORITE_SAYS = Text(en="Add to favourites", zh="加入收藏")
UNFAVORITE_SAYS = Text(en="Remove from favourites", zh="取消收藏")
DELETE = Text(en="🗑️ Delete", zh="🗑️ 删除")
DELETE_SAYS = Text(en="Delete this and its pictures or texts for good", zh="永久删除此内容")
CANCEL = Text(en="Cancel", zh="取消")
CANCEL_SAYS = Text(en="Cancel this job", zh="取消这个任务")
SHOW = Text(en="Show", zh="查看")
SHOW_SAYS = Text(en="Show this answer with all its buttons", zh="查看完整结果和所有按钮")
OLDER = Text(en="Older", zh="更早")
OLDER_SAYS = Text(en="Show older ones", zh="查看更早的内容")
DETAILS = Text(en="🔎 Details", zh="🔎 详情")
DETAILS_SAYS = Text(
    en="Show the prompt, the seed and how it was made", zh="查看提示词、种子和生成信息"
)
COPY = Text(en="✉️ Send me a copy", zh="✉️ 私信给我")
COPY_SAYS = Text(en="Send this to me as a direct message", zh="把它作为私信发送给我")
DELETED = Text(en="Deleted.", zh="已删除。")
