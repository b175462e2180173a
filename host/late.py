"""Encode conditionings that come during a run, as the host did with those that were there when it began."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import comfy.samplers
from torch import Tensor


class LateEncoder:
    """Hold what the host encodes a run's conditionings with (process_conds in comfy/samplers.py)."""

    def __init__(
        self, guider: Any, extra_args: Mapping[str, Any], noise: Tensor, latent_image: Tensor, mask: Tensor | None, *rest: Any
    ) -> None:
        """The arguments are those of a SAMPLER_SAMPLE wrapper, in its order."""
        self._guider = guider
        self._seed = extra_args.get("seed")
        self._noise, self._latent_image, self._mask = noise, latent_image, mask

    def __call__(self, conditions: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Give the conditionings with what the model makes of them."""
        model = self._guider.inner_model
        # Of models that pack several streams into one latent; old hosts have none.
        packed = {} if getattr(model, "latent_shapes", None) is None else {"latent_shapes": model.latent_shapes}
        encoded = comfy.samplers.process_conds(
            model, self._noise, {"negative": conditions}, self._noise.device, self._latent_image, self._mask, self._seed, **packed
        )
        found: list[dict[str, Any]] = encoded["negative"]
        return found
