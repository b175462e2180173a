"""Keep the graphs of a compiled model apart: those that were traced with guidance, and those without."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def marked_for_compile(compiled: bool) -> Iterator[None]:
    """Run an evaluation of a compiled model so that its graphs serve no other kind of evaluation, nor theirs this one.

    Compiled graphs are chosen by guards, and the host leaves `transformer_options`, where our attention is, out of them
    (comfy_extras/nodes_torch_compile.py): only lengths would tell, and two texts can be equally long. PyTorch also guards on its global
    state, and one part of that has no effect at all while deterministic algorithms are off: whether they would only warn. Where they
    are on, the evaluation runs without compiled graphs instead.
    """
    if not compiled:
        yield
        return
    if torch.are_deterministic_algorithms_enabled():
        with torch.compiler.set_stance("force_eager"):
            yield
        return
    before = torch.is_deterministic_algorithms_warn_only_enabled()
    # Not the public function: it also sets an option of the compiler's, for good.
    torch._C._set_deterministic_algorithms(False, warn_only=not before)
    try:
        yield
    finally:
        torch._C._set_deterministic_algorithms(False, warn_only=before)
