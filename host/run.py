"""The life of a sampling run: born when sampling starts, wired into that run's own options, and gone when it ends."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from comfy.patcher_extension import WrappersMP, add_wrapper_with_key
from torch import Tensor

from .compiled import marked_for_compile
from .conditions import POSITIVE_LISTS, check_fits, host_condition, positives, resolve, separate_ids, tensors_of
from .encode import check_known, encode_line
from .families import Family, Inputs
from .forward import Forward
from .late import LateEncoder
from .negative import Negative, Prompt, from_conditioning
from .operator import going_on, override_for
from .plan import Places, lay_out
from .record import CACHED, NOTHING_SEEN, Recorder
from .replaced import guard_text, number_blocks, wrap_replacements
from .task import ReadyPrompt, ReadyTask, Spoken, Task
from .watch.run import Watch
from .watch.source import Watched

KEY = "avert"
INNERMOST = f"{KEY}_innermost"


class Run:
    """Guide one sampling run."""

    def __init__(self, guider: Any, family: Family, tasks: list[ReadyTask], recorder: Recorder) -> None:
        self._guider = guider
        self._family = family
        self._tasks = tasks
        self._recorder = recorder
        self._reached = False
        # The text of each positive conditioning, by its id.
        self._guided: dict[Any, Tensor] = {}
        self._spoken: dict[Spoken, list[ReadyPrompt]] = {}
        self._late: LateEncoder | None = None

    @property
    def _prompts(self) -> dict[str, ReadyPrompt]:
        return {f"{KEY}_{i}": p for i, p in enumerate(p for task in self._tasks for p in task.prompts)}

    def __enter__(self) -> Run:
        """Add the negatives to the run's conditionings, and our wrappers to the run's options: both are the run's own copies."""
        shown = positives(self._guider)
        for prompt in [ready.prompt for ready in self._prompts.values()]:
            check_fits(prompt, shown)
        for watch in {task.watch for task in self._tasks if task.watch is not None}:
            check_known(watch.clip)
            for embedding, options in watch.trial or ():
                check_fits(from_conditioning(embedding, options), shown)
            watch.listeners.append(partial(self._speak, watch))
        for name, ready in self._prompts.items():
            self._guider.conds[name] = [host_condition(ready.prompt)]
        options = self._guider.model_options
        add_wrapper_with_key(WrappersMP.SAMPLER_SAMPLE, KEY, self.sampler_sample, options, is_model_options=True)
        add_wrapper_with_key(WrappersMP.PREDICT_NOISE, INNERMOST, self.reach, options, is_model_options=True)
        add_wrapper_with_key(WrappersMP.APPLY_MODEL, KEY, self.apply_model, options, is_model_options=True)
        wrappers = options["transformer_options"]["wrappers"]
        # In front of the others: a cache (LazyCache) may answer in the model's place, and that evaluation counts too.
        wrappers[WrappersMP.PREDICT_NOISE] = {KEY: [self.predict_noise], **wrappers[WrappersMP.PREDICT_NOISE]}
        return self

    def __exit__(self, *error: object) -> None:
        for name in self._prompts:
            getattr(self._guider, "conds", {}).pop(name, None)
        for kind in (WrappersMP.SAMPLER_SAMPLE, WrappersMP.PREDICT_NOISE, WrappersMP.APPLY_MODEL):
            for key in (KEY, INNERMOST):
                self._guider.model_options["transformer_options"]["wrappers"].get(kind, {}).pop(key, None)

    def sampler_sample(self, executor: Any, guider: Any, sigmas: Tensor, extra_args: Any, callback: Any, *args: Any, **kwargs: Any) -> Any:
        """Read the conditionings as the model encoded them, and count the solver's steps."""
        separate_ids(guider)
        self._late = LateEncoder(guider, extra_args, args, kwargs)
        for name, ready in self._prompts.items():
            ready.tokens = self._negative_tokens(guider.conds[name][0], ready.prompt)
            del guider.conds[name]
        for cond in (c for name in POSITIVE_LISTS for c in guider.conds.get(name, [])):
            text = self._family.text_of(tensors_of(cond))
            if text is not None:
                self._guided[cond["uuid"]] = text
        return executor(guider, sigmas, extra_args, self._recorder.count_steps(callback), *args, **kwargs)

    def _speak(self, watch: Watch, text: str) -> Callable[[], None]:
        """Encode words that came during the run; what is returned lets the model take them in."""
        return partial(self._take_in, watch, text, Negative(tuple(encode_line(watch.clip, text))))

    def _take_in(self, watch: Watch, text: str, said: Negative) -> None:
        assert self._late is not None
        sampling = self._guider.inner_model.model_sampling.percent_to_sigma
        for words_only in {task.words_only for task in self._tasks if task.watch is watch}:
            self._spoken[watch, text, words_only] = [
                ReadyPrompt(
                    prompt, prompt.window().sigmas(sampling), self._negative_tokens(self._late([host_condition(prompt)])[0], prompt)
                )
                for prompt in (said.words() if words_only else said).prompts
            ]

    def _negative_tokens(self, condition: Mapping[str, Any], prompt: Prompt) -> Tensor:
        """Take a negative's tokens from its conditioning as the model encoded it."""
        tokens = self._family.negative_of(tensors_of(condition), prompt.length)
        if tokens is None:
            raise ValueError(
                f"This {self._family.name} model made no text of the negative; connect an Avert Negative Prompt to `negative`."
            )
        return tokens

    def predict_noise(self, executor: Any, x: Tensor, timestep: Tensor, *args: Any, **kwargs: Any) -> Any:
        """Count the sampler's evaluations; one may take several calls of the model, or none."""
        self._recorder.evaluate()
        self._reached = False
        out = executor(x, timestep, *args, **kwargs)
        if not self._reached:
            self._recorder.skip(float(timestep[0]), CACHED)
        return out

    def reach(self, executor: Any, *args: Any, **kwargs: Any) -> Any:
        """Note that no other node answered before the guider could."""
        self._reached = True
        return executor(*args, **kwargs)

    def apply_model(
        self,
        executor: Any,
        x: Tensor,
        t: Tensor,
        c_concat: Tensor | None = None,
        c_crossattn: Tensor | None = None,
        control: Any = None,
        transformer_options: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> Tensor:
        """Evaluate the model with the negatives in its text, or exactly as it is when nothing is to be guided here."""
        options = dict(transformer_options or {})
        ids = options.get("uuids", [])
        chunks = [i for i, uid in enumerate(ids) if uid in self._guided]
        sigma = float(t[0]) if chunks else 0.0
        due = self._due(sigma, options) if chunks and c_crossattn is not None else []
        if not due or c_crossattn is None:
            return executor(x, t, c_concat, c_crossattn, control, transformer_options or {}, **kwargs)
        places = self._places(x, c_crossattn, options, chunks)
        plan, text = lay_out(self._family, x, c_crossattn, kwargs, places, due, self._recorder.with_map)
        forward = Forward(plan, options.get("optimized_attention_override"))
        options["optimized_attention_override"] = override_for(forward)
        compiled = "torch.compile" in options.get("wrappers", {}).get(WrappersMP.APPLY_MODEL, {})
        options = number_blocks(forward, guard_text(forward, wrap_replacements(forward, options)), compiled)
        fed = self._family.feed(Inputs(text, kwargs, options), plan)
        with going_on(forward, fed.options), marked_for_compile(compiled), self._family.around(executor.class_obj.diffusion_model, plan):
            out = executor(x, t, c_concat, fed.text, control, fed.options, **fed.conditions)
        forward.check()
        self._recorder.commit(sigma, forward)
        return out

    def _due(self, sigma: float, options: Mapping[str, Any]) -> list[tuple[ReadyTask, list[ReadyPrompt]]]:
        """List what acts in an evaluation, or note why nothing does."""
        idle = self._family.idle(options)
        due = [] if idle else [(task, prompts) for task in self._tasks if (prompts := task.due(sigma, self._spoken))]
        if not due:
            watched = any(task.watch is not None and task.active.contains(sigma) for task in self._tasks)
            self._recorder.skip(sigma, idle or (NOTHING_SEEN if watched else "outside its window"))
        return due

    def _places(self, x: Tensor, text: Tensor, options: Mapping[str, Any], chunks: list[int]) -> Places:
        """Find out whose rows are where in the batch. `sigmas` has one entry per picture (comfy/samplers.py, _calc_cond_batch)."""
        ids = options["uuids"]
        lengths = [self._guided[ids[i]].shape[1] for i in chunks]
        if len(chunks) == len(ids) == 1:
            return Places(ids, chunks, lengths, x.shape[0])
        pictures = len(options["sigmas"])
        repeats, rest = divmod(x.shape[0], len(ids) * pictures)
        places = Places(ids, chunks, lengths, pictures, repeats)
        if rest or not repeats or (repeats > 1 and not self._knows(places, text)):
            raise RuntimeError(
                f"Avert cannot tell which of {x.shape[0]} pictures in this call belong to the positive prompt: another node evaluates the model "
                "in batches of its own. Remove that node or the Avert node."
            )
        return places

    def _knows(self, places: Places, text: Tensor) -> bool:
        """Check by the text itself that the rows are whose they seem to be, where a node has repeated them (tiles)."""
        for chunk, length in zip(places.guided, places.positives, strict=True):
            own = self._guided[places.ids[chunk]][:1].to(text)
            if not torch.equal(text[places.rows([chunk]), :length], own.expand(places.batch * places.repeats, -1, -1)):
                return False
        return True


def start_run(guider: Any, family: Family, tasks: tuple[Task, ...], recorder: Recorder, watches: Mapping[Any, Watch]) -> Run | None:
    """Make a run of the tasks that have something to do; None when none has, and the model is to run as it is."""
    if not positives(guider):
        raise ValueError(
            f"This guider ({type(guider).__name__}) has no positive prompt, and a negative acts on nothing else; use another guider."
        )
    sampling: Callable[[float], float] = guider.model_patcher.get_model_object("model_sampling").percent_to_sigma
    ready = []
    for task in tasks:
        if task.mechanism.neutral or task.window.start_percent == task.window.end_percent:
            recorder.describe(task, Negative(), "its strength or its window is zero")
            continue
        if isinstance(task.negative, Watched):
            recorder.describe(task, Negative(), "")
            ready.append(ReadyTask(task, task.window.sigmas(sampling), [], watches[task.negative]))
            continue
        negative = resolve(task.negative, guider)
        negative = negative.words() if getattr(task.mechanism, "words_only", False) else negative
        recorder.describe(task, negative, "" if negative.prompts else "the negative is empty")
        if negative.prompts:
            prompts = [ReadyPrompt(prompt, prompt.window().sigmas(sampling)) for prompt in negative.prompts]
            ready.append(ReadyTask(task, task.window.sigmas(sampling), prompts))
    return Run(guider, family, ready, recorder) if ready else None
