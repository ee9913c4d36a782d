"""Words to single sounds: notes of instruments and hits of drums, by an audio GAN."""

from __future__ import annotations

from pydantic import Field

from generators.contract import GeneratorSpec, Params


class AudioGanParams(Params):
    """Inputs of the one-shot player."""

    prompt: str = Field(
        min_length=1,
        max_length=400,
        description="An instrument, and if you like a note, a register or a loudness:"
        " violin C4, high flute, soft piano, snare.",
    )
    duration_s: float | None = Field(
        default=None, ge=0.2, le=10.0, description="Length of the sound in seconds."
    )


SPEC = GeneratorSpec(
    name="audio_gan",
    modality="audio",
    summary={
        "en": "Plays a single note or drum hit from words.",
        "zh": "根据文字演奏一个音符或一记鼓点。",
    },
    params=AudioGanParams,
    capabilities=frozenset({"prompt"}),
    compat_fields=(),  # lengths differ per row without harm
    max_batch=16,
    first_estimate_gpu_ms=500,
)
