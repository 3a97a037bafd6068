"""JSON as we write it: one text for one value, so that equal values have equal digests.

Also the few helpers that read JSON of other programs without trusting its types.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from wherry.errors import WherryError

Json = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]
JsonObject = Mapping[str, Json]


def dump(value: Json) -> bytes:
    """Compact UTF-8 JSON with the keys in the order given."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:  # names that are no UTF-8 are held as lone surrogates, which only escapes can carry
        return json.dumps(value, separators=(",", ":")).encode()


def load_object(data: bytes | str, what: str) -> JsonObject:
    """``data`` as a JSON object. Raises :class:`WherryError` that names ``what`` if it is none."""
    try:
        value: Json = json.loads(data)
    except (ValueError, UnicodeDecodeError, RecursionError) as error:
        raise WherryError(f"{what} is not valid JSON: {error}") from None
    return as_object(value, what)


def as_object(value: Json, what: str) -> JsonObject:
    """``value`` as an object; ``null`` counts as empty."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise WherryError(f"{what} should be a JSON object")
    return value


def as_list(value: Json, what: str) -> Sequence[Json]:
    """``value`` as an array; ``null`` counts as empty."""
    if value is None:
        return ()
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise WherryError(f"{what} should be a JSON array")
    return value


def as_str(value: Json, what: str) -> str:
    """``value`` as a string; ``null`` counts as empty."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise WherryError(f"{what} should be a string")
    return value


def as_int(value: Json, what: str) -> int:
    """``value`` as an integer."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise WherryError(f"{what} should be an integer")
    return value


def as_strings(value: Json, what: str) -> tuple[str, ...]:
    """``value`` as an array of strings; ``null`` counts as empty."""
    return tuple(as_str(item, what) for item in as_list(value, what))


def as_string_map(value: Json, what: str) -> dict[str, str]:
    """``value`` as an object of strings; ``null`` counts as empty."""
    return {key: as_str(item, what) for key, item in as_object(value, what).items()}
