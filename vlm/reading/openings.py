"""Drop what stands around a list of names: "Yes, I can see", "is visible in the image"."""

from __future__ import annotations

import re

from .names import PICTURE, is_sentence

_SEE = r"(?:see|notice|observe|detect|find|spot|identify|recogni[sz]e|make out)"
_PERSON = (
    r"(?:(?:(?:an?|the|one|his|her)(?: \w+)? )?(?:man|woman|person|boy|girl|child|figure|character|people|lady|guy)|s?he)(?: is| are)?"
)
# "Due to the blur,", "In the foreground,", "Clearly,", "Even though it is blurred,": what follows is said, and this is not.
_ADVERBIAL = re.compile(
    rf"^\W*(?:(?:even though|although|though|since|because|as|while) (?:(?:it|this|the (?:\w+ )?{PICTURE})(?: is|'s) [^,:;.]{{1,40}}|blurr\w+)"
    r"|(?:due to|given|despite|of|out of|in|on|at|to|from|for|among|regarding|based on|as far as|upon|with the given) [^,:;.]{1,60}"
    r"|clearly|specifically|additionally|furthermore|moreover|notably|actually|honestly|currently|unfortunately|(?:first|second|third)(?:ly)?|finally|now"
    r"|here|still|overall|so far)"
    r"(?:,\s*(?=\S)|\s+(?=(?:there (?:is|are)|i (?:can )?see)\b))",
    re.IGNORECASE,
)
_FORMS = (
    # (what opens a list of names, how it names)
    (
        r"(?:unfortunately|yes|yeah|sure|okay|ok|certainly|of course|absolutely|and|also|only|just|well|i'd be happy to help|(?:the )?following"
        r"|as follows|instead|likely|probably|e\.g\.|etc)\b",
        "",
    ),
    (rf"(?:after|upon|on|by) \w+ing(?: at)?(?: closely| carefully)? (?:this|the|your) (?:\w+ )?{PICTURE}", ""),
    (r"no(?=[,.]? (?:there (?:is|are)|i (?:can )?see|but)\b(?! no\b| not\b| nothing))[,.]?", ""),
    (r"(?:it|this) (?:looks like|seems|appears)(?: that)? (?=there )", ""),
    (r"is there|are there|is it", "named"),
    (
        rf"(?:(?:based on|looking at|according to|in|from|within|on|upon) )?(?:this|the|your) (?:\w+ )?{PICTURE}(?=,| i | we | there| it |\s*$)"
        r"|(?:from|of|in) the list\b|upon (?:\w+ )?inspection|looking (?:closely|carefully)",
        "",
    ),
    (rf"(?:i|we|you|one) (?:(?:can|could|do|also|only|still|just|clearly) )*{_SEE}(?: the following| (?:some|one) of (?:the|these|those) (?:things"
    rf"|elements|items))?\b", "named"),
    (r"there(?:'s| is| are| was| were)(?: (?:also|only|clearly|still|indeed|what \w+ to be))*(?!\w)|there (?:appears?|seems?) to be", "named"),
    (rf"(?:(?:this|the) {PICTURE}|it) (?:(?:also|only|clearly|does|do|just) )*(?:contains?|includes?)\b", "named"),
    (rf"(?:(?:this|the|your) {PICTURE}|it) (?:(?:also|only|clearly|does|mainly) )*(?:shows?|has|depicts?|features?|displays?|portrays?)\b", "described"),
    (r"(?:it|this|that|these|they)(?:'s| is| are|'re| looks like| look like| (?:appears?|seems?) (?:to be|like|as if)|(?=\s+looks like))(?= (?:an?"
    r"|the|some|two|three|likely|probably)\b)", "described"),
    (rf"{_PERSON} (?:holding|holds|carrying|carries|using)\b", "named"),
    (rf"(?:{_PERSON}|(?:is|are)) (?:wearing|wears)\b", "worn"),
    (r"(?:here (?:is|are)|the (?:answer|negative prompt) (?:is|would be)|visible (?:are|is)|present (?:are|is))\b", "named"),
)  # fmt: skip
_OPENINGS = tuple((re.compile(rf"(?:{opening})", re.IGNORECASE), how) for opening, how in _FORMS)
_ENDING = re.compile(
    r"\s+(?:is|are|can be)(?: (?:also|clearly|partially|faintly|barely|still))*(?: (?:visible|present|shown|seen|there|detected|found|noticeable"
    r"|identified))(?: (?:in|on|at|near) .*)?$|\s+(?:yes|true)$",
    re.IGNORECASE,
)  # fmt: skip


def without_adverbial(sentence: str) -> str:
    """Drop what a sentence only begins with."""
    return _ADVERBIAL.sub("", sentence)


def opened(piece: str) -> tuple[str, str]:
    """Drop what leads to a name ("Yes, I can see"): the rest, and how it names.

    How: "named" ("there is"), "described" ("the picture shows"), "worn" ("a man wearing"), "seen" ("is visible"), or "" for a bare piece.
    """
    how, before = "", None
    piece = piece.strip()
    while piece != before:
        before = piece
        for opening, manner in _OPENINGS:
            found = opening.match(piece)
            if found and found.end():
                piece, how = piece[found.end() :].lstrip(" ,:.!"), how if how == "described" else manner or how
    shorter = _ENDING.sub("", piece) if not is_sentence(_ENDING.sub("", piece)) else piece
    return shorter.strip(), how or ("seen" if shorter != piece else "")
