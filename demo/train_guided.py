"""Train the guidance-needing model of the demo world: `python -m demo.train_guided --comfyui PATH`, after the autoencoder and the judge.

DDPM: x = sqrt(a) x0 + sqrt(1 - a) noise, the model says the noise (loss: mean squared error), noise levels uniform. The network is the host's own
UNetModel, so this script needs a ComfyUI. Captions are often empty (15 %): the model is made to be sampled with cfg above 1.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import sys
import time
from pathlib import Path

import torch
from torch import Tensor, nn

from .latents import SEED as LATENTS_SEED
from .latents import captions, load_autoencoder, scenes_and_latents
from .measure_training import main_thing_shown
from .model.config import BETAS, UNET
from .model.text_encoder import TextEncoder
from .model.tokenizer import padded
from .training import Average, batches, begin_with_first, course, descend, log, offer_worlds, optimisers_for, resume, save, start, world_of

SCENES, SEED, BATCH, DROPOUT = 24_000, 4_000, 96, 0.15


def build_unet(comfyui: Path) -> nn.Module:
    """Build the host's UNet with weights to train from; the layers that end a residual branch start at zero."""
    sys.path.insert(0, str(comfyui.expanduser()))
    from comfy.cli_args import args

    args.cpu = not torch.cuda.is_available()
    import comfy.ops
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel

    unet = UNetModel(**UNET, dtype=torch.float32, device=torch.device("cpu"), operations=comfy.ops.disable_weight_init)
    for name, module in unet.named_modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_uniform_(module.weight, a=math.sqrt(5))
            if module.bias is not None:
                nn.init.zeros_(module.bias)
            if name.endswith(("out_layers.3", "proj_out", "out.2")):
                nn.init.zeros_(module.weight)
        elif isinstance(module, (nn.GroupNorm, nn.LayerNorm)):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
    return unet


def kept_signal() -> Tensor:
    """Return a [1000], the share of the signal's variance that is left: the schedule that the host calls "linear" (linear in the root of beta)."""
    steps = torch.linspace(BETAS["linear_start"] ** 0.5, BETAS["linear_end"] ** 0.5, BETAS["timesteps"], dtype=torch.float64)
    return torch.cumprod(1 - steps.square(), 0).float()


def loss_of(model: nn.ModuleDict, kept: Tensor, clean: Tensor, tokens: Tensor) -> Tensor:
    times, noise = torch.randint(0, len(kept), (clean.shape[0],)), torch.randn_like(clean)
    signal = kept[times][:, None, None, None]
    noisy = signal.sqrt() * clean + (1 - signal).sqrt() * noise
    return (model["diffusion_model"](noisy, times.float(), context=model["text_encoder"](tokens)) - noise).square().mean()


@torch.no_grad()
def sample(model: nn.ModuleDict, kept: Tensor, tokens: Tensor, cfg: float, steps: int = 20) -> Tensor:
    """Take DDIM steps with classifier-free guidance: noise = empty + cfg * (positive - empty)."""
    empty = torch.tensor([padded("")]).expand_as(tokens)
    context = model["text_encoder"](torch.cat([tokens, empty]))
    x = torch.randn(tokens.shape[0], 16, 8, 8, generator=torch.Generator().manual_seed(SEED))
    times = torch.linspace(len(kept) - 1, 0, steps + 1).round().long().tolist()
    for time_now, following in zip(times, times[1:], strict=False):
        positive, negative = model["diffusion_model"](torch.cat([x, x]), torch.full((2 * len(x),), float(time_now)), context=context).chunk(
            2
        )
        noise = negative + cfg * (positive - negative)
        clean = (x - (1 - kept[time_now]).sqrt() * noise) / kept[time_now].sqrt()
        x = kept[following].sqrt() * clean + (1 - kept[following]).sqrt() * noise
    return x


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--steps", type=int, default=4000)
    options.add_argument("--comfyui", type=Path, default=Path(os.environ.get("COMFYUI_PATH", "~/comfy/ComfyUI")))
    options.add_argument("--resume", action="store_true", help="go on from the weights that are there")
    options.add_argument("--batch", type=int, default=BATCH)
    options.add_argument("--begin-with-first", action="store_true", help="start from the first world's diffusion model")
    offer_worlds(options)
    chosen = options.parse_args()
    steps, started = chosen.steps, time.time()
    kinds, folder, more = world_of(chosen)
    start(SEED + more)
    rng, kept = random.Random(SEED + more), kept_signal()
    scenes, latents = scenes_and_latents(SCENES, kinds, LATENTS_SEED + more, folder)
    model = nn.ModuleDict({"text_encoder": TextEncoder(), "diffusion_model": build_unet(chosen.comfyui)})
    about = {"steps_before": resume("guided", model, folder) if chosen.resume else 0, "batch": chosen.batch, "scenes": SCENES}
    about |= begin_with_first("guided", model) if chosen.begin_with_first else {}
    average = Average(model)
    optimisers = optimisers_for(model)
    running = 1.0
    for step, rows in enumerate(batches(SCENES, chosen.batch, steps, SEED + more)):
        loss = loss_of(model, kept, latents[rows], captions(rng, scenes, rows.tolist(), DROPOUT, kinds.words))
        descend(optimisers, model, loss, course(step, steps))
        average.follow(model)
        running += 0.01 * (loss.item() - running)
        if step % 200 == 0:
            log.info("step %d loss %.4f", step, running)
        if step % 1000 == 999 or step == steps - 1:
            save("guided", average.weights, {**about, "steps": step + 1, "loss": round(running, 4)}, started, folder)
    model.load_state_dict(average.weights)
    model.eval()
    decoder = load_autoencoder(folder)
    shown = {
        f"main_thing_shown_cfg_{cfg:g}": main_thing_shown(lambda tokens, cfg=cfg: sample(model, kept, tokens, cfg), decoder, kinds, folder)
        for cfg in (1.0, 3.0, 5.0)
    }
    save("guided", average.weights, {**about, "steps": steps, "loss": round(running, 4), **shown}, started, folder)


if __name__ == "__main__":
    main()
