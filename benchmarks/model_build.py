"""Build the models of model_configs.py with random weights, and what their text encoders and empty latents give."""

from __future__ import annotations

from typing import Any

import torch
from model_configs import Model


def built(model: Model, blocks: int | None, device: torch.device) -> Any:
    """Build the host's model without weights: in bfloat16 for a GPU, in float32 for the CPU."""
    import comfy.ldm.flux.model
    import comfy.supported_models

    config = model.configuration(blocks)
    if config.get("image_model") in ("flux", "flux2"):
        known = {"image_model", *comfy.ldm.flux.model.FluxParams.__dataclass_fields__}
        config = {name: value for name, value in config.items() if name in known}
    made = getattr(comfy.supported_models, model.kind)(config)
    made.set_inference_dtype(torch.bfloat16 if torch.cuda.is_available() else torch.float32, None)
    return made.get_model({}, "", device=device)


def obstacle(model: Model, blocks: int | None, limit: float) -> str:
    """Say why this model cannot be measured here, if so, before memory is taken for it; limit: GiB of weights."""
    import comfy.supported_models
    from avert.host.families import find_family

    if not hasattr(comfy.supported_models, model.kind):
        return f"this ComfyUI has no {model.kind}"
    sketch = built(model, blocks, torch.device("meta"))
    needed = sum(part.numel() * part.element_size() for part in sketch.diffusion_model.parameters()) / 2**30
    try:
        find_family(sketch)
    except ValueError as error:
        return str(error)
    return f"its weights take {needed:.1f} GiB, the limit is {limit:.1f}" if needed > limit else ""


def with_weights(model: Model, blocks: int | None) -> Any:
    """Build the model with random weights."""
    import comfy.model_management
    import comfy.model_patcher

    device = comfy.model_management.get_torch_device()
    host_model = built(model, blocks, device)
    for parameter in host_model.diffusion_model.parameters():
        parameter.data.normal_(std=0.02)
    for name, buffer in host_model.diffusion_model.named_buffers():
        if name.endswith("inv_freq"):
            # Comes with the checkpoint.
            buffer.copy_(10000.0 ** -torch.linspace(0, 1, len(buffer) + 1)[:-1])
    return comfy.model_patcher.ModelPatcher(host_model, load_device=device, offload_device=torch.device("cpu"))


def prompt(model: Model, tokens: int, seed: int) -> list[Any]:
    generator = torch.Generator().manual_seed(seed)
    embedding = torch.randn(1, tokens, model.width, generator=generator)
    pooled = None if model.pooled is None else torch.randn(1, model.pooled, generator=generator)
    return [[embedding, {"pooled_output": pooled, **model.entries(tokens)}]]


def empty_latent(shapes: list[tuple[int, ...]]) -> Any:
    if len(shapes) == 1:
        return torch.zeros(shapes[0])
    # Hosts without models of several streams have no packed latents either.
    from comfy.nested_tensor import NestedTensor

    return NestedTensor([torch.zeros(shape) for shape in shapes])
