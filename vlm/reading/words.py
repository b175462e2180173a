"""Hold the English words that several readers look for; other languages are put into English first (languages)."""

from __future__ import annotations

import re

# Chinese and Japanese letters: they are written without spaces.
WIDE = r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"

NOTHING = re.compile(
    r"none|nothing|nope|no|n[ /]?a|false|null|nil|not any(?:thing)?|zero|sfw|safe|clean|all clear|clear|empty|negative|not applicable",
    re.IGNORECASE,
)
DENIES = re.compile(
    r"\b(?:no|not|never|cannot|\w+n't|cant|dont|neither|nor|none|nothing|nobody|lacks?|lacking|lack of|absent(?!-)|absence of|free (?:of|from)"
    r"|devoid of|zero|unlikely|invisible|undetected|without|w/o)(?<!')(?![\w'])|^0(?= )",
    re.IGNORECASE,
)
BUT = re.compile(r"\b(?:but|however|although|though|while|whereas|yet|nevertheless)\b", re.IGNORECASE)
YES = re.compile(
    r"yes|yeah|yep|y|true|present|visible|detected|there(?: is)?|seen|likely|probably|high|checked|found|positive", re.IGNORECASE
)
# What seems to deny, to join or to say something, and names a thing.
NAMES = re.compile(
    r"\b(?:no[- ](?:smoking|parking|entry|trespassing|littering|swimming|fishing|diving|hunting|loitering|dumping|photography|phones?) "
    r"(?:sign|symbol|logo|poster|sticker|icon)s?|do not (?:enter|disturb|cross|touch)(?: (?:sign|tape|symbol))?|non[- ]?stick|no man's land"
    r"|(?:tin|soda|beer|trash|watering|spray|paint) cans?|cans? of|(?:christmas|birthday|wedding) presents?|black and white"
    r"|too (?:many|few|long|short|big|small|large|thin|thick))\b",
    re.IGNORECASE,
)


def denial_in(piece: str) -> tuple[str, str, str] | None:
    """Find what denies in a piece: what stands before it, what behind it, and the word itself. None: nothing does."""
    found = DENIES.search(piece)
    return (piece[: found.start()].strip(), piece[found.end() :].strip(), found[0]) if found else None


def says_nothing(phrase: str) -> bool:
    """Tell "none", "nothing", also said again and again."""
    said = phrase.split()
    return bool(NOTHING.fullmatch(said[0] if len(set(said)) == 1 else phrase))
