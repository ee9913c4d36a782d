"""What commands and options are called in Chinese. Discord shows these names in place of ours.

The core has one name for each, which is also what one types elsewhere and what sentences say; a
name that is missing here is shown as it is there. Letters, digits, `-` and `_` only, lower case, at
most 32 characters (Discord's rule). Used by `declare`.
"""

from __future__ import annotations

from typing import Final

COMMANDS: Final = {
    "animate": "动画",
    "blend": "融合",
    "block": "屏蔽",
    "cancel": "取消",
    "cases": "举报处理",
    "denoise": "去噪",
    "favorites": "收藏",
    "help": "帮助",
    "history": "历史",
    "imagine": "画图",
    "models": "模型",
    "ping": "在吗",
    "queue": "排队",
    "quota": "额度",
    "report": "举报",
    "settings": "设置",
    "sound": "声音",
    "unblock": "解除屏蔽",
    "upscale": "放大",
    "write": "写作",
}

OPTIONS: Final = {
    "blend": "位置",
    "command": "命令",
    "count": "数量",
    "denoise": "强度",
    "fps": "帧率",
    "guidance_scale": "引导强度",
    "height": "高度",
    "image": "图片",
    "image_b": "图片二",
    "job": "任务",
    "kind": "种类",
    "max_new_tokens": "长度",
    "model": "模型",
    "motion": "动感",
    "negative_prompt": "不要出现",
    "num_inference_steps": "步数",
    "page": "页",
    "private": "仅自己可见",
    "prompt": "提示词",
    "repetition_penalty": "避免重复",
    "scale": "倍数",
    "search": "搜索",
    "seconds": "秒数",
    "seed": "种子",
    "strength": "改动程度",
    "temperature": "随性程度",
    "top_k": "候选数",
    "top_p": "候选概率",
    "truncation": "截断",
    "upscale": "放大",
    "width": "宽度",
}
