"""Classes of the host, a little changed for the demo world: one latent to a patch, and a vocabulary of its own."""

from __future__ import annotations

from typing import Any

import comfy.clip_model
import comfy.latent_formats
import comfy.model_base
import comfy.sd1_clip
import comfy.supported_models
import comfy.supported_models_base
import torch
from comfy.ldm.modules.diffusionmodules.mmdit import OpenAISignatureMMDITWrapper
from torch import Tensor

from ..demo.model.config import BETAS, MULTIPLIER, PREVIEW, PREVIEW_BIAS, SHIFT, TEXT, TEXT_WIDTH, VOCABULARY
from ..demo.model.tokenizer import END, LENGTH, PAD, START, encode, vocabulary
from ..demo.model.words import WORDS


class Latents(comfy.latent_formats.SD3):
    """The host's SD3 latents, whose numbers the autoencoder was made for, with colours of their own in live previews."""

    def __init__(self) -> None:
        super().__init__()
        self.latent_rgb_factors = [list(channel) for channel in PREVIEW]
        self.latent_rgb_factors_bias = list(PREVIEW_BIAS)
        # The decoder that the host would take for better previews belongs to SD3's own autoencoder.
        self.taesd_decoder_name = None


class PatchOne(OpenAISignatureMMDITWrapper):
    """The host's MMDiT for patches of one latent.

    It counts patches as (size + 1) // patch, which is one too many when the patch is 1 (cropped_pos_embed and unpatchify in mmdit.py).
    """

    def cropped_pos_embed(self, hw: Any, device: Any = None) -> Tensor:
        return super().cropped_pos_embed((hw[0] - 1, hw[1] - 1), device=device)

    def unpatchify(self, x: Tensor, hw: Any = None) -> Tensor:
        return super().unpatchify(x, hw=(hw[0] - 1, hw[1] - 1))


class FlowModel(comfy.model_base.SD3):
    """The host's SD3, around `PatchOne`."""

    def __init__(self, model_config: Any, device: Any = None) -> None:
        # Not SD3's own __init__, which names the class of the diffusion model.
        comfy.model_base.BaseModel.__init__(self, model_config, comfy.model_base.ModelType.FLOW, device=device, unet_model=PatchOne)


class FlowConfig(comfy.supported_models.SD3):
    """Describe the few-step variant as the host describes SD3."""

    sampling_settings = {"shift": SHIFT, "multiplier": MULTIPLIER}
    latent_format = Latents

    def get_model(self, state_dict: Any, prefix: str = "", device: Any = None) -> FlowModel:
        return FlowModel(self, device=device)


class NoiseConfig(comfy.supported_models_base.BASE):
    """Describe the guided variant as the host describes SD1.5: a UNet that predicts the noise, here on SD3's latents."""

    unet_extra_config: dict[str, Any] = {}
    sampling_settings = BETAS
    latent_format = Latents

    def get_model(self, state_dict: Any, prefix: str = "", device: Any = None) -> comfy.model_base.BaseModel:
        # Not BASE's own, which takes every model with more than four channels for an inpainting model.
        return comfy.model_base.BaseModel(self, comfy.model_base.ModelType.EPS, device=device)


class WordTokenizer:
    """Offer our tokenizer as the host wants one, that is as `transformers` makes them."""

    words = WORDS

    @classmethod
    def from_pretrained(cls, path: str, **options: Any) -> WordTokenizer:
        return cls()

    def __call__(self, text: str) -> dict[str, list[int]]:
        return {"input_ids": [START, *encode(text, self.words), END]}

    def get_vocab(self) -> dict[str, int]:
        return vocabulary(self.words)

    def decode(self, ids: list[int], skip_special_tokens: bool = True) -> str:
        words = {index: word for word, index in vocabulary(self.words).items()}
        return " ".join(words[index] for index in ids if not (skip_special_tokens and index in (PAD, START, END)))


class PromptTokenizer(comfy.sd1_clip.SDTokenizer):
    """Tokenize prompts with the host's syntax: weights, embeddings, several chunks."""

    words_class: type[WordTokenizer] = WordTokenizer

    def __init__(self, embedding_directory: Any = None, tokenizer_data: dict[str, Any] | None = None) -> None:
        super().__init__(
            tokenizer_path="",
            max_length=LENGTH,
            pad_with_end=False,
            pad_token=PAD,
            embedding_directory=embedding_directory,
            embedding_size=TEXT_WIDTH,
            embedding_key="clip_avert",
            tokenizer_class=self.words_class,
            tokenizer_data=tokenizer_data or {},
        )


class Tokenizer(comfy.sd1_clip.SD1Tokenizer):
    """Name our one tokenizer "avert", as the host's CLIP objects ask."""

    prompts_class: type[PromptTokenizer] = PromptTokenizer

    def __init__(self, embedding_directory: Any = None, tokenizer_data: dict[str, Any] | None = None) -> None:
        super().__init__(embedding_directory, tokenizer_data or {}, clip_name="avert", tokenizer=self.prompts_class)


def tokenizer_of(words: tuple[str, ...]) -> type[Tokenizer]:
    """Give the tokenizer that knows these words, as the host wants it: a class that takes no more than the host gives."""
    known = type("WordTokenizer", (WordTokenizer,), {"words": words})
    prompts = type("PromptTokenizer", (PromptTokenizer,), {"words_class": known})
    return type("Tokenizer", (Tokenizer,), {"prompts_class": prompts})


class TextModel(comfy.clip_model.CLIPTextModel):
    """The host's CLIP text transformer with our vocabulary, where it has 49408 words, and without the projection of its pooled output."""

    def __init__(self, config_dict: dict[str, Any], dtype: Any, device: Any, operations: Any) -> None:
        super().__init__(config_dict, dtype, device, operations)
        self.set_input_embeddings(operations.Embedding(VOCABULARY, TEXT_WIDTH, dtype=dtype, device=device))
        self.text_projection = torch.nn.Identity()


class ClipModel(comfy.sd1_clip.SDClipModel):
    """Encode tokens with `TextModel`; the prompt is the last layer's output, after its norm."""

    def __init__(self, device: Any = "cpu", dtype: Any = None, model_options: dict[str, Any] | None = None) -> None:
        super().__init__(
            device=device,
            dtype=dtype,
            max_length=LENGTH,
            textmodel_json_config=dict(TEXT),
            model_class=TextModel,
            special_tokens={"start": START, "end": END, "pad": PAD},
            return_projected_pooled=False,
            model_options=model_options or {},
        )


class TextEncoders(comfy.sd1_clip.SD1ClipModel):
    """Name our one text encoder "avert", as the host's CLIP objects ask."""

    def __init__(self, device: Any = "cpu", dtype: Any = None, model_options: dict[str, Any] | None = None) -> None:
        super().__init__(device=device, dtype=dtype, model_options=model_options or {}, clip_name="avert", clip_model=ClipModel)
