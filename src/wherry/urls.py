"""URLs as they may be shown: without the secrets that some of them hold."""

from __future__ import annotations

import re


def redacted(url: str) -> str:
    """``url`` without user name and password; any other text as it is."""
    return re.sub(r"^([a-zA-Z][\w+.-]*://)[^/?#]*@", r"\1", url)  # a password may hold an @ that should be escaped
