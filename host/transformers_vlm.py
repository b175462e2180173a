"""A vision-language model in a local folder, run by transformers and held in memory by the host.

Loaded without code of its own and without any download; wrapped in a ModelPatcher, so that the host moves and unloads it as it does its own models.
"""

from __future__ import annotations

from pathlib import Path
from threading import Lock
from typing import Any

import comfy.model_management
import comfy.model_patcher
import torch
from PIL import Image, ImageOps
from torch import Tensor

from ..vlm.backend import Query
from .vlm_gate import Gate, none_tokens
from .vlm_head import Held
from .vlm_prefix import Reader

MISSING = "This needs transformers 4.56 or newer with its vision-language models, which this Python does not have: {error}. Update it as ComfyUI's requirements say."
UNKNOWN = "transformers could not load the model in {folder}: {error}"
THOUGHT = "<think>"
DEVICES = ("default", "cpu")


def load_vlm(folder: Path, device: str) -> TransformersBackend:
    """Load a model folder. Raises ValueError in one sentence when it cannot be."""
    try:
        from transformers import AutoModelForImageTextToText, AutoProcessor
    except ImportError as error:
        raise ValueError(MISSING.format(error=error)) from error
    load_device = torch.device("cpu") if device == "cpu" else comfy.model_management.text_encoder_device()
    options: dict[str, Any] = {"local_files_only": True}
    try:
        processor = AutoProcessor.from_pretrained(folder, **options)
        model = AutoModelForImageTextToText.from_pretrained(
            folder, use_safetensors=True, dtype=_dtype(load_device), attn_implementation="sdpa", **options
        )
    except Exception as error:  # what is in a folder may be anything, and half of it
        raise ValueError(UNKNOWN.format(folder=folder, error=" ".join(str(error).split())[:300])) from error
    offload_device = comfy.model_management.text_encoder_offload_device()
    patcher = comfy.model_patcher.ModelPatcher(Held(model), load_device, offload_device)
    return TransformersBackend(folder.name, patcher, processor)


def _dtype(device: torch.device) -> torch.dtype:
    """Choose as the host would; its choice for text encoders is half precision on CPUs too, where it only casts it away layer by layer."""
    if comfy.model_management.should_use_bf16(device):
        return torch.bfloat16
    return torch.float16 if comfy.model_management.should_use_fp16(device) else torch.float32


