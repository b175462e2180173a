"""Make tiny checkpoints that the host's own loader nodes load.

Run as a script by the host's Python: ``python checkpoints.py <host folder> <models folder>``. The shapes come from the
host's own classes, so a key that the host renames is renamed here too; the sizes are the smallest that the host's
detection of models accepts. Weights are random but well scaled, so that every result is finite and depends on the text.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import torch

SD15_CHECKPOINT = "tiny_sd15.safetensors"
SD3_MODEL = "tiny_sd3.safetensors"
CLIP_L = "tiny_clip_l.safetensors"
SD3_VAE = "tiny_sd3_vae.safetensors"
WAN_MODEL = "tiny_wan.safetensors"
UNSUPPORTED_MODEL = "tiny_pixart.safetensors"
NO_CLIP_CHECKPOINT = "tiny_no_clip.safetensors"
SD15_LORA = "tiny_sd15_lora.safetensors"
WAN_LORA = "tiny_wan_lora.safetensors"

# One residual block with one transformer: channel 320 and context 768 are what makes it an SD1.5 for the host.
SD15_UNET = {
    "image_size": 32, "in_channels": 4, "out_channels": 4, "model_channels": 320, "num_res_blocks": [1], "channel_mult": [1],
    "transformer_depth": [1], "transformer_depth_output": [1, 1], "transformer_depth_middle": 1, "context_dim": 768,
    "use_spatial_transformer": True, "legacy": False, "num_heads": 8, "num_head_channels": -1,
}  # fmt: skip
# The host reads the depth from the width (64 per head), so depth 4 is width 256. Block 0 has the image-only attention of 3.5 Medium.
SD3_MMDIT = {
    "input_size": None, "patch_size": 2, "in_channels": 16, "out_channels": 16, "depth": 4, "adm_in_channels": 2048, "num_patches": 1024,
    "pos_embed_max_size": 32, "pos_embed_scaling_factor": None, "qk_norm": "rms", "x_block_self_attn_layers": [0],
    "context_embedder_config": {"target": "torch.nn.Linear", "params": {"in_features": 4096, "out_features": 256}},
}  # fmt: skip
# 128 per head is fixed, the text width 4096 lets an SD3 text encoder stand in for UMT5.
WAN_DIT = {"model_type": "t2v", "dim": 256, "ffn_dim": 512, "num_heads": 2, "num_layers": 2, "in_dim": 16, "out_dim": 16, "text_dim": 4096}
LORA_TARGETS = {
    SD15_LORA: ("lora_unet_input_blocks_1_1_transformer_blocks_0_attn2_to_v", 320, 768),
    WAN_LORA: ("diffusion_model.blocks.0.cross_attn.v", 256, 256),
}


def draw(name: str, shape: torch.Size, generator: torch.Generator) -> torch.Tensor:
    """Draw one float16 weight: N(0, 1/fan_in) for matrices, near 1 for norms, small for biases."""
    noise = torch.randn(shape, generator=generator)
    if len(shape) < 2:
        noise = noise * 0.02 + (1.0 if name.endswith(".weight") else 0.0)
    elif name.endswith("pos_embed"):
        noise = noise * 0.5
    else:
        noise = noise * shape[1:].numel() ** -0.5
    return noise.half()


def draw_vae(name: str, shape: torch.Size, generator: torch.Generator) -> torch.Tensor:
    """Draw one weight of the tiny autoencoder so that pictures are grey with contrast: clipped pixels would hide differences."""
    if name.endswith(("vae_scale", "vae_shift")):
        return torch.full(shape, float(name.endswith("vae_scale")))
    if len(shape) < 2:
        return torch.full(shape, 0.5 if shape == (3,) else 0.0).half()
    weight = torch.randn(shape, generator=generator)
    # Activations after a ReLU are positive: without its mean a filter does not turn them into one flat colour.
    weight = weight - weight.mean(dim=(1, 2, 3), keepdim=True)
    gain = 0.2 if shape[0] == 3 or name.endswith("conv.4.weight") else 1.4
    return (weight * gain * shape[1:].numel() ** -0.5).half()


def fill(module: torch.nn.Module, prefix: str, seed: int) -> dict[str, torch.Tensor]:
    """Give the module's state dict (module on the meta device) with drawn weights under `prefix`."""
    generator = torch.Generator().manual_seed(seed)
    drawer = draw_vae if hasattr(module, "vae_scale") else draw
    return {prefix + name: drawer(name, value.shape, generator) for name, value in module.state_dict().items()}


