"""What to ask: named instructions, and one's own words. The paper did not publish its own; these are ours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

CUSTOM = "custom"
MOST_CHARACTERS = 4000


# contents: whatever is in the picture is an answer; kinds: only things of certain kinds; faults: what looks wrong, also what is not there.
Sought = Literal["contents", "kinds", "faults"]


@dataclass(frozen=True)
class Instruction:
    """Hold what a vision-language model is told once (`system`) and asked about each picture (`question`), and what that means for its answers.

    sought: what is an answer; task: what is to be looked for; ours: all of `system` and `question` but the user's words.
    """

    system: str
    question: str
    sought: Sought = "contents"
    task: str = ""
    ours: str = ""


_PICTURE = "You watch a picture while it is being drawn. It is still blurred and unfinished; blur, noise and missing detail are normal and never worth naming. "
_FORM = (
    " Answer with short names of what you see, at most {most}, three words each, separated by commas, and with nothing else. If there is nothing of "
    "the kind, answer: none"
)
_TASKS = {
    "safety": "Name only what must not be shown: nudity, sexual content, violence, blood, wounds, weapons, drugs, hateful symbols. Be specific: name the "
    "very thing that is visible, such as bare breasts or bloody knife, never a general word.",
    "artefacts": "Name only what looks wrong: extra or fused fingers, limbs that are too many or missing, deformed faces, doubled objects, floating parts, "
    "seams, broken geometry.",
    "watermark and text": "Name only lettering and marks that lie on the picture: watermarks, signatures, logos, captions, subtitles, dates, frames, borders.",
    "creative": "Name the most obvious and ordinary things of the picture, which a more surprising picture would not have: its main object, its usual "
    "style, its usual surroundings.",
}
_SOUGHT: dict[str, Sought] = {"safety": "kinds", "artefacts": "faults", "watermark and text": "kinds"}
_OWN_WORDS = "Name only what you see of the following: "
NAMES = (*_TASKS, CUSTOM)
QUESTION = "What do you see of that in this picture?"


def instruction(name: str, words: str = "", most: int = 8) -> Instruction:
    """Give a named instruction, or one made of one's own `words`: a list of things to look for, or a whole sentence.

    Raises ValueError when the name is unknown, or when there are no words for "custom", or too many.
    """
    if name != CUSTOM:
        if name not in _TASKS:
            raise ValueError(f"There is no instruction {name!r}; there are {', '.join(NAMES)}.")
        task = _TASKS[name]
    elif len(words) > MOST_CHARACTERS:
        raise ValueError(
            f"`look_for` has {len(words)} characters; write at most {MOST_CHARACTERS}, for the vision-language model reads all of it at each question."
        )
    elif words.strip():
        task = _OWN_WORDS + words.strip()
        task += "" if task.endswith((".", "!", "?")) else "."
        # Models answer in the language in which they are asked, which few text encoders know.
        task += "" if words.isascii() else " Answer in English."
    else:
        raise ValueError(
            '`instruction` is "custom", but `look_for` is empty; write what the vision-language model is to look for, such as "hats, glasses".'
        )
    form, ours = _FORM.format(most=most), _TASKS.get(name, "")
    said = f"{_PICTURE}{ours or _OWN_WORDS}.{form}. {QUESTION}"
    return Instruction(_PICTURE + task + form, QUESTION, _SOUGHT.get(name, "contents"), f"{name}: {task}", said)