class TransformersBackend:
    """Ask a model of transformers, the whole batch at once. `elsewhere`: it works on another device than the one that samples."""

    takes_examples = True

    def __init__(self, name: str, patcher: Any, processor: Any) -> None:
        self.name = name
        self.patcher = patcher
        self.elsewhere = patcher.load_device != comfy.model_management.get_torch_device()
        self._processor = processor
        self._reader = Reader(patcher.model.inner)
        # A run may end, and the next one begin, while an answer that nobody waits for is still being made.
        self._lock = Lock()
        tokenizer = getattr(processor, "tokenizer", processor)
        self._none = none_tokens(lambda text: tokenizer(text, add_special_tokens=False)["input_ids"])
        # Answers begin where prompts end, so that what makes prompts of a batch equally long stands in front.
        tokenizer.padding_side = "left"
        template = str(getattr(processor, "chat_template", None) or getattr(tokenizer, "chat_template", None) or "")
        # Only where the template knows it: others warn of it at every question.
        self._thoughtless = {"enable_thinking": False} if "enable_thinking" in template else {}

    @property
    def has_gate(self) -> bool:
        return bool(self._none)

    def ask(self, query: Query) -> list[str]:
        """Answer with the likeliest words, or with words drawn from the query's seed."""
        with self._lock:
            if query.stopped():
                return [""] * len(query.pictures)
            if not self.elsewhere:
                # Layers that are not the host's own must be there as a whole.
                comfy.model_management.load_models_gpu([self.patcher], force_full_load=True)
            try:
                return self._answers(query)
            except _Late:
                return [""] * len(query.pictures)
            finally:
                if query.stopped():
                    # The run may have ended meanwhile, and could not drop it.
                    self._reader.forget()

    def forget(self) -> None:
        """Drop what was kept for the questions of a run, unless an answer is being made with it; then it is dropped when that ends."""
        if self._lock.acquire(blocking=False):
            try:
                self._reader.forget()
            finally:
                self._lock.release()

    def _answers(self, query: Query) -> list[str]:
        stop = _Stop(query, in_turn=not self.elsewhere)
        conversation = _conversation(query)
        text, beginning = self._written(conversation, True), self._written(conversation[:-1], False)
        shown = [_image(example.picture) for example in query.examples]
        new = [_image(picture) for picture in query.pictures]

        def read(image: Any) -> tuple[Any, Any]:
            return self._read([text], [[*shown, image]]), self._read([text.removeprefix(beginning)], [[image]])

        if text.startswith(beginning):
            self._reader.begin(
                (query.instruction, query.examples),
                lambda: self._read([beginning], [shown] if shown else None),
                lambda: [read(new[0]), read(ImageOps.invert(new[0]))],
                stop.check,
            )
        whole = self._read([text] * len(new), [[*shown, image] for image in new])
        pictures = self._read([text.removeprefix(beginning)] * len(new), [[image] for image in new])
        told = self.patcher.model.inner.generate(
            **self._reader.inputs(whole, pictures),
            max_new_tokens=query.max_tokens,
            do_sample=False,
            logits_processor=self._choosing(query),
            stopping_criteria=[stop],
        )
        answers: list[str] = self._processor.batch_decode(told[:, whole["input_ids"].shape[1] :], skip_special_tokens=True)
        # Templates of models that always think begin the thought themselves, so that an answer that is cut off within it does not look like one.
        return [THOUGHT + answer for answer in answers] if text.rstrip().endswith(THOUGHT) else answers

    def _choosing(self, query: Query) -> list[Any]:
        """Say how words are chosen, if not the likeliest: the gate sees what the model thinks before anything is drawn."""
        tokenizer = getattr(self._processor, "tokenizer", self._processor)
        ends = self.patcher.model.inner.generation_config.eos_token_id
        gate = [Gate(self._none, tokenizer.eos_token_id if ends is None else ends, query.gate)] if query.gate > 0 else []
        return [*gate, *([_Drawn(query)] if query.temperature > 0 else [])]

    def _written(self, conversation: list[dict[str, Any]], ask: bool) -> str:
        written: str = self._processor.apply_chat_template(conversation, tokenize=False, add_generation_prompt=ask, **self._thoughtless)
        return written

    def _read(self, texts: list[str], images: list[list[Any]] | None) -> Any:
        # The template has written the special tokens already.
        inputs = self._processor(text=texts, images=images, return_tensors="pt", padding=True, add_special_tokens=False)
        return inputs.to(self.patcher.load_device, dtype=self.patcher.model.inner.dtype)


class _Late(Exception):  # noqa: N818 - it is no error
    """Say that nobody waits for the answer any more."""


class _Drawn:
    """Draw words with a generator of the question's own: the likeliest after adding Gumbel noise is a draw from softmax(scores / temperature).

    transformers would draw from PyTorch's own generators, which belong to the sampler too. All pictures of a batch have the same noise, that of a picture
    that is asked about alone.
    """

    def __init__(self, query: Query) -> None:
        self._temperature = query.temperature
        self._generator = torch.Generator().manual_seed(query.seed)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        uniform = torch.rand((1, scores.shape[-1]), generator=self._generator).clamp(1e-20, 1 - 1e-7).to(scores.device)
        return scores.float() / self._temperature - torch.log(-torch.log(uniform))


class _Stop:
    """End an answer that nobody waits for, or when the user cancels (a StoppingCriteria: called after each token).

    The host's cancel is raised once, by whoever polls first: in turn with the sampler it is raised here; from a thread of its own it is only looked at.
    """

    def __init__(self, query: Query, in_turn: bool) -> None:
        self._query = query
        self._in_turn = in_turn

    def __call__(self, input_ids: Tensor, scores: Any, **options: Any) -> Tensor:
        return torch.full((input_ids.shape[0],), self._over(), device=input_ids.device, dtype=torch.bool)

    def check(self) -> None:
        """Raise where there is no token to end at."""
        if self._over():
            raise _Late

    def _over(self) -> bool:
        if self._in_turn:
            comfy.model_management.throw_exception_if_processing_interrupted()
        return bool(self._query.stopped() or comfy.model_management.processing_interrupted())


def _conversation(query: Query) -> list[dict[str, Any]]:
    """Write the instruction, the examples with their answers, and the question about one picture, as chat templates take them."""
    told = query.instruction
    messages: list[dict[str, Any]] = [_said("system", told.system)]
    for example in query.examples:
        messages += [_asked(told.question), _said("assistant", example.answer)]
    return [*messages, _asked(told.question)]


def _said(role: str, text: str) -> dict[str, Any]:
    return {"role": role, "content": [{"type": "text", "text": text}]}


def _asked(question: str) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": question}]}


def _image(picture: Tensor) -> Any:
    return Image.fromarray((picture.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy())
