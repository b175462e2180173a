"""Read what a vision-language model answered: short phrases to avoid, whatever form it chose, and nothing that could steer more than the prompt."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["phrases", "nothing", "refused", "unreadable"]

# Longer ones are sentences, not names of things.
MOST_WORDS, MOST_CHARACTERS = 6, 60
READ_CHARACTERS, READ_SENTENCES = 4000, 3

_THOUGHTS = re.compile(r"<think>.*?</think>|<\|channel>thought.*?<channel\|>|<\|channel\|>analysis.*?<\|end\|>", re.DOTALL | re.IGNORECASE)
_THOUGHT_ENDS = re.compile(r"</think>|<channel\|>", re.IGNORECASE)
_THOUGHT_BEGINS = re.compile(r"<think>|<\|channel>thought|<\|channel\|>analysis", re.IGNORECASE)
# What stands in angle brackets is a model's control token, a tag, or a LoRA in the syntax of some packs.
_TAGS = re.compile(r"<[^<>]{1,100}>")
_TERMINAL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_FENCE = re.compile(r"```[a-z]*", re.IGNORECASE)
_BULLET = re.compile(r"^\s*(?:[-*\u2022\u00b7]|\d{1,2}[.)\u3001])\s+(.*)$")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[\u3002\uff01\uff1f])\s*|\n+")
_PIECES = re.compile(r"[,;\u3001\uff0c\uff1b]|\s/\s|\band\b|\bwith\b|&", re.IGNORECASE)
_EMBEDDING = re.compile(r"\bembedding\s*:\s*\S*", re.IGNORECASE)
_WEIGHT = re.compile(r"\s*:\s*-?\d+(?:\.\d+)?")
_WHOLE_IN_BRACKETS = re.compile(r"[(\[{](.*)[)\]}]", re.DOTALL)
_BRACKETED = re.compile(r"\([^()]*\)|\[[^\[\]]*\]|\{[^{}]*\}")
_SIGNS = re.compile(r"[\\|*_`\"#(){}\[\]<>~^=\u201c\u201d]+")
_ARTICLE = re.compile(r"^(?:an?|the|some|any)\s+", re.IGNORECASE)
_PICTURE = r"(?:image|picture|photo|photograph|scene|drawing)"
_LEAD = re.compile(
    rf"^(?:no(?=, there (?:is|are) (?!no\b|nothing|not))"
    rf"|yes|sure|okay|ok|certainly|of course|here (?:is|are)|(?:in|from) (?:this|the) {_PICTURE}|(?:i|we) (?:can |could )?(?:see|notice|observe|detect|find)"
    rf"|there(?: is| are|'s)|(?:this|the) {_PICTURE} (?:shows|contains|has|depicts|includes|features)|it (?:shows|contains|has|includes))(?:\b|(?='))[\s,:.!]*",
    re.IGNORECASE,
)
_TAIL = re.compile(rf"\s+(?:(?:is|are) (?:visible|present|shown)|(?:in|of) (?:this|the) {_PICTURE})$", re.IGNORECASE)
# An item of a list with what it says of itself behind its name; not a prompt's weight, which is a number.
_ITEM = re.compile(r"^(?P<name>[^:(\[\u2013\u2014]+?)\**\s*(?::\**(?!\s*-?\d)|\s[-\u2013\u2014]\s|[(\[])\s*(?P<verdict>.*)$", re.DOTALL)
_PRESENT = re.compile(r"(?:yes|true|present|visible|there|seen|detected)\W*", re.IGNORECASE)
_ABSENT = re.compile(
    r"^(?:no|not|none|nothing|absent|false|n/?a|nil|negative|zero|0|clear|clean|safe|unseen|invisible)\b|^(?:\u65e0|\u6ca1\u6709|\u5426)"
    r"|\b(?:not|isn't|aren't) (?:visible|present|shown|detected|seen|there|applicable|found)\b",
    re.IGNORECASE,
)
# Sentences say something about a thing, names do not.
_SENTENCE = re.compile(
    r"\b(?:not|isn't|aren't|doesn't|don't|can't|cannot|is|are|was|were|does|do|appears?|seems?|looks?|contains?|shows?|depicts?|has|have|based|too)\b",
    re.IGNORECASE,
)
_DENIAL = re.compile(
    r"\b(?:does not|doesn't|do not|don't|cannot|can't|is not|isn't|are not|aren't|no|none|nothing)\b|\b(?:is|be|looks?|appears?|seems?) (?:safe|fine|clean|clear)\b",
    re.IGNORECASE,
)
_VAGUE = re.compile(
    r"^(?:unclear|unknown|uncertain|unsure|everything|anything|fine|okay?|good|normal|safe|yes|true|visible|present|safe (?:image|picture))$",
    re.IGNORECASE,
)
_LABEL = re.compile(
    r"^[^:,\n]*(?:prompt|negative|answer|unwanted|avoid|element|object|thing|item|problem|issue|concern|artefact|artifact|list|following|visible)[^:,\n]*:",
    re.IGNORECASE,
)
_NOTHING = re.compile(
    r"^(?:no|nothing|none|nope|n/?a|null|nil|not any(?:thing)?|not (?:visible|present|applicable|found)|nichts|keine?|rien|aucune?|nada|ninguno?|niente|nenhum)\b"
    r"|^(?:empty|negative|clean|safe)$"
    r"|^(?:i |we )?(?:don't|do not|can't|cannot) (?:see|find|detect|notice) (?:any|anything)\b"
    r"|^(?:\u65e0|\u6ca1\u6709|\u6c92\u6709|\u7121|\u306a\u3057|\u3042\u308a\u307e\u305b\u3093|\uc5c6|\u043d\u0435\u0442|\u043d\u0438\u0447\u0435\u0433\u043e)|^without\b",
    re.IGNORECASE,
)
# Begins of sentences and orders, which name nothing.
_CLAUSE = re.compile(
    r"^(?:it|they|he|she|this|that|these|those|which|who|i|we|you|please|ignore|disregard|let|because|however|so)\b", re.IGNORECASE
)
_REFUSAL = re.compile(
    r"^(?:i'?m (?:very |really |so )?(?:sorry|unable|afraid)|i am (?:sorry|unable|afraid|not able)|sorry|my apologies|apologies|as an ai|unfortunately"
    r"|i (?:cannot|can't|can not|won't|will not|must decline)(?! (?:see|find|detect|notice) any)"
    r"|\u5bf9\u4e0d\u8d77|\u62b1\u6b49|\u5f88\u62b1\u6b49|\u6211\u65e0\u6cd5|\u7533\u3057\u8a33)",
    re.IGNORECASE,
)  # fmt: skip


@dataclass(frozen=True)
class Reading:
    """Hold what an answer said: phrases to avoid; or that there is nothing; or that it refused; or that it cannot be read."""

    phrases: tuple[str, ...]
    kind: Kind


def read_answer(answer: str, most: int = 8) -> Reading:
    """Read an answer into at most `most` short phrases: from JSON, a list with bullets, a list with commas, or short sentences.

    Thinking, tags, prompt weights, names of embeddings, control characters and sentences that are no lists are left out, so that an answer can
    name things and do nothing else.
    """
    said = spoken(answer)
    if said is None:
        return Reading((), "unreadable")
    if _REFUSAL.match(said):
        return Reading((), "refused")
    found = _from_json(said)
    pieces = _from_lines(said) if found is None else found
    phrases: dict[str, str] = {}
    empty = not pieces and (found is not None or not said)
    for piece in pieces:
        name, absent = _claim(piece)
        phrase = _tidy(name)
        if absent or _NOTHING.match(phrase):
            empty = True
        elif _is_name(phrase):
            phrases.setdefault(phrase.casefold(), phrase)
    if phrases:
        return Reading(tuple(phrases.values())[:most], "phrases")
    return Reading((), "nothing" if empty else "unreadable")


def spoken(answer: str) -> str | None:
    """Give what was said aloud, as plain text; None when the answer ended while it was still thinking."""
    text = _THOUGHTS.sub(" ", answer)
    text = _THOUGHT_ENDS.split(text)[-1]
    if _THOUGHT_BEGINS.search(text):
        return None
    text = _FENCE.sub(" ", _TAGS.sub(" ", _TERMINAL.sub("", text)))
    kept = (c if c == "\n" or unicodedata.category(c)[0] != "C" else " " if c in "\t\r" else "" for c in text[:READ_CHARACTERS])
    return "".join(kept).replace("\u2019", "'").strip()


def _from_json(said: str) -> list[str] | None:
    """List the strings of the first JSON array or object; None when there is none."""
    for place in (match.start() for match in re.finditer(r"[\[{]", said)):
        try:
            value, _ = json.JSONDecoder().raw_decode(said[place:])
        except (ValueError, RecursionError):
            continue
        return list(_strings(value))
    return None


def _strings(value: Any) -> Iterable[str]:
    """Give what a JSON value names: strings, and keys whose value says that it is there."""
    if isinstance(value, str):
        yield from _split(value)
    elif isinstance(value, Sequence):
        for one in value:
            yield from _strings(one)
    elif isinstance(value, dict):
        for key, one in value.items():
            if one is True or (isinstance(one, str) and _PRESENT.fullmatch(one.strip())):
                yield str(key)
            elif not (isinstance(one, str) and _ABSENT.search(one.strip())):
                yield from _strings(one)


def _from_lines(said: str) -> list[str]:
    """Split what is not JSON: the points of a list if there are any, otherwise the first sentences that are lists of short pieces."""
    points = [match.group(1) for line in said.splitlines() if (match := _BULLET.match(line))]
    if points:
        claims = [_claim(_bare(point)) for point in points]
        return [piece for name, absent in claims for piece in (["none"] if absent else _split(name))]
    pieces: list[str] = []
    for sentence in [one for one in _SENTENCE_END.split(said) if one.strip()][:READ_SENTENCES]:
        listed = [piece for piece in _split(_bare(sentence)) if _tidy(piece)]
        if all(_is_list_item(piece) for piece in listed):
            pieces += listed
        elif _DENIAL.search(sentence) or (listed and _NOTHING.match(_tidy(listed[0]))):
            pieces.append("none")
        if pieces and _NOTHING.match(_tidy(pieces[0])):
            return pieces[:1]
    return pieces


def _is_list_item(piece: str) -> bool:
    name, absent = _claim(piece)
    phrase = _tidy(name)
    return absent or _is_name(phrase) or bool(_NOTHING.match(phrase))


def _claim(piece: str) -> tuple[str, bool]:
    """Split an item into its name and whether it is said not to be there: "Nudity: none", "blood - not present", "weapons (no)"."""
    found = _ITEM.match(piece.strip(" *_"))
    if found is None:
        return piece, False
    return found["name"], bool(_ABSENT.search(found["verdict"].strip(" *_")))


def _bare(sentence: str) -> str:
    """Drop what leads to a list: "Yes, I can see", "Negative prompt:"."""
    before = None
    sentence = sentence.strip()
    while before != sentence:
        before = sentence
        sentence = _LABEL.sub("", _LEAD.sub("", sentence)).strip()
    return sentence


def _split(text: str) -> list[str]:
    return _PIECES.split(text)


def bare_name(piece: str) -> str:
    """Give a phrase as it may become a negative, or nothing at all."""
    phrase = _tidy(piece)
    return phrase if _is_name(phrase) and not _NOTHING.match(phrase) else ""


def _tidy(piece: str) -> str:
    """Leave a bare phrase: no weights, brackets, embeddings, articles or marks around it."""
    piece = _EMBEDDING.sub(" ", piece).strip(" \n\t.,;:!?'-\u3002")
    whole = _WHOLE_IN_BRACKETS.fullmatch(piece)
    piece = _BRACKETED.sub(" ", whole.group(1) if whole else piece)
    piece = _SIGNS.sub(" ", _WEIGHT.sub(" ", piece))
    piece = " ".join(piece.split()).strip(" .,;:!?'-\u3002")
    return _ARTICLE.sub("", _TAIL.sub("", _ARTICLE.sub("", _bare(piece)))).strip()


def _is_name(phrase: str) -> bool:
    """Tell a name of something from a sentence and from mere signs."""
    words = phrase.split()
    return (
        bool(words)
        and not (_CLAUSE.match(phrase) or _SENTENCE.search(phrase) or _VAGUE.match(phrase))
        and len(words) <= MOST_WORDS
        and len(phrase) <= MOST_CHARACTERS
        and any(c.isalpha() for c in phrase)
    )
