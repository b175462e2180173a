"""Hold the English words that several readers look for; other languages are put into English first (languages)."""

from __future__ import annotations

import re

# Chinese and Japanese letters: they are written without spaces.
WIDE = r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"

NOTHING = re.compile(r"none|nothing|nope|no|n[ /]?a|false|null|nil|zero|0|not any(?:thing)?|not applicable", re.IGNORECASE)
DENIES = re.compile(
    r"\b(?:no|not|never|cannot|\w+n't|cant|dont|neither|nor|none|nothing|lacks?|lacking|lack of|absent(?!-)|absence of|free (?:of|from)"
    r"|devoid of|zero|unlikely|invisible|undetected|without|w/o)(?<!')(?![\w'])|^0(?= )",
    re.IGNORECASE,
)
YES = re.compile(
    r"yes|yeah|yep|y|true|present|visible|detected|there(?: is)?|seen|likely|probably|high|checked|found|positive", re.IGNORECASE
)
FINE = r"(?:safe|clean|sfw|fine|normal|intact|okay|ok|appropriate)"
HEDGES = re.compile(
    r"\b(?:maybe|perhaps|possibl[ey]|might|may (?:be|contain|show)|could be|unclear|uncertain|ambiguous|questionable"
    r"|not (?:entirely |completely |quite )?(?:sure|certain|clear)|(?:hard|difficult|impossible) to|(?:can't|cannot|can not) (?:tell|determine|judge|say)"
    r"|(?:too|so) \w+ to)\b",
    re.IGNORECASE,
)
# What is said of an answer, or of a thing besides that it is there.
ASIDE = (
    r"(?:notes?|explanations?|reasons?|reasoning|rationale|comments?|remarks?|confidence|scores?|probability|likelihood|locations?|positions?|coordinates"
    r"|bounding box|bbox|colou?rs?|sizes?|descriptions?|details?|context|evidence|severity|justification|caveat|disclaimer|thoughts?|thinking|analysis"
    r"|assessment|summary|conclusion|overall|system|user|instructions?|input|question|scene|count|p\.?s)"
)
# What a key, or the title of a column, says of the verdict in it.
VERDICT = r"(?:present|presence|visible|visibility|detected|exists?|found|there|seen|shown|status|verdict|value|state|answer|result|in (?:the )?image)"
# The name of a list, and nothing else: "the visible unwanted elements".
LABEL = re.compile(
    r"(?:(?:the|an?|any|my|your|its|this|that|these|those|of|in|from|to|for|is|are|be|has|i|you|we|can|could|must|should|not|only|what|which|here|following"
    r"|final|short|most|main|usual|visual|artistic|ordinary|obvious|possible|specific(?:ally)?|visible|present|absent|found|detected|identif(?:y|ied)|seen|see"
    r"|shown|flagged|listed|unwanted|undesir\w+|unsafe|nsfw|sensitive|forbidden|prohibited|allowed|inappropriate|wrong|negatives?|prompt|answers?|avoid"
    r"|elements?|objects?|things?|anything|items?|contents?|issues?|problems?|concerns?|violations?|art[ei]facts?|findings?|defects?|flaws?|errors?"
    r"|anomal(?:y|ies)|observations?|warnings?|tags?|keywords?|labels?|names?|lists?|results?|response|reply|output|assistant|model|picture|image|photo|looks?"
    r"|contains|shows|includes|elsewhere|json|asked|q|styles?|surroundings?|subjects?|setting|genre|medium|background|foreground|type|categor(?:y|ies)|kind)"
    r"(?: |$)){1,12}",
    re.IGNORECASE,
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
