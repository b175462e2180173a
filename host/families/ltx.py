"""LTX-Video and LTX-2: cross-attention of video tokens over the text, `attn2` of each block (comfy/ldm/lightricks/model.py, av_model.py).
Frames of a guide (keyframes, IC-LoRA) stand behind the video's own and are cut off afterwards: they are references.

LTX-2 has an audio stream beside the video, with a text and an attention to it of its own; only the video is guided, and of the
negatives the audio gets nothing, from the text's projection on. The streams go on hearing one another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from .base import Family, Grid, Inputs, Laid, input_width, unpacked

VIDEO = ("transformer_blocks", "patchify_proj", "adaln_single", "caption_projection", "patchifier")
AUDIO = ("audio_patchify_proj", "audio_caption_projection", "a_patchifier", "video_embeddings_connector", "audio_embeddings_connector")


class LTXVideo(Family):
    name = "LTX-Video"
    encoders = frozenset({"t5xxl"})
    joint = False

    @classmethod
    def match(cls, diffusion_model: Any) -> LTXVideo | None:
        if not all(hasattr(diffusion_model, part) for part in VIDEO) or hasattr(diffusion_model, "audio_patchify_proj"):
            return None
        return cls(diffusion_model) if hasattr(diffusion_model.transformer_blocks[0], "attn2") else None

    def layers(self) -> int:
        return len(self._model.transformer_blocks)

    def blocks(self) -> list[tuple[str, int]]:
        return [("double_block", i) for i in range(self.layers())]

    def text_width(self) -> int | None:
        return input_width(getattr(self._model.caption_projection, "linear_1", None))

    def grid(self, x: Tensor) -> Grid:
        # One token per place of the latent: the patches are in the autoencoder.
        return Grid(*x.shape[-3:])

    def measure(self, x: Tensor, conditions: Mapping[str, Any]) -> tuple[Grid, set[int]]:
        whole = self.grid(x)
        guide = conditions.get("keyframe_idxs")
        if guide is None or guide.shape[2] == 0:
            return whole, {whole.tokens}
        frames = guide.shape[2] // (whole.height * whole.width)
        return Grid(whole.frames - frames, whole.height, whole.width), {whole.tokens - _dropped(conditions.get("denoise_mask"))}

    def references(self, queries: int, plan: Laid) -> int:
        return max(0, queries - plan.grid.tokens)

    def negative_of(self, conditions: Mapping[str, Any], length: int) -> Tensor | None:
        # T5's padding is masked in the model, not cut off.
        text, mask = self.text_of(conditions), conditions.get("attention_mask")
        if text is None or mask is None or mask.shape[-1] < text.shape[1]:
            return text
        seen = mask >= 0 if mask.is_floating_point() else mask.bool()
        return text[:, seen.flatten(0, -2).any(dim=0)[: text.shape[1]]]


class LTXAudioVideo(LTXVideo):
    name = "LTX-2"
    encoders = frozenset({"gemma3_12b", "gemma4"})

    @classmethod
    def match(cls, diffusion_model: Any) -> LTXAudioVideo | None:
        if not all(hasattr(diffusion_model, part) for part in VIDEO + AUDIO):
            return None
        block = diffusion_model.transformer_blocks[0]
        return cls(diffusion_model) if hasattr(block, "attn2") and hasattr(block, "audio_attn2") else None

    def text_width(self) -> int | None:
        # The model takes a text before its connectors and after them, in different widths; the positive prompt's decides.
        return None

    def measure(self, x: Tensor, conditions: Mapping[str, Any]) -> tuple[Grid, set[int]]:
        video, *audio = unpacked(x, conditions)
        grid, taken = super().measure(video, conditions)
        # One token per frame of sound, and those of a voice to sound like before them.
        voice = conditions.get("ref_audio")
        before = 0 if voice is None else voice["tokens"].shape[1]
        return grid, taken | {before + sound.shape[2] for sound in audio}

    def idle(self, options: Mapping[str, Any]) -> str:
        # Lightricks' own nodes make sound alone, or give one stream fewer steps than the other.
        return "" if options.get("run_vx", True) else "the audio ran alone"

    def negative_of(self, conditions: Mapping[str, Any], length: int) -> Tensor | None:
        # The connectors fill every text up to 1024 tokens with registers that they have learned, which stand for the padding of the encoder.
        text = self.text_of(conditions)
        return None if text is None else text[:, :length]

    def feed(self, inputs: Inputs, plan: Laid) -> Inputs:
        """Take the negatives out of the audio's text in every block. The mask, which both streams share, stays as it is for the text alone."""
        dit = inputs.options.get("patches_replace", {}).get("dit", {})
        # A compiled block would keep the number of the run that it was traced in.
        cut = torch.compiler.disable(lambda text: _without_negatives(text, plan))
        deaf = {block: _deaf_block(cut, dit.get(block)) for block in self.blocks()}
        replaced = {**inputs.options.get("patches_replace", {}), "dit": {**dit, **deaf}}
        return Inputs(inputs.text, inputs.conditions, {**inputs.options, "patches_replace": replaced})

    def around(self, diffusion_model: Any, plan: Laid) -> AbstractContextManager[Any]:
        return _deaf_projection(diffusion_model.audio_caption_projection, plan)


def _dropped(mask: Tensor | None) -> int:
    """Count the tokens that the model leaves out of a video with a sparse guide: those whose mask [B, C, T, H, W] is below 0."""
    return 0 if mask is None else int((mask[0] < 0).any(dim=0).sum())


def _without_negatives(text: Tensor, plan: Laid) -> Tensor:
    """Give the positive's part of a text; one that is it already stays as it is."""
    return text[:, plan.added :].contiguous() if text.shape[1] == plan.text else text


def _deaf_block(cut: Callable[[Tensor], Tensor], replacement: Callable[..., Any] | None) -> Callable[..., Any]:
    def block(arguments: dict[str, Any], extra: dict[str, Any]) -> Any:
        arguments = {**arguments, "a_context": cut(arguments["a_context"])}
        return extra["original_block"](arguments) if replacement is None else replacement(arguments, extra)

    return block


@contextmanager
def _deaf_projection(projection: Any, plan: Laid) -> Iterator[None]:
    """Let the audio's projection see the positive alone: a matrix product of other height may round otherwise.

    LTX-2.0 projects here; later ones have done so before the connectors, or have nothing to project with.
    """
    if not isinstance(projection, nn.Module):
        yield
        return

    def restrict(module: Any, arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return _without_negatives(arguments[0], plan), *arguments[1:]

    hook = projection.register_forward_pre_hook(torch.compiler.disable(restrict))
    try:
        yield
    finally:
        hook.remove()
