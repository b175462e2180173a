"""Find out what of an answer was said aloud, and leave out what was thought, control tokens and characters that do not show."""

from __future__ import annotations

import re
import unicodedata

# Answers are short; thoughts may be long.
HEARD_CHARACTERS, READ_CHARACTERS = 1_000_000, 4000

_NAMES = r"(?:think|thinking|thought|thoughts|reason|reasoning|analysis|reflection|scratchpad|seed:think|inner_monologue)"
_MARKS = re.compile(
    rf"(?P<ends></{_NAMES}>|\[/think\]|\u25c1/think\u25b7|<channel\|>|<\|end_(?:of_)?th(?:ought|inking)\|>|<unused95>"
    r"|<\|channel\|>\s*final\s*(?:<\|message\|>)?)"
    rf"|(?P<begins><{_NAMES}>|\[think\]|\u25c1think\u25b7|<\|channel>\s*thought|<\|channel\|>\s*(?:analysis|commentary)|<\|(?:begin_of_thought|start_thinking)\|>"
    r"|<unused94>)"
    r"|(?P<turn><\|im_end\|>|<\|end\|>|<\|eot_id\|>|<end_of_turn>|<turn\|>|<\|endoftext\|>|<\|return\|>|</s>)",
    re.IGNORECASE,
)
# What stripped control tokens leave behind, and thoughts that have no tags.
_BARE_CHANNEL = re.compile(r"\s*analysis(?=[A-Z])|\s*thought\s*\n")
_FINAL = re.compile(r"assistant\s*final(?=\W|[A-Z]|[a-z])")
_THOUGHT = re.compile(
    r"\s*[*_#\s]*(?:(?:thoughts?|thinking)(?: process)?|reasoning|rationale|analysis|chain of thought|step \d)[*_]*:", re.IGNORECASE
)
_ANSWER = re.compile(r"^[*_#\s]*(?:final |my )?answer[*_]*(?: is)?\s*:", re.IGNORECASE | re.MULTILINE)
_PONDERING = re.compile(
    r"\blet'?s (?:see|look|think|check|examine|analy[sz]e)\b|\blet me (?:look|see|think|check|examine|analy[sz]e|start)\b|\bthe user (?:wants|said|asks|asked|is)\b"
    r"|(?:^|[.!?]\s+)(?:wait|hmm+)\b|^\W*got it\b|\u7528\u6237"
    r"|\b(?:i|we) (?:need to|have to|should|must|will) (?:check|look|name|list|find|identify|answer|figure|say|output|analy[sz]e)\b"
    r"|\b(?:the|my) task(?:\s*:| is\b| was\b)|\bthe instructions? says?\b|\bcheck (?:for|whether|if)\b",
    re.IGNORECASE,
)
_BOXED = re.compile(r"\\boxed\s*\{([^{}]*)\}")
# What stands in angle brackets is a model's control token, a tag, or a LoRA in the syntax of some packs. Some tags part what they stand between.
_PARTING = re.compile(r"</?(?:li|ul|ol|br|p|div|tr|td|th|item|items|object|name|element|label|h\d)\s*/?>", re.IGNORECASE)
_TAGS = re.compile(r"<[^<>]{1,100}>")
_TERMINAL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_FENCE = re.compile(r"```[a-z]*", re.IGNORECASE)


def spoken(answer: str) -> str | None:
    """Give what was said aloud, as plain text; None when the answer ended while it was still thinking, or after it."""
    aloud, thought = _aloud(answer[:HEARD_CHARACTERS])
    if aloud is None:
        return None
    text = unicodedata.normalize("NFKC", _TERMINAL.sub("", aloud[: 2 * READ_CHARACTERS]))
    text = _FENCE.sub(" ", _TAGS.sub(" ", _PARTING.sub("\n", text)))
    kept = (c if c == "\n" or unicodedata.category(c)[0] != "C" else " " if c in "\t\r" else "" for c in text)
    said = "".join(kept).replace("\u2019", "'").replace("\u2018", "'").strip()[:READ_CHARACTERS]
    return None if thought and not said else said


def _aloud(text: str) -> tuple[str | None, bool]:
    """Give what stands outside of thoughts, up to the end of the turn (None: a thought did not end), and whether there was a thought."""
    kept: list[str] = []
    at, thinking, thought, something = 0, False, False, False
    for mark in _MARKS.finditer(text):
        if not thinking:
            kept.append(text[at : mark.start()])
            something = something or bool(re.search(r"\w", _TAGS.sub("", kept[-1])))
        at = mark.end()
        if mark["begins"]:
            thinking = thought = True
        elif mark["ends"]:
            # An end without a beginning: all before it was thought, the beginning stood in the question.
            kept, something = (kept, something) if thinking else ([], False)
            thinking, thought = False, True
        elif thinking and mark[0].lower() == "<|end|>":
            thinking = False
        elif not thinking and something:
            return "".join(kept), thought
    return (None if thinking else "".join([*kept, text[at:]])), thought


def unadorned(said: str) -> str | None:
    """Cut off a thought that has no tags, and leave the answer; None when there is a thought and no answer."""
    finals = list(_FINAL.finditer(said))
    if finals:
        return said[finals[-1].end() :].strip()
    if _BARE_CHANNEL.match(said):
        return None
    answers = list(_ANSWER.finditer(said))
    if answers:
        return said[answers[-1].end() :].strip(" *_\n")
    if _THOUGHT.match(said) or _PONDERING.search(said):
        return None
    boxed = _BOXED.findall(said)
    return boxed[-1] if boxed else said
