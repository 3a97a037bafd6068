"""The signals that STOPSIGNAL may name: Linux's, whatever this machine has."""

from __future__ import annotations

import re

_NAME = (
    "ABRT|ALRM|BUS|CHLD|CLD|CONT|FPE|HUP|ILL|INT|IO|IOT|KILL|PIPE|POLL|PROF|PWR|QUIT|SEGV|STKFLT|STOP|SYS|TERM|TRAP|"
    "TSTP|TTIN|TTOU|URG|USR1|USR2|VTALRM|WINCH|XCPU|XFSZ|RTMIN|RTMIN\\+([1-9]|1[0-5])|RTMAX|RTMAX-([1-9]|1[0-4])"
)


def check(text: str) -> None:
    """Whether ``text`` is a signal's number or name, with or without SIG. Raises :class:`ValueError` if not."""
    if re.fullmatch(r"[+-]?[0-9]{1,18}", text):
        if int(text):
            return
    elif re.fullmatch(_NAME, text.upper().removeprefix("SIG")):
        return
    raise ValueError(f"invalid signal: {text[:100]}")
