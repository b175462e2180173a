"""Encode conditionings that come during a run, as the host did with those that were there when it began."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import comfy.samplers

# Shared with the positive prompt, where they have begun already: the host would start them again (pre_run, hook.reset).
SHARED = ("control", "hooks")


class LateEncoder:
    """Hold what the host encodes a run's conditionings with (process_conds in comfy/samplers.py)."""

    def __init__(self, guider: Any, extra_args: Mapping[str, Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """args, kwargs: what a SAMPLER_SAMPLE wrapper gets behind the callback."""
        self._guider = guider
        self._seed = extra_args.get("seed")
        known = dict(zip(("noise", "latent_image", "denoise_mask"), args, strict=False)) | dict(kwargs)
        self._noise, self._latent_image, self._mask = known["noise"], known.get("latent_image"), known.get("denoise_mask")

    def __call__(self, conditions: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Give the conditionings with what the model makes of them, and a copy of them for each area of the run's others that they have not."""
        model = self._guider.inner_model
        begun = [{key: condition[key] for key in SHARED if key in condition} for condition in conditions]
        bare = [{key: value for key, value in condition.items() if key not in SHARED} for condition in conditions]
        # Of models that pack several streams into one latent; old hosts have none.
        packed = {} if getattr(model, "latent_shapes", None) is None else {"latent_shapes": model.latent_shapes}
        encoded = comfy.samplers.process_conds(
            model, self._noise, {"negative": bare}, self._noise.device, self._latent_image, self._mask, self._seed, **packed
        )
        made = [{**condition, **shared} for condition, shared in zip(encoded["negative"], begun, strict=True)]
        self._give_places(made)
        # Copies have the ids of those whose area they have: for the attention nodes they would be positives.
        return [{**condition, "uuid": uuid.uuid4()} for condition in made]

    def _give_places(self, made: list[dict[str, Any]]) -> None:
        """Do the end of process_conds, by which all lists of a run have the same areas, and what was put on the positives for the negatives too."""
        conds = self._guider.conds
        for condition in [one for conditions in conds.values() for one in conditions]:
            comfy.samplers.create_cond_with_same_area_if_none(made, condition)
        positive = conds.get("positive", [])
        for given, key in (([one for one in positive if one.get("control_apply_to_uncond")], "control"), (positive, "gligen")):
            comfy.samplers.apply_empty_x_to_equal_area(given, made, key, lambda values, i: values[i])
