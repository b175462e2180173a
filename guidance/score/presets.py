"""Settings that the papers used, by name.

DNG (arXiv 2410.14398, section 4 and appendix D): its offset delta is added as delta / (2 v) in every step; here it is what that sums to over the paper's run, in
nats: over 1000 DDPM steps for CIFAR10, over 50 steps of Stable Diffusion's schedule for the prompts (0.002, 0.003 and 0.004 are 1.5, 2.3 and 3.1). SLD
(arXiv 2211.05105): of the released code.
"""

from __future__ import annotations

OWN = "custom"

DNG: dict[str, dict[str, float]] = {
    "MNIST": {"scale": 5.0, "prior": 0.25, "temperature": 0.25, "offset": 0.0},
    "CIFAR10": {"scale": 5.0, "prior": 0.01, "temperature": 0.2, "offset": 29.2},
    "SD2 medieval feast": {"scale": 27.0, "prior": 0.01, "temperature": 0.2, "offset": 3.1},
    "SD2 dinner table": {"scale": 12.0, "prior": 0.01, "temperature": 0.3, "offset": 2.3},
    "SD2 art workshop": {"scale": 27.0, "prior": 0.01, "temperature": 0.2, "offset": 1.5},
    "SD2 antique store": {"scale": 21.0, "prior": 0.01, "temperature": 0.2, "offset": 3.1},
    "SD2 English breakfast": {"scale": 18.0, "prior": 0.01, "temperature": 0.3, "offset": 2.3},
}  # fmt: skip

SLD: dict[str, dict[str, float]] = {
    "weak": {"guidance_scale": 20.0, "warmup_steps": 15, "threshold": 0.0, "momentum_scale": 0.0, "momentum_beta": 0.0},
    "medium": {"guidance_scale": 1000.0, "warmup_steps": 10, "threshold": 0.01, "momentum_scale": 0.3, "momentum_beta": 0.4},
    "strong": {"guidance_scale": 2000.0, "warmup_steps": 7, "threshold": 0.025, "momentum_scale": 0.5, "momentum_beta": 0.7},
    "max": {"guidance_scale": 5000.0, "warmup_steps": 0, "threshold": 1.0, "momentum_scale": 0.5, "momentum_beta": 0.7},
}


def chosen(presets: dict[str, dict[str, float]], name: str, own: dict[str, float]) -> dict[str, float]:
    """Give a preset's numbers, or one's own for "custom"."""
    if name == OWN:
        return own
    if name not in presets:
        raise ValueError(f"There is no preset {name!r}; there are {', '.join([OWN, *presets])}.")
    return own | presets[name]


def listed(presets: dict[str, dict[str, float]]) -> str:
    """Write the presets and their numbers for people."""
    lines = [f"{name}: " + ", ".join(f"{key} {value:g}" for key, value in numbers.items()) for name, numbers in presets.items()]
    return ". ".join(lines)
