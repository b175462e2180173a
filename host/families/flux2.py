"""Relatives of Flux.1 whose text has positions (comfy/ldm/flux/model.py): Flux.2 dev and Klein, Ovis-Image and LongCat-Image.

Each prompt is given the positions that it would have alone, so that neither image nor positive notices a negative in front of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from torch import Tensor

from .base import Family, Inputs, Laid, positions_restarted
from .flux import Flux, built_like_flux, parameters

# Tokens up to which the host fills a prompt of Flux.2 with zeros, in front of it (Flux2.extra_conds in comfy/model_base.py).
FILLED = 512
# Width of the text of Klein's encoders (three layers of Qwen3 4B and 8B): they fill a prompt up to 512 themselves, behind it.
KLEIN = frozenset({3 * 2560, 3 * 4096})
# Axes along which the text of Ovis-Image and LongCat-Image is counted.
DIAGONAL = [1, 2]
# What makes the host treat a model as LongCat-Image (comfy/supported_models.py).
LONGCAT = {"guidance_embed": False, "vec_in_dim": None, "context_in_dim": 3584, "txt_ids_dims": DIAGONAL}


class Flux2(Flux):
    name = "Flux.2"
    encoders = frozenset({"mistral3_24b", "qwen3_4b", "qwen3_8b"})

    @classmethod
    def match(cls, diffusion_model: Any) -> Family | None:
        # By one modulation for all blocks the host knows Flux.2 too.
        modulated = parameters(diffusion_model).get("global_modulation") and hasattr(diffusion_model, "double_stream_modulation_img")
        return cls(diffusion_model) if built_like_flux(diffusion_model) and modulated else None

    def negative_of(self, conditions: Mapping[str, Any], length: int) -> Tensor | None:
        text = self.text_of(conditions)
        return None if text is None else text[:, text.shape[1] - length :]

    def around(self, diffusion_model: Any, plan: Laid) -> AbstractContextManager[Any]:
        filled = 0 if self.text_width() in KLEIN else FILLED
        return positions_restarted(diffusion_model.pe_embedder, plan, filled=filled)


class OvisImage(Flux):
    name = "Ovis-Image"
    encoders = frozenset({"qwen3_2b"})

    @classmethod
    def match(cls, diffusion_model: Any) -> Family | None:
        known = parameters(diffusion_model)
        if not built_like_flux(diffusion_model) or _is_longcat(known) or known.get("global_modulation"):
            return None
        return cls(diffusion_model) if known.get("txt_ids_dims") == DIAGONAL and known.get("txt_norm") else None

    def around(self, diffusion_model: Any, plan: Laid) -> AbstractContextManager[Any]:
        return positions_restarted(diffusion_model.pe_embedder, plan)


class LongCatImage(Flux):
    name = "LongCat-Image"
    encoders = frozenset({"qwen25_7b"})

    @classmethod
    def match(cls, diffusion_model: Any) -> Family | None:
        known = parameters(diffusion_model)
        if not built_like_flux(diffusion_model) or known.get("global_modulation"):
            return None
        return cls(diffusion_model) if _is_longcat(known) else None

    def feed(self, inputs: Inputs, plan: Laid) -> Inputs:
        """Let the picture begin where the positive's text ends: the host would count ours too, unless it is told."""
        own = float(plan.text - plan.added)
        rope = {"shift_y": own, "shift_x": own, **inputs.options.get("rope_options", {})}
        return super().feed(Inputs(inputs.text, inputs.conditions, {**inputs.options, "rope_options": rope}), plan)

    def around(self, diffusion_model: Any, plan: Laid) -> AbstractContextManager[Any]:
        return positions_restarted(diffusion_model.pe_embedder, plan)


def _is_longcat(known: Mapping[str, Any]) -> bool:
    return all(known.get(name, "") == value for name, value in LONGCAT.items())
