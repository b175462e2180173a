"""Flux.1 (dev, Schnell, Fill, Kontext): joint attention over [text, image, reference images] in double and single blocks
(comfy/ldm/flux/model.py). Text has no positions of its own, so a negative may stand anywhere in it."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from .base import Family, Grid, Inputs, Laid, changed_text, input_width, patched


def has_flux_blocks(diffusion_model: Any) -> bool:
    """Tell whether a model has Flux's blocks, and reads its text through one layer: HunyuanVideo mixes it in a refiner first."""
    blocks = hasattr(diffusion_model, "double_blocks") and hasattr(diffusion_model, "single_blocks")
    read = getattr(diffusion_model, "txt_in", None)
    # Not by its class: packs put layers of their own in the place of the host's.
    return blocks and isinstance(read, nn.Module) and not hasattr(read, "individual_token_refiner")


def built_like_flux(diffusion_model: Any) -> bool:
    """Tell whether a model is of the class that Flux.1 is of; Chroma has a guidance approximator."""
    return has_flux_blocks(diffusion_model) and not hasattr(diffusion_model, "distilled_guidance_layer")


def parameters(diffusion_model: Any) -> dict[str, Any]:
    """Give what a model of Flux's class was built with; old hosts know fewer of these."""
    return dict(getattr(getattr(diffusion_model, "params", None), "__dict__", {}))


class Flux(Family):
    name = "Flux"
    encoders = frozenset({"clip_l", "t5xxl"})
    joint = True

    @classmethod
    def match(cls, diffusion_model: Any) -> Family | None:
        # Flux.2, LongCat and Ovis give their text positions (txt_ids_dims), see flux2.py.
        known = parameters(diffusion_model)
        if not built_like_flux(diffusion_model) or any(known.get(name) for name in ("txt_ids_dims", "global_modulation", "txt_norm")):
            return None
        return cls(diffusion_model)

    def layers(self) -> int:
        return len(self._model.double_blocks) + len(self._model.single_blocks)

    def blocks(self) -> list[tuple[str, int]]:
        double = [("double_block", i) for i in range(len(self._model.double_blocks))]
        return double + [("single_block", i) for i in range(len(self._model.single_blocks))]

    def text_width(self) -> int | None:
        width = input_width(self._model.txt_in)
        return parameters(self._model).get("context_in_dim") if width is None else width

    def grid(self, x: Tensor) -> Grid:
        patch = self._model.patch_size
        return Grid(1, patched(x.shape[-2], patch), patched(x.shape[-1], patch))

    def feed(self, inputs: Inputs, plan: Laid) -> Inputs:
        """Let no patch add tokens to the text (USO's style pictures): everything behind them would be taken for something else."""
        fed = super().feed(inputs, plan)
        patches = fed.options.get("patches", {})
        if not patches.get("post_input"):
            return fed

        def check(streams: dict[str, Any]) -> dict[str, Any]:
            if streams["txt"].shape[1] != plan.text:
                raise RuntimeError(changed_text(self.name))
            return streams

        guarded = {**patches, "post_input": [*patches["post_input"], check]}
        return Inputs(fed.text, fed.conditions, {**fed.options, "patches": guarded})
