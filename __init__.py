"""Avert: negative guidance for ComfyUI. Only what the host looks for is here."""

try:
    from .nodes import comfy_entrypoint
except ImportError as error:
    raise ImportError(
        f"Avert could not be loaded ({error}). It needs ComfyUI 0.3.64 or newer: update ComfyUI and its requirements."
    ) from error

WEB_DIRECTORY = "./js"

__all__ = ["WEB_DIRECTORY", "comfy_entrypoint"]
