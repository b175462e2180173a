"""Compare whole sampling runs with and without a negative, on ComfyUI's own models with random weights at their real width.

    python benchmarks/model.py --comfyui ~/comfy/ComfyUI                     # a GPU: all blocks, 1024x1024, 8 steps
    python benchmarks/model.py --comfyui ~/comfy/ComfyUI --model flux --blocks 2 --size 512 --steps 2   # what a CPU can do

plain: cfg 1. VSF, NAG: ours at cfg 1. cfg 3: the classic negative prompt. negative guidance, DNG, SLD, Perp-Neg: ours at cfg 3, where each adds
one prediction. core NAG: ComfyUI's own node, which needs cfg above 1 and runs on Flux only. Random weights take the same time as trained ones.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(Path(__file__).resolve().parent))
from measure import compare, machine, table  # noqa: E402


def options_from_command() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comfyui", type=Path, default=Path(os.environ.get("COMFYUI_PATH", "~/comfy/ComfyUI")))
    parser.add_argument("--model", choices=["sd35", "flux", "wan"], default="sd35")
    parser.add_argument("--blocks", type=int, help="use only so many blocks (Flux: of each kind)")
    parser.add_argument("--size", type=int, help="side of the picture in pixels")
    parser.add_argument("--frames", type=int, default=81, help="frames of a video (Wan)")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    cuda = torch.cuda.is_available()
    options.blocks = options.blocks or (None if cuda else 2)
    options.size = options.size or (1024 if cuda else 512)
    options.steps = options.steps or (8 if cuda else 1)
    return options


def open_host(path: Path) -> None:
    """Make the host and this pack importable, as the tests do."""
    sys.path[:] = [entry for entry in sys.path if Path(entry or os.getcwd()).resolve() != ROOT]
    sys.path.insert(0, str(path.expanduser()))
    package = types.ModuleType("avert")
    package.__path__ = [str(ROOT)]
    sys.modules["avert"] = package
    logging.disable(logging.WARNING)
    from comfy.cli_args import args

    args.cpu = not torch.cuda.is_available()
    args.use_pytorch_cross_attention = True


def describe(name: str, blocks: int | None) -> tuple[str, dict[str, Any]]:
    """Give the class of comfy.supported_models and the configuration that its loader would find."""
    if name == "sd35":
        embedder = {"target": "torch.nn.Linear", "params": {"in_features": 4096, "out_features": 64 * 38}}
        return "SD3", {
            "in_channels": 16, "out_channels": 16, "patch_size": 2, "depth": 38, "num_blocks": blocks or 38, "input_size": None,
            "adm_in_channels": 2048, "context_embedder_config": embedder, "num_patches": 192 * 192, "pos_embed_max_size": 192,
            "pos_embed_scaling_factor": None, "qk_norm": "rms", "x_block_self_attn_layers": [],
        }  # fmt: skip
    if name == "flux":
        return "FluxSchnell", {
            "image_model": "flux", "in_channels": 16, "out_channels": 16, "patch_size": 2, "vec_in_dim": 768, "context_in_dim": 4096,
            "hidden_size": 3072, "mlp_ratio": 4.0, "num_heads": 24, "depth": blocks or 19, "depth_single_blocks": blocks or 38,
            "axes_dim": [16, 56, 56], "theta": 10000, "qkv_bias": True, "guidance_embed": False, "txt_ids_dims": [],
        }  # fmt: skip
    return "WAN21_T2V", {
        "image_model": "wan2.1", "model_type": "t2v", "dim": 1536, "out_dim": 16, "num_heads": 12, "num_layers": blocks or 30,
        "ffn_dim": 8960, "freq_dim": 256, "in_dim": 16, "patch_size": (1, 2, 2), "window_size": (-1, -1), "qk_norm": True,
        "cross_attn_norm": True, "eps": 1e-6, "text_dim": 4096,
    }  # fmt: skip


def build(name: str, blocks: int | None) -> Any:
    """Build the model with random weights, in bfloat16 on a GPU, in float32 on the CPU."""
    import comfy.ldm.flux.model
    import comfy.model_management
    import comfy.model_patcher
    import comfy.supported_models

    class_name, config = describe(name, blocks)
    if name == "flux" and "txt_ids_dims" not in comfy.ldm.flux.model.FluxParams.__dataclass_fields__:
        del config["txt_ids_dims"]
    device = comfy.model_management.get_torch_device()
    made = getattr(comfy.supported_models, class_name)(config)
    made.set_inference_dtype(torch.bfloat16 if device.type == "cuda" else torch.float32, None)
    model = made.get_model({}, "", device=device)
    for parameter in model.diffusion_model.parameters():
        parameter.data.normal_(std=0.02)
    return comfy.model_patcher.ModelPatcher(model, load_device=device, offload_device=torch.device("cpu"))


def prompt(name: str, tokens: int, seed: int) -> list[Any]:
    generator = torch.Generator().manual_seed(seed)
    pooled = {"sd35": 2048, "flux": 768, "wan": 1}[name]
    embedding = torch.randn(1, tokens, 4096, generator=generator)
    return [[embedding, {"pooled_output": torch.randn(1, pooled, generator=generator)}]]


def core_nag(model: Any) -> Any | None:
    """Patch the model with ComfyUI's own NAG node, if this host has it."""
    try:
        from comfy_extras.nodes_nag import NAGuidance
    except ImportError:
        return None
    return NAGuidance.execute(model, 5.0, 0.25, 2.5)[0]