def make_lora(layer: str, rows: int, columns: int) -> dict[str, torch.Tensor]:
    """Make a LoRA of rank 4 for one layer of shape [rows, columns]."""
    generator = torch.Generator().manual_seed(8)
    up, down = torch.Size((rows, 4)), torch.Size((4, columns))
    return {f"{layer}.lora_up.weight": draw("up", up, generator), f"{layer}.lora_down.weight": draw("down", down, generator)}


def build_modules(host: Path) -> Iterator[tuple[str, torch.nn.Module]]:
    """Yield (name, module on the meta device) of the host's classes."""
    import comfy.clip_model
    import comfy.ldm.modules.diffusionmodules.mmdit as mmdit
    import comfy.ldm.modules.diffusionmodules.openaimodel as openaimodel
    import comfy.ldm.pixart.pixartms as pixart
    import comfy.ldm.wan.model as wan
    import comfy.ops
    import comfy.taesd.taesd as taesd

    place = {"device": torch.device("meta"), "dtype": torch.float32, "operations": comfy.ops.disable_weight_init}
    clip_config = json.loads((host / "comfy" / "sd1_clip_config.json").read_text(encoding="utf-8"))
    yield "unet", openaimodel.UNetModel(**SD15_UNET, **place)
    yield "mmdit", mmdit.MMDiT(**SD3_MMDIT, **place)
    yield "wan", wan.WanModel(**WAN_DIT, **place)
    yield "pixart", pixart.PixArtMS(input_size=32, pe_interpolation=1, depth=1, micro_condition=False, model_max_length=77, **place)
    yield "clip", comfy.clip_model.CLIPTextModel(clip_config, torch.float32, torch.device("meta"), comfy.ops.disable_weight_init)
    with torch.device("meta"):
        yield "vae4", taesd.TAESD(latent_channels=4)
        yield "vae16", taesd.TAESD(latent_channels=16)


def write_checkpoints(host: Path, models: Path) -> None:
    """Write every checkpoint into the folders in which the host looks for it."""
    from safetensors.torch import save_file

    modules = dict(build_modules(host))
    text = fill(modules["clip"], "", 1)
    checkpoint = fill(modules["unet"], "model.diffusion_model.", 2) | fill(modules["vae4"], "first_stage_model.", 3)
    # The pooled projection is not part of an SD1.5 checkpoint.
    checkpoint |= {f"cond_stage_model.transformer.{k}": v for k, v in text.items() if not k.startswith("text_projection")}
    mmdit = fill(modules["mmdit"], "", 4)
    files = {
        f"checkpoints/{SD15_CHECKPOINT}": checkpoint,
        f"text_encoders/{CLIP_L}": text,
        f"diffusion_models/{SD3_MODEL}": mmdit,
        f"checkpoints/{NO_CLIP_CHECKPOINT}": mmdit,
        f"diffusion_models/{UNSUPPORTED_MODEL}": fill(modules["pixart"], "", 5),
        f"diffusion_models/{WAN_MODEL}": fill(modules["wan"], "", 7),
        f"vae/{SD3_VAE}": fill(modules["vae16"], "", 6),
        **{f"loras/{name}": make_lora(*target) for name, target in LORA_TARGETS.items()},
    }
    for name, weights in files.items():
        (models / name).parent.mkdir(parents=True, exist_ok=True)
        save_file(weights, models / name)


def main() -> None:
    """Put the host on the path, on the CPU, and write the files."""
    host, models = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
    sys.argv = sys.argv[:1]
    # This folder is first on a script's path: nothing in it may shadow a module of the host.
    sys.path[0] = str(host)
    from comfy.cli_args import args

    args.cpu = True
    write_checkpoints(host, models)


if __name__ == "__main__":
    main()
