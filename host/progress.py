"""The host's progress bar during a run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import comfy.model_management
import comfy.utils


@contextmanager
def quiet_progress() -> Iterator[None]:
    """Keep an inner loop's progress from moving the sampler's bar, which has the same node; the user's cancel still passes."""

    def cancelled(*args: Any, **kwargs: Any) -> None:
        comfy.model_management.throw_exception_if_processing_interrupted()

    before = comfy.utils.PROGRESS_BAR_HOOK
    comfy.utils.set_progress_bar_global_hook(cancelled)
    try:
        yield
    finally:
        comfy.utils.set_progress_bar_global_hook(before)
