"""Every sentence of the studio's pages, in every language. A page gets them as `t`, its script as
JSON (those whose names begin with `js_`). Used by `rendering` only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from bot.core.chat import Text

TEXTS: Final[Mapping[str, Text]] = {
    # --- frame ---
    "studio": Text(en="Studio", zh="创作"),
    "history": Text(en="History", zh="历史"),
    "help": Text(en="Help", zh="帮助"),
    "skip": Text(en="Skip to the composer", zh="跳到输入框"),
    "skip_content": Text(en="Skip to the content", zh="跳到内容"),
    "main_navigation": Text(en="Pages", zh="页面"),
    "language": Text(en="Language", zh="语言"),
    "other_language": Text(en="中文", zh="English"),
    "theme": Text(en="Switch between light and dark", zh="切换浅色与深色"),
    "owner_badge": Text(en="Owner", zh="主人"),
    "no_script": Text(
        en="The studio needs JavaScript. Please allow it for this page.",
        zh="工作室需要 JavaScript，请为本页启用。",
    ),
    # --- quota ---
    "quota": Text(en="Quota", zh="额度"),
    "quota_used": Text(en="{used} of {limit} used", zh="已用 {used}，共 {limit}"),
    "quota_jobs": Text(en="{used} of {limit} jobs used", zh="已用 {used} 个任务，共 {limit} 个"),
    "quota_frees": Text(en="More is free from {time}", zh="{time} 起恢复"),
    # --- chat ---
    "conversation": Text(en="Conversation", zh="对话"),
    "welcome": Text(en="What shall we make?", zh="今天做点什么？"),
    "welcome_lead": Text(
        en="Type a command below, or start with one of these. "
        "Pictures, sounds and texts are made by this studio's own models.",
        zh="在下面输入命令，或从这些例子开始。图片、声音和文字都由工作室自己的模型生成。",
    ),
    "examples": Text(en="Examples", zh="例子"),
    "earlier": Text(en="Earlier work is in your history", zh="更早的作品在历史中"),
    "you_asked": Text(en="You asked", zh="你的请求"),
    "answer": Text(en="Answer", zh="回答"),
    "composer": Text(en="Command", zh="命令"),
    "composer_placeholder": Text(en="Type / for commands", zh="输入 / 查看命令"),
    "send": Text(en="Send", zh="发送"),
    "open_form": Text(en="Open this command as a form", zh="以表单打开此命令"),
    "suggestions": Text(en="Suggestions", zh="建议"),
    "keys": Text(
        en="Enter sends · Tab completes · Shift+Enter starts a new line",
        zh="回车发送 · Tab 补全 · Shift+回车换行",
    ),
    # --- a job on its way ---
    "next_in_line": Text(en="Next in line", zh="下一个就是你"),
    "in_line": Text(en="Number {position} in line", zh="排在第 {position} 位"),
    "about": Text(en="about {time}", zh="约 {time}"),
    "working": Text(en="Working", zh="正在生成"),
    "progress": Text(en="Progress", zh="进度"),
    # --- media ---
    "enlarge": Text(en="enlarge picture {n} of {total}", zh="放大第 {n} 张，共 {total} 张"),
    "enlarge_one": Text(en="enlarge", zh="放大"),
    "download": Text(en="Download", zh="下载"),
    "close": Text(en="Close", zh="关闭"),
    "previous": Text(en="Previous picture", zh="上一张"),
    "next": Text(en="Next picture", zh="下一张"),
    "picture": Text(en="Picture", zh="图片"),
    "sound": Text(en="Sound", zh="声音"),
    "film": Text(en="Video", zh="视频"),
    "plot_of": Text(en="Waveform and spectrogram: {what}", zh="波形与频谱：{what}"),
    "actions": Text(en="Actions", zh="操作"),
    "more_actions": Text(en="More actions", zh="更多操作"),
    "no_sound": Text(en="Your browser cannot play this.", zh="你的浏览器无法播放。"),
    # --- forms ---
    "submit": Text(en="Start", zh="开始"),
    "dismiss": Text(en="Cancel", zh="取消"),
    "more_options": Text(en="More options", zh="更多选项"),
    "by_default": Text(en="Default", zh="默认"),
    "required": Text(en="required", zh="必填"),
    "bounds": Text(en="{low} to {high}", zh="{low} 到 {high}"),
    "bounds_low": Text(en="at least {low}", zh="至少 {low}"),
    "bounds_high": Text(en="at most {high}", zh="至多 {high}"),
    # --- pictures to work on ---
    "attach": Text(en="Add pictures", zh="添加图片"),
    "attached": Text(en="Pictures to send along", zh="随命令发送的图片"),
    "drop_here": Text(en="Drop pictures to use them", zh="松开即可使用图片"),
    "choose_file": Text(en="Choose a file", zh="选择文件"),
    "from_history": Text(en="From your history", zh="从历史中选"),
    "or_drop": Text(en="or drop or paste one here", zh="或拖放、粘贴到这里"),
    "remove_picture": Text(en="Remove", zh="移除"),
    "use_picture": Text(en="Use this picture", zh="使用这张图"),
    "use_title": Text(en="Use this picture for…", zh="用这张图来……"),
    "picker_title": Text(en="Choose a picture", zh="选择一张图片"),
    "picker_nothing": Text(
        en="There are no pictures in your history yet.", zh="你的历史中还没有图片。"
    ),
    "upload_too_large": Text(
        en="The picture is too large: at most {limit} fit.", zh="图片太大：最多 {limit}。"
    ),
    "upload_too_many": Text(
        en="At most {limit} pictures can be sent at once.", zh="一次最多可发送 {limit} 张图片。"
    ),
    "upload_too_slow": Text(
        en="The picture took too long to arrive. Please try again.", zh="图片传输超时，请重试。"
    ),
    # --- history ---
    "history_title": Text(en="Your history", zh="你的历史"),
    "search": Text(en="Search your prompts", zh="搜索你的提示词"),
    "search_button": Text(en="Search", zh="搜索"),
    "only_favorites": Text(en="Favourites only", zh="只看收藏"),
    "older": Text(en="Older", zh="更早"),
    "newest": Text(en="Newest", zh="最新"),
    "history_empty": Text(en="Nothing here yet.", zh="这里还什么都没有。"),
    "history_empty_lead": Text(
        en="What you make in the studio is kept here.", zh="你在工作室里做的东西会保存在这里。"
    ),
    "nothing_found": Text(en="Nothing matches.", zh="没有匹配的内容。"),
    "clear_search": Text(en="Show everything", zh="显示全部"),
    "back_to_studio": Text(en="Back to the studio", zh="回到创作"),
    # --- models ---
    "models": Text(en="Models", zh="模型"),
    "models_title": Text(en="Models on offer", zh="可用的模型"),
    "models_lead": Text(
        en="What each of them makes, what it learned from, and how well it does.",
        zh="每个模型能生成什么、从什么学来、效果如何。",
    ),
    "models_none": Text(en="There are no models yet.", zh="还没有模型。"),
    "makes_image": Text(en="Pictures", zh="图片"),
    "makes_text": Text(en="Texts", zh="文字"),
    "makes_audio": Text(en="Sounds", zh="声音"),
    "makes_video": Text(en="Videos", zh="视频"),
    "default_model": Text(en="Default", zh="默认"),
    "loaded_model": Text(en="Loaded", zh="已加载"),
    "samples_of": Text(en="Samples of {model}", zh="{model} 的样例"),
    "figures": Text(en="Measured on held-out examples", zh="在留出样本上的测量"),
    "licence": Text(en="Licence", zh="许可证"),
    "model_card": Text(en="Model card", zh="模型卡"),
    # --- training ---
    "runs": Text(en="Training", zh="训练"),
    "runs_title": Text(en="Training runs", zh="训练运行"),
    "runs_none": Text(en="No runs yet.", zh="还没有训练运行。"),
    "runs_none_lead": Text(
        en="A run shows up here, live, when its folder lies in this place:",
        zh="运行的文件夹放在这里时，会实时显示：",
    ),
    "runs_refused": Text(
        en="Only the owner sees the training runs. "
        "Open the owner link from the terminal where `atelier up` runs.",
        zh="只有主人能看到训练运行。请打开运行 `atelier up` 的终端里给出的主人链接。",
    ),
    "run_running": Text(en="Running", zh="进行中"),
    "run_finished": Text(en="Finished", zh="已完成"),
    "run_stopped": Text(en="Stopped", zh="已停止"),
    "run_failed": Text(en="Failed", zh="失败"),
    "run_silent": Text(en="No sign of life", zh="没有动静"),
    "run_step": Text(en="Step {step} of {total}", zh="第 {step} 步，共 {total} 步"),
    "run_loss": Text(en="loss {loss}", zh="损失 {loss}"),
    "run_rate": Text(en="{rate} examples/s", zh="每秒 {rate} 个样本"),
    "run_eta": Text(en="{time} to go", zh="还需 {time}"),
    "recipe": Text(en="Recipe", zh="配方"),
    "samples_at": Text(en="Samples: {sample}", zh="样例：{sample}"),
    "newest_sample": Text(en="Newest samples", zh="最新样例"),
    "earlier_samples": Text(en="Earlier samples", zh="更早的样例"),
    "loss": Text(en="Loss", zh="损失"),
    "held_out": Text(en="held out", zh="留出样本"),
    "steps_from_to": Text(en="steps {first} to {last}", zh="第 {first} 至 {last} 步"),
    "loss_from_to": Text(
        en="Loss from {first} to {last} by step {step}",
        zh="到第 {step} 步，损失从 {first} 到 {last}",
    ),
    "loss_plot": Text(en="Loss plot", zh="损失曲线图"),
    # --- owner ---
    "owner_title": Text(en="Become the owner", zh="成为主人"),
    "owner_lead": Text(
        en="This link makes this browser the owner's. It works once. "
        "Only go on if you host this studio.",
        zh="这个链接会让当前浏览器成为主人的浏览器，只能使用一次。只有架设工作室的人才应继续。",
    ),
    "owner_button": Text(en="I host this studio", zh="我是工作室的主人"),
    "owner_missing": Text(
        en="The link is incomplete. Copy it whole from the terminal where `atelier up` runs.",
        zh="链接不完整。请从运行 `atelier up` 的终端里完整复制。",
    ),
    # --- errors ---
    "error_title": Text(en="That did not work", zh="没有成功"),
    "missing_title": Text(en="There is nothing here", zh="这里什么都没有"),
    "missing_lead": Text(
        en="The page may have moved, or what was here was deleted.",
        zh="页面可能已移动，或内容已被删除。",
    ),
    "not_here": Text(
        en="This studio does not answer to that name. Use {url}.",
        zh="工作室不使用这个地址，请改用 {url}。",
    ),
    "foreign_origin": Text(
        en="This request came from another site, so it was refused.",
        zh="请求来自其他网站，已被拒绝。",
    ),
    "unknown_visitor": Text(
        en="This page does not know you any more. Please reload it.",
        zh="页面已不认识你了，请重新加载。",
    ),
    "too_many_guests": Text(
        en="Too many new visitors come from your network. Please try again later.",
        zh="来自你所在网络的新访客太多，请稍后再试。",
    ),
    "too_many_streams": Text(
        en="The studio has more visitors than it can serve at once.",
        zh="工作室的访客太多，暂时无法接待。",
    ),
    "starting": Text(
        en="The studio is just starting. Try again in a moment.", zh="工作室正在启动，请稍后再试。"
    ),
    "bad_request": Text(
        en="The studio could not read that request.", zh="工作室无法读取这个请求。"
    ),
    "request_too_large": Text(
        en="That is too long: at most {limit} fit.", zh="内容太长：最多 {limit}。"
    ),
    "internal": Text(
        en="Something broke on our side. It was logged as {id}.",
        zh="我们这边出了问题，已记录为 {id}。",
    ),
    "say_command": Text(
        en="Begin with a command, such as {example}.", zh="请以命令开头，例如 {example}。"
    ),
    # --- said by the script ---
    "js_lost": Text(en="Connection lost. Trying again…", zh="连接中断，正在重试……"),
    "js_not_sent": Text(
        en="Not sent: the studio cannot be reached. Your text is still here.",
        zh="未发送：无法连接工作室。你的文字还在这里。",
    ),
    "js_picture_type": Text(
        en="{name} is not a picture that can be used. Send PNG, JPEG or WebP.",
        zh="{name} 不是可用的图片，请发送 PNG、JPEG 或 WebP。",
    ),
    "js_picture_too_large": Text(
        en="{name} is too large: at most {limit} fit.", zh="{name} 太大：最多 {limit}。"
    ),
    "js_picture_broken": Text(en="{name} cannot be read.", zh="无法读取 {name}。"),
    "js_picture_missing": Text(en="{name}: a picture is needed.", zh="{name}：需要一张图片。"),
    "js_picture_remove": Text(en="Remove {name}", zh="移除 {name}"),
    "js_pictures_none": Text(en="/{name} takes no picture.", zh="/{name} 不接受图片。"),
    "js_pictures_too_many": Text(
        en="/{name} has room for {n} of these pictures.", zh="/{name} 只能再用 {n} 张图片。"
    ),
    "js_ready": Text(en="Ready: {prompt}", zh="完成：{prompt}"),
    "js_sending": Text(en="Sending", zh="正在发送"),
    "js_next_in_line": Text(en="Next in line", zh="下一个就是你"),
    "js_in_line": Text(en="Number {position} in line", zh="排在第 {position} 位"),
    "js_about_s": Text(en="about {n} s", zh="约 {n} 秒"),
    "js_about_min": Text(en="about {n} min", zh="约 {n} 分钟"),
    "js_working": Text(en="Working", zh="正在生成"),
    "js_step": Text(en="Step {step} of {total}", zh="第 {step} 步，共 {total} 步"),
    "js_suggestions": Text(en="{n} suggestions", zh="{n} 条建议"),
    "js_queued": Text(en="Started in the studio", zh="已在创作页开始"),
    "js_removed": Text(en="Deleted", zh="已删除"),
    "js_confirm_delete": Text(en="Press again to delete", zh="再按一次以删除"),
    "js_go": Text(en="Show", zh="查看"),
    "js_unreadable": Text(
        en="The studio answered in a way this page does not understand. Reload it.",
        zh="页面无法理解工作室的回答，请重新加载。",
    ),
}


class Texts:
    """All texts in one language: `t.send`, `t.in_line(position=2)` through `say`."""

    def __init__(self, locale: str) -> None:
        self.locale = locale
        self._texts = {name: text.in_(locale) for name, text in TEXTS.items()}

    def __getattr__(self, name: str) -> str:
        try:
            return self._texts[name]
        except KeyError:
            raise AttributeError(f"no text is called {name!r}") from None

    def say(self, name: str, **values: object) -> str:
        """A sentence with its places filled in."""
        return self._texts[name].format(**values)

    def script(self) -> dict[str, str]:
        """What the page's script says, without the prefix."""
        return {
            name.removeprefix("js_"): text
            for name, text in self._texts.items()
            if name.startswith("js_")
        }
