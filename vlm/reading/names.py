"""Tidy names: bare phrases that can name something and do nothing else."""

from __future__ import annotations

import re
import unicodedata

from .words import LABEL, NAMES, WIDE, says_nothing

# Longer ones are sentences, not names of things. Chinese and Japanese names have no spaces.
MOST_WORDS, MOST_CHARACTERS, MOST_WIDE = 6, 60, 12
LONGEST = 1000
PICTURE = r"(?:image|picture|photo|photograph|scene|drawing|painting|illustration|artwork|screenshot)"

_SPELL = re.compile(r"\b(?:embedding|lora|lyco|lycoris|hypernet|wildcard)\s*[:`\"*_#]*:\s*[^,;\n]*", re.IGNORECASE)
_WEIGHT = re.compile(r"\s*:\s*-?\d+(?:\.\d+)?")
_WHOLE_IN_BRACKETS = re.compile(r"[(\[{](.*)[)\]}]", re.DOTALL)
_BRACKETED = re.compile(r"\([^()]*\)|\[[^\[\]]*\]|\{[^{}]*\}")
# Besides letters, marks and digits only these come through.
_PLAIN = " '-.&!"
_ENDS = " .,;:!?'-&\u3001\u3002"
_ARTICLE = re.compile(r"^(?:an?|the|some|any|several|visible)\s+(?=\S)", re.IGNORECASE)
_PLACE = (
    rf"(?:(?:at|in|on|near|along|across) )?(?:the )?(?:very )?(?:(?:bottom|top|upper|lower|left|right|far|middle|centre|center)[- ]?){{1,3}}(?:hand )?"
    rf"(?:corner|side|edge|part|half|third|area)?(?: of (?:the|this) {PICTURE})?"
)
_TAIL = re.compile(
    rf"\s+(?:(?:(?:is|are) |clearly )*(?:visible|present|shown|seen|detected|noticeable)(?: here)?|(?:in|of|on|within) (?:this|the) {PICTURE}"
    rf"|(?:at|in|on|near) {_PLACE}|in the (?:background|foreground|distance|corner|middle|cent(?:er|re))|on (?:it|top)"
    r"|(?:coming|rising|hanging|lying|located|placed|positioned|sticking|dripping) \S.*)$",
    re.IGNORECASE,
)
# Sentences say something about a thing, names do not.
_SENTENCE = re.compile(
    r"\b(?:not|isn't|aren't|doesn't|don't|can't|cannot|is|are|was|were|does|do|did|be|been|appears?|seems?|looks?|contains?|shows?|depicts?|has|have|had|based|too"
    r"|would|could|should|might|may|will|can|suggests?|indicates?|turned|went|sleeps|except|nsfw content free)\b"
    r"|\b(?:comes|goes|wears|sits|walks|holds|carries|hangs|stands|lies|rises|runs|flies|covers|makes|plays|eats)(?:\s+(?:an?|the|on|in|out|up|from"
    r"|at|his|her|its|to|over"
    r"|near|behind|under|into|through|across|home|with)\b|$)|\b(?:sitting|standing|walking|running|posing|sleeping|playing) (?:on|in|at|under|by|near"
    r"|with|behind|next)\b",
    re.IGNORECASE,
)
# Begins of sentences and orders, which name nothing.
_CLAUSE = re.compile(
    r"^(?:it|they|he|she|this|that|these|those|which|who|i|i'd|i'm|i'll|we|you|please|ignore|disregard|forget|let|because|however|so|if|other than"
    r"|apart from|also|after|upon|when|since|overall|additionally|finally|in summary|in conclusion|then)\b",
    re.IGNORECASE,
)
_VAGUE = re.compile(
    rf"(?:(?:quite|very|too|completely) )?(?:unclear|unknown|uncertain|unsure|undefined|everything|anything|something|fine|okay?|good|normal|safe"
    rf"|unsafe|yes|true|false|visible"
    rf"|present|found|detected|other|others|etc|else|all|here|there|s\d{{1,2}}|(?:safe )?{PICTURE}|sure|certainly|of course|mild|low|minimal|system"
    rf"|user|assistant|json|description|an?|the|i|even|first|now|nobody)",
    re.IGNORECASE,
)
_DENYING = re.compile(
    r"^(?:non|not)[- ]\w|\w-free$|^(?:(?:fully|partially|completely) )?(?:clothed|dressed)\b|\b(?:ok(?:ay)?|fine|normal|intact)$",
    re.IGNORECASE,
)
_PLACED = re.compile(r"(?:in|on|at|of|to|from|for|by|due to|given|despite|among|regarding)\b", re.IGNORECASE)
_CAPTION = re.compile(
    rf"\b(?:{PICTURE}|portrait|close-?up|view|shot) (?:of|with|that|showing)\b"
    rf"|^(?:(?:blurr\w*|noisy|unfinished|abstract|out-?\s?of-?\s?focus|low resolution|unclear|incomplete) )+{PICTURE}$",
    re.IGNORECASE,
)
_WIDE = re.compile(f"[{WIDE}]")
_JOINS = re.compile(
    r"[,;\u3001\u060c|+\n]|(?<!\w)&(?!\w)|\s/\s|(?<=[^\W\d]{2})/(?=[^\W\d]{2})|#(?=[^\W\d])|(?<=\s)\*(?=\s)"
    r"|\b(?:break|and|or|nor|as well as|along with|such as|including)\b|\be\.g\.",
    re.IGNORECASE,
)
_CLOSED = re.compile(r"\([^()]*\)|\[[^\[\]]*\]|\"[^\"]*\"|\u201c[^\u201d]*\u201d")
_OPENED = re.compile('[(\\["\u201c]')
_DEEPEST = 4
_LINE_IN_QUOTES = re.compile(r"\s*[\"\u201c]([^\"\u201c\u201d]*)[\"\u201d]\s*")
_QUOTED = re.compile(r"[\"\u201c]([^\"\u201c\u201d\n]{1,200})[\"\u201d]|(?<!\w)'([^'\n]{1,200})'(?!\w)")
_AWAY = 0xF0000


