"""LoRA (Hu et al., 2021, arXiv:2106.09685) over any objective that names its adaptable parts.

The layers are peft's own, put into the objective's nets where they are, so that loss, samples and
evaluation run as ever; the nets' own weights are frozen. What is exported is what the stock
libraries load: `PeftModel.from_pretrained` for a language model, `load_lora_weights` for a
diffusion pipeline. Used by `trainer.loop` only.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from peft import LoraConfig, PeftModel, get_peft_model, inject_adapter_in_model
from peft.utils import get_peft_model_state_dict
from torch import nn
from transformers.pytorch_utils import Conv1D

from generators.weights import WeightsManifest, read_manifest, write_manifest
from trainer.contract import AdapterSettings, TrainingError
from trainer.objective import Card, Objective

ATTENTION = ["to_k", "to_q", "to_v", "to_out.0"]  # of a diffusion model, as diffusers names it
WORDS_ATTENTION = ["q_proj", "k_proj", "v_proj", "out_proj"]  # of its text encoder

TEXT_USAGE = """from peft import PeftModel
from transformers import AutoModelForCausalLM

base = AutoModelForCausalLM.from_pretrained("path/to/the/base")
model = PeftModel.from_pretrained(base, "path/to/this/folder")"""
PICTURE_USAGE = """from diffusers import DiffusionPipeline

pipeline = DiffusionPipeline.from_pretrained("path/to/the/base")
pipeline.load_lora_weights("path/to/this/folder")"""


class Adapter:
    """The LoRA layers of one run; exported in place of the objective's weights.

    An objective takes part by a method `adaptable()`: `{"model": net}` for a transformers language
    model, `{"unet": net, "text_encoder": net}` for a pipeline of diffusers.
    """

    def __init__(
        self, objective: Objective, settings: AdapterSettings, base: Path, base_name: str
    ) -> None:
        if not hasattr(objective, "adaptable"):
            kind = type(objective).__module__.rpartition(".")[2]
            raise TrainingError(
                f"The objective {kind} cannot train a LoRA: leave the adapter out, and --init "
                "fine-tunes all of its weights."
            )
        self.objective, self.settings = objective, settings
        self.base, self.base_name = base, base_name
        self.parts: dict[str, nn.Module] = objective.adaptable()
        if "unet" in self.parts and not (base / "model_index.json").is_file():
            raise TrainingError(f"{base} is no diffusion pipeline: a LoRA needs one as its base.")
        objective.module.requires_grad_(False)
        try:
            self._language_model = self._attach()
        except ValueError as error:  # no layer has such a name
            raise TrainingError(f"adapter.target_modules: {error}") from error

    def _attach(self) -> PeftModel | None:
        if "model" in self.parts:
            model = self.parts["model"]
            config = self._config("all-linear", model, task_type="CAUSAL_LM")
            with warnings.catch_warnings():  # peft asks transformers by a name that is to go
                warnings.simplefilter("ignore", FutureWarning)
                adapted = get_peft_model(model, config)
            config.base_model_name_or_path = self.base_name  # not a path of this disk
            return adapted
        unet = self.parts["unet"]
        inject_adapter_in_model(self._config(ATTENTION, unet), unet)
        if self.settings.text_encoder:
            words = self.parts["text_encoder"]
            config = self._config(WORDS_ATTENTION, words, chosen=[])
            inject_adapter_in_model(config, words)
        return None

    def _config(
        self,
        default: str | list[str],
        net: nn.Module,
        chosen: list[str] | None = None,
        **more: Any,
    ) -> LoraConfig:
        settings = self.settings
        return LoraConfig(
            r=settings.rank,
            lora_alpha=settings.alpha,
            lora_dropout=settings.dropout,
            target_modules=(settings.target_modules if chosen is None else chosen) or default,
            # GPT-2 keeps its matrices transposed.
            fan_in_fan_out=any(isinstance(layer, Conv1D) for layer in net.modules()),
            **more,
        )

    @property
    def card(self) -> Card:
        """The model card's words; the base's own limits hold too."""
        return Card(
            title=f"A LoRA over {self.base_name}",
            usage=TEXT_USAGE if self._language_model is not None else PICTURE_USAGE,
            limits="It is used over the base it was trained on, and no other, and has its limits; "
            "beyond its own data it knows what the base knows.",
        )

    def export(self, folder: Path, figures: dict[str, float]) -> None:
        """The adapter alone, in float32, with `atelier.json` and, of pictures, a sample sheet."""
        if self._language_model is not None:
            # Without being told, peft would ask the hub whether the base's vocabulary grew.
            self._language_model.save_pretrained(folder, save_embedding_layers=False)
        else:
            self._save_for_diffusers(folder)
        setting = self.objective.setting
        recipe, source = setting.recipe, setting.manifest.name
        base = read_manifest(self.base)
        text = self._language_model is not None
        manifest = WeightsManifest(
            generator=base.generator if base else "gpt2" if text else "diffusion",
            summary=recipe.about
            or {
                "en": f"Writes in the manner of {source}." if text else f"Draws like {source}.",
                "zh": f"以 {source} 的方式写作。" if text else f"按 {source} 的风格作画。",
            },
            licence=setting.manifest.licence,
            defaults={**(base.defaults if base else {}), **recipe.defaults},
            limits={**(base.limits if base else {}), **recipe.limits},
            figures={name: round(value, 4) for name, value in figures.items()},
        )
        write_manifest(folder, manifest)
        if not text:
            self.objective.sample(folder, "samples")

    def _save_for_diffusers(self, folder: Path) -> None:
        from diffusers import StableDiffusionPipeline
        from diffusers.training_utils import _collate_lora_metadata
        from diffusers.utils import convert_state_dict_to_diffusers

        adapted = {"unet": self.parts["unet"]}
        if self.settings.text_encoder:
            adapted["text_encoder"] = self.parts["text_encoder"]
        layers = {
            f"{name}_lora_layers": convert_state_dict_to_diffusers(get_peft_model_state_dict(net))
            for name, net in adapted.items()
        }
        StableDiffusionPipeline.save_lora_weights(
            folder, **layers, **_collate_lora_metadata(adapted), safe_serialization=True
        )
