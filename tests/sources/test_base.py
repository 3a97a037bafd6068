"""What the name of a base says."""

from __future__ import annotations

from wherry.sources.base import is_debian


def test_a_base_of_debians_packages_is_not_an_image_called_debian() -> None:
    assert is_debian("debian://trixie?shell=1")
    assert not is_debian("debian:12")