def bare_name(piece: str) -> str:
    """Give a phrase as it may become a negative, or nothing at all."""
    phrase = tidy(hidden(piece))
    return shown(phrase) if is_name(phrase) and not says_nothing(phrase) else ""


def hidden(text: str) -> str:
    """Hide from who looks for grammar what has none: lettering in quotation marks, unless it is all of a line, and names that look as if they had.

    Each character goes to where Unicode has no letters and answers have nothing (`spoken`); `shown` brings it back.
    """
    text = "\n".join(whole[1] if (whole := _LINE_IN_QUOTES.fullmatch(line)) else line for line in text.split("\n"))
    return NAMES.sub(lambda name: _away(name[0]), _QUOTED.sub(_lettering, text))


def shown(text: str) -> str:
    """Show what was hidden."""
    return "".join(chr(ord(c) - _AWAY) if c >= chr(_AWAY) else c for c in text)


def without_lettering(phrase: str) -> str:
    """Leave out what is hidden."""
    return " ".join(re.sub(f"[{chr(_AWAY)}-\U000fffff]+", " ", phrase).split())


def _lettering(run: re.Match[str]) -> str:
    """Hide a quotation, but a quoted "none" that stands for itself."""
    before, behind = run.string[: run.start()].rstrip(" "), run.string[run.end() :].lstrip(" ")
    alone = not re.search(r"[^\W\d_:]$", before[-1:]) and not behind[:1].isalpha()
    bare = run[1] or run[2]
    return f" {bare if alone and says_nothing(bare) else _away(bare)} "


def _away(text: str) -> str:
    return "".join(chr(_AWAY + ord(c)) for c in text if ord(c) <= 0xFFFF)


def without_spells(text: str) -> str:
    """Leave out what names a file to load."""
    return _SPELL.sub(" ", text)


def plain(piece: str) -> str:
    """Leave letters, digits and spaces: no weights, brackets, embeddings, or signs that a prompt's syntax knows."""
    piece = without_spells(unicodedata.normalize("NFKC", piece[:LONGEST])).strip(f" \n\t{_ENDS}")
    while (whole := _WHOLE_IN_BRACKETS.fullmatch(piece)) and not re.search(r"[)\]}].*[(\[{]", whole.group(1)):
        piece = whole.group(1).strip()
    piece = _WEIGHT.sub(" ", _BRACKETED.sub(" ", piece))
    kept = "".join(c if c in _PLAIN or unicodedata.category(c)[0] in "LMN" or c >= chr(_AWAY) else " " for c in piece)
    return " ".join(kept.split()).strip(_ENDS)


def tidy(piece: str) -> str:
    """Leave a bare phrase: plain, and without articles, or where in the picture it is."""
    phrase = plain(piece)
    before = None
    while phrase != before:
        before = phrase
        phrase = _ARTICLE.sub("", _TAIL.sub("", phrase)).strip(_ENDS)
    return phrase


def is_sentence(phrase: str) -> bool:
    """Tell what says something about a thing, orders something, or names the picture and not what is to be seen in it."""
    return bool(_CLAUSE.match(phrase) or _SENTENCE.search(phrase) or _CAPTION.search(phrase))


def is_name(phrase: str) -> bool:
    """Tell a name of something from a sentence and from mere signs."""
    full = shown(phrase)
    listed = full.split()
    return (
        bool(listed)
        and not is_sentence(phrase)
        and not _PLACED.match(phrase)
        and not (len(listed) > 1 and LABEL.fullmatch(phrase))
        and not (_VAGUE.fullmatch(phrase) or _DENYING.search(phrase))
        and (len(listed) <= MOST_WORDS and len(full) <= MOST_CHARACTERS and len(_WIDE.findall(full)) <= MOST_WIDE)
        and len({one.casefold() for one in listed}) > len(listed) // 2
        and any(c.isalpha() for c in full)
    )


def pieces_of(text: str) -> list[str]:
    """Split at commas and at words that join names, where no bracket is open; a bracket or a quotation that is never closed was cut off, and is left out."""
    closed = text
    for _ in range(_DEEPEST):
        closed = _CLOSED.sub(lambda found: "\0" * len(found[0]), closed)
    opened = _OPENED.search(closed)
    end = opened.start() if opened else len(text)
    at, found = 0, []
    for join in _JOINS.finditer(closed, 0, end):
        found.append(text[at : join.start()])
        at = join.end()
    return [*found, text[at:end]]
