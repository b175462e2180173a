"""A model of ComfyUI whose network is exact: a mixture of Gaussians on a line. Its prompts say which of the modes they mean."""

from __future__ import annotations

from typing import Any

import comfy.latent_formats
import comfy.model_base
import comfy.model_management
import comfy.model_patcher
import comfy.model_sampling
import comfy.supported_models_base
import torch
from comfy.model_base import ModelType
from torch import Tensor, nn

from reference.mixture import WORLD

# Of flow models, as the host counts it.
MULTIPLIER = 1000.0
KINDS = {"eps": ModelType.EDM, "v": ModelType.V_PREDICTION_EDM, "flow": ModelType.FLOW}


class ExactNetwork(nn.Module):
    """Answer as a perfectly trained network of its kind would: x as it is scaled for the network, `context` [B, 1, modes] of 0 and 1."""

    def __init__(self, kind: str, dtype: Any = None, device: Any = None, operations: Any = None) -> None:
        super().__init__()
        self.kind, self.dtype = kind, torch.float32
        self.nothing = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor, timesteps: Tensor, context: Tensor | None = None, **_: Any) -> Tensor:
        assert context is not None
        x, time = x.double(), timesteps.double().view(-1, 1, 1, 1)
        flow = time / MULTIPLIER
        sigma = flow / (1 - flow).clamp_min(1e-9) if self.kind == "flow" else torch.exp(4 * time)
        clean = x / (1 - flow).clamp_min(1e-9) if self.kind == "flow" else x * (1 + sigma**2).sqrt()
        denoised = self._denoised(clean, sigma, context[:, 0].double())
        if self.kind == "flow":
            return ((x - denoised) / flow).float()
        if self.kind == "eps":
            return ((clean - denoised) / sigma).float()
        return ((clean / (sigma**2 + 1) - denoised) * (sigma**2 + 1).sqrt() / sigma).float()

    def _denoised(self, x: Tensor, sigma: Tensor, modes: Tensor) -> Tensor:
        variance = WORLD.deviations**2
        whole = variance + sigma[..., None] ** 2
        allowed = (WORLD.weights * modes).clamp_min(1e-300).log()[:, None, None, None, :]
        share = (allowed - 0.5 * (x[..., None] - WORLD.means) ** 2 / whole - 0.5 * whole.log()).softmax(-1)
        return (share * (WORLD.means * sigma[..., None] ** 2 + x[..., None] * variance) / whole).sum(-1)


class ExactConfig(comfy.supported_models_base.BASE):
    unet_extra_config: dict[str, Any] = {}
    sampling_settings = {"sigma_max": 80.0, "sigma_min": 0.002, "sigma_data": 1.0, "shift": 1.0, "multiplier": MULTIPLIER}
    latent_format = comfy.latent_formats.LatentFormat


class Epsilon(comfy.model_sampling.ModelSamplingContinuousEDM, comfy.model_sampling.EPS):
    """Noise prediction at any noise level, as the host's node ModelSamplingContinuousEDM sets it."""


def exact_model(kind: str) -> Any:
    """Make the MODEL: "eps", "v" or "flow"."""
    config = ExactConfig({"kind": kind})
    model = comfy.model_base.BaseModel(config, KINDS[kind], device=torch.device("cpu"), unet_model=ExactNetwork)
    if kind == "eps":
        model.model_sampling = Epsilon(config)
    return comfy.model_patcher.ModelPatcher(model, comfy.model_management.get_torch_device(), comfy.model_management.unet_offload_device())


def modes(*chosen: int) -> list[list[Any]]:
    """Make a CONDITIONING that means these modes (none given: all)."""
    tokens = torch.zeros(1, 1, len(WORLD.means))
    tokens[..., list(chosen) or list(range(len(WORLD.means)))] = 1
    return [[tokens, {}]]
