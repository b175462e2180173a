"""Avert: negative guidance for ComfyUI. Only what the host looks for is here."""

from .nodes import comfy_entrypoint

WEB_DIRECTORY = "./js"

__all__ = ["WEB_DIRECTORY", "comfy_entrypoint"]
