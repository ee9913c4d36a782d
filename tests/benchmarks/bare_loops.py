"""What served models are measured against: the same weights without anything around them.

Each class is made in a process of its own (`aside.Aside`). A bare loop is told everything
beforehand and answers nobody; `one_by_one` is what a newcomer to the library would write.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

TOGETHER = 16
TOKENS = 48
TEXT_PROMPT, PICTURE_PROMPT = "The dragon", "red heart"
SAMPLING = {"temperature": 0.9, "top_k": 50, "top_p": 0.95, "repetition_penalty": 1.1}
PICTURE = {"num_inference_steps": 20, "guidance_scale": 4.0, "height": 64, "width": 64}
_TEXTS_ALONE = 3


class BareTextLoop:
    """A causal language model: one batch, a cache, top-k sampling, and no text."""

    def __init__(self, weights: Path, dtype: str) -> None:
        import torch
        from transformers import AutoModelForCausalLM

        self._net: Any = AutoModelForCausalLM.from_pretrained(weights, dtype=getattr(torch, dtype))
        self._net.eval()
        self._write(2)

    def seconds(self) -> float:
        """How long a batch of texts takes."""
        began = time.perf_counter()
        self._write(TOKENS)
        return time.perf_counter() - began

    def _write(self, tokens: int) -> None:
        import torch
        from transformers import DynamicCache

        cache = DynamicCache(config=self._net.config)
        latest = torch.ones(TOGETHER, 4, dtype=torch.long)
        with torch.inference_mode():
            for _ in range(tokens):
                output = self._net(latest, past_key_values=cache, use_cache=True, logits_to_keep=1)
                likely, indices = output.logits[:, -1].float().div(0.9).topk(50)
                latest = indices.gather(1, torch.multinomial(likely.softmax(-1), 1))


class TextPipeline:
    """`transformers.pipeline` in float32."""

    def __init__(self, weights: Path) -> None:
        import torch
        from transformers import pipeline

        self._generate: Any = pipeline("text-generation", model=str(weights), dtype=torch.float32)
        self._one(2)

    def one_by_one(self) -> float:
        """Tokens a second, one text after the other."""
        began = time.perf_counter()
        for _ in range(_TEXTS_ALONE):
            self._one(TOKENS)
        return _TEXTS_ALONE * TOKENS / (time.perf_counter() - began)

    def _one(self, tokens: int) -> None:
        self._generate(TEXT_PROMPT, do_sample=True, max_new_tokens=tokens, **SAMPLING)


class PicturePipeline:
    """A latent diffusion pipeline in float32: stock, and as a bare loop over the same parts."""

    def __init__(self, folder: Path) -> None:
        import torch
        from diffusers import DiffusionPipeline

        self._pipeline = DiffusionPipeline.from_pretrained(folder, dtype=torch.float32)
        self._pipeline.set_progress_bar_config(disable=True)
        self._draw()

    def one_by_one(self) -> float:
        """Pictures a second of the stock pipeline, called for one after the other."""
        self._pipeline(PICTURE_PROMPT, **PICTURE)
        began = time.perf_counter()
        for _ in range(TOGETHER):
            self._pipeline(PICTURE_PROMPT, **PICTURE)
        return TOGETHER / (time.perf_counter() - began)

    def seconds(self) -> float:
        """How long the bare loop takes for one batch."""
        began = time.perf_counter()
        self._draw()
        return time.perf_counter() - began

    def _draw(self) -> Any:
        """Words, steps, decoding: nothing else. Returns (B, 64, 64, 3) in 0 ... 255."""
        import torch

        pipeline = self._pipeline
        with torch.inference_mode():
            tokens = pipeline.tokenizer(
                [""] * TOGETHER + [PICTURE_PROMPT] * TOGETHER,
                padding="max_length",
                max_length=pipeline.tokenizer.model_max_length,
                truncation=True,
                return_tensors="pt",
            )
            words = pipeline.text_encoder(tokens.input_ids)[0]
            scheduler = pipeline.scheduler
            scheduler.set_timesteps(PICTURE["num_inference_steps"])
            latents = torch.randn(TOGETHER, 8, 8, 8) * scheduler.init_noise_sigma
            for timestep in scheduler.timesteps:
                both = scheduler.scale_model_input(torch.cat([latents, latents]), timestep)
                predicted = pipeline.unet(both, timestep, encoder_hidden_states=words).sample
                without, towards = predicted.chunk(2)
                guided = without + PICTURE["guidance_scale"] * (towards - without)
                latents = scheduler.step(guided, timestep, latents).prev_sample
            pixels = pipeline.vae.decode(latents / pipeline.vae.config.scaling_factor).sample
            return ((pixels + 1) * 127.5).clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()
