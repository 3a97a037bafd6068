"""Texts as Go's fmt and strconv write and read them: what BuildKit's history and options are made of."""

from __future__ import annotations

import re
from collections.abc import Sequence

SPACE = "\t\n\v\f\r \x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000"
"""What Go's unicode.IsSpace takes for white space; Python's str.strip takes more."""

_ESCAPES = {
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
    "\\": "\\\\",
    '"': '\\"',
}
_UNITS = {
    "ns": 1,
    "us": 1_000,
    "\xb5s": 1_000,
    "\u03bcs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_SIZES = {"": 0, "k": 10, "m": 20, "g": 30, "t": 40, "p": 50}


def quote(text: str) -> str:
    """``text`` in double quotes, as ``%q`` has it."""
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    return '"' + "".join(map(_escaped, text)) + '"'


def quoted(words: Sequence[str]) -> str:
    """A slice of strings, as ``%q`` has it: ``["sh" "-c"]``."""
    return "[" + " ".join(map(quote, words)) + "]"


def plain(words: Sequence[str]) -> str:
    """A slice of strings, as ``%v`` has it: ``[sh -c]``."""
    return "[" + " ".join(words) + "]"


def duration(nanoseconds: int) -> str:
    """A time.Duration, as its String method has it: ``1m30s``."""
    if nanoseconds == 0:
        return "0s"
    if nanoseconds < 1_000_000_000:
        for unit, size in (("ms", 1_000_000), ("µs", 1_000), ("ns", 1)):
            if nanoseconds >= size:
                return _decimal(nanoseconds, size) + unit
    minutes, rest = divmod(nanoseconds, 60_000_000_000)
    hours, minutes = divmod(minutes, 60)
    text = f"{hours}h" if hours else ""
    if hours or minutes:
        text += f"{minutes}m"
    return text + _decimal(rest, 1_000_000_000) + "s"


def parse_duration(text: str) -> int:
    """Nanoseconds of a duration such as ``1m30s`` or ``1.5h``. Raises :class:`ValueError` if it is none."""
    sign, rest = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
    if rest == "0":
        return 0
    total, position = 0, 0
    if len(rest) > 200:
        rest = ""
    for part in re.finditer(r"(\d*)(?:\.(\d*))?(ns|us|\xb5s|\u03bcs|ms|s|m|h)", rest, re.ASCII):
        whole, fraction, unit = part[1], part[2] or "", part[3]
        if part.start() != position or not (whole or fraction) or len(whole) > 19:
            break
        position = part.end()
        total += int(whole or "0") * _UNITS[unit]
        fraction = fraction[:18]
        total += int(fraction or "0") * _UNITS[unit] // 10 ** len(fraction)
    if position != len(rest) or not rest or total >= 1 << 63:
        raise ValueError(f"time: invalid duration {quote(text[:200])}")
    return sign * total


def parse_bool(text: str) -> bool:
    """A boolean, in the spellings of strconv.ParseBool. Raises :class:`ValueError` for others."""
    if text in {"1", "t", "T", "TRUE", "true", "True"}:
        return True
    if text in {"0", "f", "F", "FALSE", "false", "False"}:
        return False
    raise ValueError(text)


def parse_unsigned(text: str, base: int, bits: int) -> int:
    """A whole number without a sign, as strconv.ParseUint. Raises :class:`ValueError` for anything else."""
    digits = "01234567" if base == 8 else "0123456789"
    if not text or len(text) > 64 or text.strip(digits):
        raise ValueError(text)
    value = int(text, base)
    if value >= 1 << bits:
        raise ValueError(text)
    return value


def parse_size(text: str) -> int:
    """Bytes of a size such as ``64m`` or ``1.5GiB``, units being powers of 1024 (go-units' RAMInBytes)."""
    found = re.fullmatch(r"(\d{1,15}(?:\.\d{1,9})?) ?([kmgtp]?)(?:i?b)?", text.lower(), re.ASCII)
    if not found:
        raise ValueError(text)
    return int(float(found[1]) * (1 << _SIZES[found[2]]))


def _decimal(value: int, unit: int) -> str:
    whole, rest = divmod(value, unit)
    fraction = f"{rest:0{len(str(unit)) - 1}d}".rstrip("0") if rest else ""
    return f"{whole}.{fraction}" if fraction else str(whole)


def _escaped(char: str) -> str:
    if char in _ESCAPES:
        return _ESCAPES[char]
    if char.isprintable():
        return char
    number = ord(char)
    if number < 0x80:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
