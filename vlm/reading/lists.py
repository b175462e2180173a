"""Read lines: bullets, numbers, checklists, headings, and the sentences of plain text."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .echoes import echoes
from .heard import Heard
from .names import plain, without_spells
from .openings import without_adverbial
from .verdicts import denies, hear_item, is_aside, marked, settle
from .words import WIDE, says_nothing

MOST_LINES = 400
_BULLET = re.compile(
    r"^\s*(?:(?:[-*+>\u2013\u2014\u25aa\u25e6\u25cb\u25a0\u25a1]|[A-Za-z][.)]|\d{1,2}\ufe0f?\u20e3)\s+|[\u2022\u00b7\u30fb\u25cf]\s*"
    r"|\d{1,2}(?:[.)](?!\d)|\u3001)\s*|\(\d{1,2}\)\s*)"
)  # fmt: skip
_CHECK = re.compile(r"^\s*\[(?P<mark>[ xX]?)\]\s+")
_INLINE = re.compile(r"\s+\d{1,2}[.)]\s+")
_HEADING = re.compile(r"^\s*#{1,6}\s+")
_SENTENCE_END = re.compile(
    rf"(?<=[.!?;])(?<!e\.g\.)(?<!i\.e\.)(?<!etc\.)(?<!\bSt\.)(?<!\b[A-Z]\.)\s+|(?<=[)\]])\s+[-\u2013\u2014]\s+|(?<=\u3002)\s*|(?<=[!?])(?=[{WIDE}])"
)
_ORDER = re.compile(r"^\W*(?:please )?(?:ignore|disregard|forget)\b.*\b(?:previous|prior|above|instructions?)\b", re.IGNORECASE)
_ROLE = re.compile(r"^\s*(?:assistant|model|response|output|answer)\s*(?::|\n)\s*", re.IGNORECASE)
_PAIR = (
    (r"n\.\s?a\.?(?!\w)", "n/a"),
    (r"\bnot safe for work\b", "NSFW"),
    (r"\bsafe for work\b", "SFW"),
    (r"\b(?:this|that|these) is no (?=\w)", "no "),
    # "Hats? No." is an item; other questions are ours.
    (r"(?:(?m:^)|(?<=[.!?,]))\s*((?!what|which|who|where|how)[^.!?\n]{1,80})\?\s+(?=(?:yes|no|none)\b)", r" \1: "),
)
_OPPOSED = re.compile(r"^\W*(?:but|however|though|although|nevertheless)\b", re.IGNORECASE)


def read_lines(said: str, heard: Heard) -> None:
    """Hear a text line by line. Where there are bullets they are the list, and the rest is talk about it."""
    text = _ROLE.sub("", without_spells(said), count=1)
    for pattern, word in _PAIR:
        text = re.sub(pattern, word, text, flags=re.IGNORECASE)
    lines = list(_lines(marked(text)))[:MOST_LINES]
    talk = heard.apart()
    listed = any(bullet for bullet, _, _ in lines)
    mode = ""
    for bullet, check, line in lines:
        heading = not bullet and (line.rstrip(" *_").endswith(":") or bool(_HEADING.match(line)))
        if heading:
            mode = "aside" if is_aside(line) else "absent" if denies(line) else ""
            talk.nothing = talk.nothing or says_nothing(plain(line))
        elif mode == "absent" and (bullet or not listed):
            heard.deny(line)
        elif mode == "aside":
            continue
        elif check is not None:
            settle(line, "there" if check else "absent", heard)
        elif bullet:
            # Bullets are not about each other.
            inner = heard.apart()
            hear_sentences(line, inner)
            heard.add(inner)
        else:
            hear_sentences(line, talk if listed else heard)
            if listed and not _OPPOSED.match(line):
                talk.named, talk.described = [], []
    checks = [check for _, check, _ in lines if check is not None]
    if checks and not any(checks):
        # Empty boxes are also used as bullets.
        heard.doubted = True
    if talk.nothing and heard.named:
        heard.doubted = True
    talk.unclear = talk.doubted = False
    heard.add(talk)


def _lines(text: str) -> Iterator[tuple[bool, bool | None, str]]:
    """Give each line: whether it has a bullet, whether its box is checked (None: it has none), and the rest."""
    for line in text.splitlines():
        bullet = _BULLET.match(line)
        rest = line[bullet.end() :] if bullet else line
        if bullet and (bullet[0].strip()[:1].isdigit() or bullet[0].strip()[:1] == "("):
            rest = _INLINE.sub("\n", rest)
        elif bullet and bullet[0].strip() in "-*":
            parts = re.split(rf"\s{re.escape(bullet[0].strip())}\s", rest)
            rest = "\n".join(parts) if len(parts) > (bullet[0].strip() == "-") + 1 else rest
        for one in rest.split("\n"):
            check = _CHECK.match(one)
            one = one[check.end() :] if check else one
            if one.strip(" *_-"):
                yield bool(bullet) or check is not None, None if check is None else bool(check["mark"].strip()), one.strip()


def hear_sentences(line: str, heard: Heard) -> None:
    """Hear the sentences of a line, up to a comment."""
    for sentence in [without_adverbial(one.strip()) for one in _SENTENCE_END.split(line) if one and one.strip()]:
        bare = sentence.strip(" *_(\"'")
        if echoes(sentence, heard.asked):
            heard.unclear = True
            continue
        if _ORDER.match(bare):
            heard.doubted = True
            return
        if is_aside(bare.split(":")[0]) and ":" in bare:
            return
        if not sentence.endswith("?"):
            inner = heard.apart()
            hear_item(sentence, inner)
            heard.follow(inner, bool(_OPPOSED.match(sentence)))
