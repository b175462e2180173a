"""The host's node API, in one place: what is imported from it, and what older hosts do not know yet.

`comfy_api.latest` is declared not stable; only this file imports it. Whether the host knows a field is asked of the host, not of its version.
"""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

from comfy_api.latest import ComfyExtension, io, ui

__all__ = ["ComfyExtension", "NegativeSocket", "VLMSocket", "OWN_CACHE", "describe", "io", "one_of", "take", "ui"]

NegativeSocket = io.Custom("AVERT_NEGATIVE")
VLMSocket = io.Custom("AVERT_VLM")
# Hosts hand one node's cached output to another that has the same inputs, unless nodes want to know their ids. Panels are found by the id in the output.
OWN_CACHE = [io.Hidden.unique_id]


def describe(**fields: Any) -> io.Schema:
    """Build a node's schema from the fields that this host knows (0.3.64 has no `search_aliases`)."""
    known = {field.name for field in dataclasses.fields(io.Schema)}
    return io.Schema(**{name: value for name, value in fields.items() if name in known})


def take(kind: Any, name: str, **options: Any) -> Any:
    """Declare an input with the options that this host knows (0.3.64 has no `advanced`)."""
    known = inspect.signature(kind.Input.__init__).parameters
    return kind.Input(name, **{key: value for key, value in options.items() if key in known})


def one_of(name: str, kinds: list[Any], **options: Any) -> Any:
    """Declare an input that takes any of several types."""
    return io.MultiType.Input(name, kinds, **options)
