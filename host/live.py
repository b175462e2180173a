"""Tell the browser what a run does while it does it."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from comfy.patcher_extension import WrappersMP, add_wrapper_with_key
from torch import Tensor

from .channel import Channel
from .panel import as_panel, data_url, saw_of
from .record import Recorder
from .report import RunReport
from .thumbnail import as_jpeg
from .watch.look import linear_preview, middle_frame, picture_part
from .watch.run import Watch

log = logging.getLogger(__name__)

KEY = "avert_live"
# Seconds between two messages, and between two previews: a reader sees no difference, and fast steps are not held up.
PAUSE, PREVIEW_PAUSE = 0.2, 1.0


class Live:
    """Tell of one run. Born with the run, and gone with it.

    channel: who listens; None: nobody, and nothing is made. Numbers are read back from the device at most once in `PAUSE` seconds, between two steps,
    where samplers wait for it too.
    """

    def __init__(self, guider: Any, recorder: Recorder, channel: Channel | None) -> None:
        self._guider = guider
        self._recorder = recorder
        self._channel = channel
        self._run = uuid.uuid4().hex
        self._watches: tuple[Watch, ...] = ()
        self._with_picture = recorder.with_map
        self._denoised: Tensor | None = None
        self._since = 0
        self._heard = 0
        self._sent = self._previewed = -PREVIEW_PAUSE

    def __enter__(self) -> Live:
        """Listen to the solver's steps. Entered before all others, so that they have done their part of a step when this hears of it."""
        add_wrapper_with_key(WrappersMP.SAMPLER_SAMPLE, KEY, self.sampler_sample, self._guider.model_options, is_model_options=True)
        return self

    def __exit__(self, *error: object) -> None:
        self._guider.model_options["transformer_options"]["wrappers"].get(WrappersMP.SAMPLER_SAMPLE, {}).pop(KEY, None)

    def watch(self, watches: Iterable[Watch]) -> None:
        """Tell of these vision-language models too."""
        self._watches = tuple(watches)

    def sampler_sample(self, executor: Any, guider: Any, sigmas: Tensor, extra_args: Any, callback: Any, *args: Any, **kwargs: Any) -> Any:
        self._recorder.begin(len(sigmas) - 1)

        def heard(step: int, denoised: Tensor, *rest: Any) -> Any:
            result = None if callback is None else callback(step, denoised, *rest)
            self._denoised = denoised
            if self._channel is not None and time.perf_counter() - self._sent >= PAUSE:
                self._guarded(self._tell, step)
            return result

        return executor(guider, sigmas, extra_args, heard, *args, **kwargs)

    def end(self, report: RunReport) -> None:
        """Tell the whole run, with the last preview, which the report keeps."""
        self._guarded(self._end, report)
        self._denoised, self._watches = None, ()

    def _guarded(self, tell: Any, *args: Any) -> None:
        """Never let a picture be lost for want of a panel."""
        try:
            tell(*args)
        except Exception:
            log.exception("Avert: the panel cannot show this run; the picture is not affected.")
            self._channel = None

    def _tell(self, step: int) -> None:
        assert self._channel is not None
        part = as_panel(self._recorder.so_far(self._since))
        for name in ("finished", "notes"):
            del part[name]
        part["saw"] = self._newly_seen()
        now = time.perf_counter()
        if now - self._previewed >= PREVIEW_PAUSE:
            self._previewed = now
            part["picture"] = data_url(self._preview())
        self._channel.send(self._run, part)
        # The step may have further evaluations: it is told again.
        self._since, self._sent = step, time.perf_counter()

    def _end(self, report: RunReport) -> None:
        report.picture = self._preview()
        if self._channel is not None and self._channel.open:
            self._channel.send(self._run, as_panel(report))

    def _newly_seen(self) -> list[dict[str, Any]]:
        """List what vision-language models have seen since the last time."""
        told = [(entry, watch) for watch in self._watches for entry in watch.transcript.entries]
        new, self._heard = told[self._heard :] if len(self._watches) == 1 else told, len(told)
        return [one for entry, watch in new for one in saw_of([asdict(entry)], watch.shown)]

    def _preview(self) -> bytes:
        """Draw the newest prediction's first picture as the host's fastest preview does; nothing for latents that are no pictures."""
        if not self._with_picture or self._denoised is None:
            return b""
        model = self._guider.model_patcher.model
        try:
            latent = picture_part(self._denoised[:1], model)
            previewer = linear_preview(model.latent_format) if latent.ndim in (4, 5) else None
            return b"" if previewer is None else as_jpeg(previewer.decode_latent_to_preview(middle_frame(latent)))
        except Exception:
            log.exception("Avert: the panel cannot show this model's picture; the run is not affected.")
            self._with_picture = False
            return b""
