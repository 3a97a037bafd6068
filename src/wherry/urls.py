"""URLs as they may be shown: without the secrets that some of them hold."""

from __future__ import annotations

import re
from urllib.parse import urlsplit


def redacted(url: str) -> str:
    """``url`` without user name and password; any other text as it is."""
    return re.sub(r"^([a-zA-Z][\w+.-]*://)[^/?#]*@", r"\1", url)  # a password may hold an @ that should be escaped


def origin(url: str) -> str:
    """Scheme, host and port (0: nobody knows): to whom what is meant for ``url`` may be given (RFC 6454)."""
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
    return f"{parts.scheme}://{parts.hostname}:{port}"