def runs(options: argparse.Namespace) -> dict[str, Callable[[], object]]:
    """List the ways of sampling; all share one model."""
    import comfy.sample
    from avert.guidance.attention.mechanism import NormalizedGuidance, ValueSignFlip
    from avert.guidance.score.combine import DynamicNegativeGuidance, NegativeGuidance
    from avert.guidance.score.perp_neg import PerpendicularGuidance
    from avert.guidance.score.sld import SafeLatentDiffusion
    from avert.host.guide import guide, guide_score

    on_predictions = (
        NegativeGuidance(2.0, "positive"), DynamicNegativeGuidance(20.0, 0.01, 0.2, 3.0, 1e-6, 0.8),
        SafeLatentDiffusion(1000.0, 0, 0.01, 0.3, 0.4), PerpendicularGuidance(1.0),
    )  # fmt: skip
    model = build(options.model, options.blocks)
    lengths = {"sd35": (154, 20), "flux": (256, 12), "wan": (512, 12)}[options.model]
    positive, padded, padded_negative = (prompt(options.model, lengths[0], seed) for seed in (1, 3, 4))
    negative = prompt(options.model, lengths[1], 2)
    side = options.size // 8
    shape = (1, 16, (options.frames - 1) // 4 + 1, side, side) if options.model == "wan" else (1, 16, side, side)
    latent = torch.zeros(shape)
    noise = comfy.sample.prepare_noise(latent, 0)

    def sample(patched: Any, cfg: float) -> Callable[[], object]:
        return lambda: comfy.sample.sample(
            patched, noise, options.steps, cfg, "euler", "simple", positive, padded, latent, disable_pbar=True, seed=0
        )  # fmt: skip

    ways = {
        "plain, cfg 1": sample(model, 1.0),
        "VSF": sample(guide(model, ValueSignFlip(0.94, -0.6), negative, (0, 1), ""), 1.0),
        "NAG": sample(guide(model, NormalizedGuidance(5.0, 2.5, 0.25), negative, (0, 1), ""), 1.0),
        "cfg 3": sample(model, 3.0),
        **{f"{rule.name}, cfg 3": sample(guide_score(model, rule, padded_negative, (0, 1)), 3.0) for rule in on_predictions},
    }
    other = core_nag(model) if options.model == "flux" else None
    return ways | ({"ComfyUI's own NAG node, cfg 3": sample(other, 3.0)} if other is not None else {})


def main() -> None:
    options = options_from_command()
    open_host(options.comfyui)
    ways = runs(options)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    blocks = "all blocks" if options.blocks is None else f"{options.blocks} blocks"
    size = f"{options.size}x{options.size}" + (f", {options.frames} frames" if options.model == "wan" else "")
    print(f"{machine(device)}, median of {options.rounds}\n")
    print(
        table(f"{options.model}, {blocks}, {size}, {options.steps} steps", compare(ways, device, options.rounds, warmup=1), "plain, cfg 1")
    )


if __name__ == "__main__":
    with torch.inference_mode():
        main()
