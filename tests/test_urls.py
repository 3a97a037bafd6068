"""URLs as they may be shown."""

from __future__ import annotations

import pytest

from wherry.urls import redacted


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://me:word@host/simple", "https://host/simple"),
        ("https://me:wo@rd@host/simple", "https://host/simple"),
        ("git+ssh://git@host/repository", "git+ssh://host/repository"),
        ("https://host/@scope/name@1", "https://host/@scope/name@1"),
        ("https://host?to=me@there", "https://host?to=me@there"),
        ("me@there", "me@there"),
    ],
)
def test_a_url_is_shown_without_its_credentials(url: str, shown: str) -> None:
    assert redacted(url) == shown
