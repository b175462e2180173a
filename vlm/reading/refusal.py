"""Tell an answer that refuses."""

from __future__ import annotations

import re

from .names import PICTURE

_SEE = r"(?:clearly |really |actually )?(?:see|find|detect|notice|spot|observe|identify|make out|recogni[sz]e|discern)"
_SHOWN = rf"(?:an?|any|the|this|your)?\s*(?:attached |provided |uploaded )?{PICTURE}s?\b"
_REFUSAL = re.compile(
    r"(?:i'?m (?:very |really |so )?(?:sorry|unable|afraid|not able)|i am (?:sorry|unable|afraid|not able)|sorry|my apologies|apologies|i apologi[sz]e|as an ai"
    r"|unfortunately,? (?:i|we)\b(?! (?:can )?see)|i (?:cannot|can't|can not|won't|will not|must decline|could not|couldn't)"
    rf"(?! (?:tell|say|be sure|determine|judge)\b)(?! {_SEE} (?!{_SHOWN}\s*(?:$|[.,!]))(?!people|persons|individuals)))",
    re.IGNORECASE,
)


def refuses(said: str) -> bool:
    """Tell whether an answer begins as refusals do."""
    return bool(_REFUSAL.match(said))
