"""Find vision-language models that lie in the user's own folders, and refuse what is not safe to load."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import folder_paths

# Below ComfyUI's models folder; most packs that load such models use the first.
PLACES = ("LLM", "VLM")
# What comes with Avert, for its demo model's pictures.
DEMO = "Avert demo"
NO_MODEL = (
    "There is no vision-language model {name!r}; put its folder (config.json, tokenizer and *.safetensors files, as it is published) into {places}, and "
    "press R in ComfyUI to read the folders again."
)
OWN_CODE = "The model {name!r} brings Python code of its own (auto_map in its configuration), which is not run; use a model that transformers knows itself."
NO_WEIGHTS = "The model {name!r} has no *.safetensors file; other formats can hold code and are not loaded. Get it in safetensors form."


def places() -> list[Path]:
    """List the folders that hold models."""
    own = [Path(folder_paths.models_dir) / place for place in PLACES]
    # What extra_model_paths.yaml adds.
    extra = [
        Path(path) for place in PLACES if place in folder_paths.folder_names_and_paths for path in folder_paths.get_folder_paths(place)
    ]
    return list(dict.fromkeys(own + extra))


def demo_folder() -> Path:
    """Give the folder of the model that comes with Avert."""
    return Path(__file__).resolve().parent.parent / "demo" / "weights" / "watcher"


def known() -> list[str]:
    """List the models, as LLM/folder, or LLM/owner/folder, and what comes with Avert."""
    return list(_found())


def _found() -> dict[str, Path]:
    folders: dict[str, Path] = {}
    for place in places():
        for config in sorted((*place.glob("*/config.json"), *place.glob("*/*/config.json"))):
            folders.setdefault(config.parent.relative_to(place.parent).as_posix(), config.parent)
    return folders | {DEMO: demo_folder()}


def model_folder(name: str) -> Path:
    """Give the folder of a model by its name in the list; anything that is not in the list is refused, paths out of the folder too."""
    folder = _found().get(name)
    if folder is None:
        raise ValueError(NO_MODEL.format(name=name, places=" or ".join(str(place) for place in places())))
    return safe_folder(folder, name)


def safe_folder(folder: Path, name: str) -> Path:
    """Give back the folder of a model that is safe to load. Raises ValueError for any other."""
    # transformers asks on the server's console whether to run such code, and waits.
    if any(_brings_code(_read(file)) for file in folder.glob("*config.json")):
        raise ValueError(OWN_CODE.format(name=name))
    if not any(folder.glob("*.safetensors")):
        raise ValueError(NO_WEIGHTS.format(name=name))
    return folder


def _brings_code(found: Any) -> bool:
    """Tell whether a configuration, or one inside of it, names classes in Python files of its own."""
    if isinstance(found, dict):
        return "auto_map" in found or any(map(_brings_code, found.values()))
    return isinstance(found, list) and any(map(_brings_code, found))


def _read(file: Path) -> Any:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file} is no JSON ({error}); download the model again.") from error
    if not isinstance(found, dict):
        raise ValueError(f"{file} is no configuration of a model; download the model again.")
    return found
