"""The demo world in the host's hands: prompts encoded, batches sampled and decoded by the host, pictures judged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import comfy.sample
import comfy.samplers
import nodes as host_nodes
import torch
from torch import Tensor

from ...demo.model.config import CHANNELS, DOWNSCALE, PICTURE
from ...demo.model.judge import Judge
from ...demo.model.weights import read_weights
from ...demo.world.dataset import to_float
from ...demo.world.kinds import FIRST, Kinds
from ...host.demo import load_clip, load_model, load_vae
from ...host.encode import encode_negative
from ...host.negative import Negative, Prompt
from .methods import STEPS, Method, Sampling, Texts
from .scores import Judged

BATCH = 64
JUDGED_AT_ONCE = 256


class World:
    """Load the demo models when they are first needed; `folder`: of the weights, if not those that come with the pack, whose world they are of."""

    def __init__(self, folder: Path | None = None, kinds: Kinds = FIRST) -> None:
        self.model = cache(lambda variant: load_model(variant, folder))
        self.clip = cache(lambda variant: load_clip(variant, folder, kinds.words))
        self.vae = cache(lambda: load_vae(folder))
        self._judge = cache(lambda: _load_judge(folder, kinds))
        self._encoded = cache(lambda variant, text: host_nodes.CLIPTextEncode().encode(self.clip(variant), text)[0])
        self.negative = cache(lambda variant, text: encode_negative(self.clip(variant), text))

    def texts(self, variant: str, positives: Sequence[str], negatives: Sequence[str]) -> Texts:
        """Encode a batch's prompts; negatives must be equally long in tokens."""
        encoded = [[self._encoded(variant, text) for text in texts] for texts in (positives, [""] * len(positives), negatives)]
        prompts = zip(*[self.negative(variant, text).prompts for text in negatives], strict=True)
        return Texts(*[_stack(conditionings) for conditionings in encoded], Negative(tuple(_stack_prompts(rows) for rows in prompts)))

    @torch.inference_mode()
    def sample(self, method: Method, strength: float, texts: Texts, noise: Tensor) -> Tensor:
        """Sample latents as the KSampler node does, every picture with its own prompts and noise [N, 16, 8, 8]."""
        run = method.build(self.model(method.variant), texts, strength)
        return self.run(run, method.variant, method.sampler, noise)

    @torch.inference_mode()
    def run(self, run: Sampling, variant: str, sampler_name: str, noise: Tensor, callback: Callable[..., Any] | None = None) -> Tensor:
        """Sample latents with a model that is ready; callback: hears of each step."""
        sigmas = comfy.samplers.calculate_sigmas(run.model.get_model_object("model_sampling"), "simple", STEPS[variant])
        extra = {"noise_sampler": fresh_noise(noise)} if sampler_name != "euler" else {}
        sampler = comfy.samplers.ksampler(sampler_name, extra)
        latent = torch.zeros_like(noise)
        return comfy.sample.sample_custom(
            run.model, noise, run.cfg, sampler, sigmas, run.positive, run.negative, latent, callback=callback, disable_pbar=True, seed=0
        )

    @torch.inference_mode()
    def decode(self, latents: Tensor) -> Tensor:
        """Decode with the host's VAE to what a saved picture has, uint8 [N, 3, 64, 64]."""
        pictures = self.vae().decode(latents).clamp(0, 1).movedim(-1, 1)
        return (pictures * 255).round().to(torch.uint8).cpu()

    @torch.inference_mode()
    def judge(self, pictures: Tensor) -> Judged:
        """Ask the judge about pictures, uint8 [N, 3, 64, 64]; a label is seen where it is likelier there than not."""
        judge, seen, features = self._judge(), [], []
        for part in pictures.split(JUDGED_AT_ONCE):
            features.append(judge.features(to_float(part)))
            seen.append(judge.head(features[-1]) > 0)
        return Judged(torch.cat(seen), torch.cat(features).double())


@cache
def noise(number: int) -> Tensor:
    """Draw a picture's noise from its number as the host does, [1, 16, 8, 8]."""
    side = PICTURE // DOWNSCALE
    return comfy.sample.prepare_noise(torch.zeros(1, CHANNELS, side, side), number)


def fresh_noise(first: Tensor) -> Callable[..., Tensor]:
    """Give noise for every step, of each picture by itself: made from the noise that it starts with, wherever it stands in a batch."""
    generators = [torch.Generator().manual_seed(int(row.flatten()[:1].view(torch.int32).item())) for row in first]

    def draw(sigma: Tensor, *_: Any) -> Tensor:
        return torch.stack([torch.randn(first.shape[1:], generator=generator) for generator in generators]).to(sigma.device)

    return draw


def _load_judge(folder: Path | None, kinds: Kinds) -> Judge:
    judge = Judge(len(kinds.labels))
    judge.load_state_dict(read_weights("judge", folder))
    return judge.train(False)


def _stack(conditionings: Sequence[Any]) -> Any:
    """Join CONDITIONINGs of one entry each to one whose rows are different prompts."""
    entries = [conditioning[0] for conditioning in conditionings]
    options = dict(entries[0][1])
    if options.get("pooled_output") is not None:
        options["pooled_output"] = torch.cat([entry[1]["pooled_output"] for entry in entries])
    return [[torch.cat([entry[0] for entry in entries]), options]]


def _stack_prompts(rows: Sequence[Prompt]) -> Prompt:
    """Join negatives of equal length to one whose rows are different prompts."""
    if any(row.weights is not None for row in rows):
        raise ValueError("The benchmark's negatives have no weights: a batch has one for all rows.")
    ((embedding, options),) = _stack([[[row.embedding, dict(row.options)]] for row in rows])
    words = [row.words for row in rows if row.words is not None]
    apart = (lambda: _stack_prompts([one() for one in words])) if len(words) == len(rows) else None
    return Prompt(embedding, options, None, ", ".join(row.text for row in rows), rows[0].tokens, words=apart)
