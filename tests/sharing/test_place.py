"""What ``--cache-to`` and ``--cache-from`` say, in the words of docker buildx."""

from __future__ import annotations

from pathlib import Path

import pytest

from wherry.errors import UsageError
from wherry.image import Digest, Reference
from wherry.sharing import CachePlace, parse_cache_from, parse_cache_to

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("type=registry,ref=a/b:c", CachePlace("registry", Reference.parse("a/b:c"))),
        ("type=registry,ref=a/b,mode=max", CachePlace("registry", Reference.parse("a/b"), mode="max")),
        ("type=registry,ref=a,ignore-error=true", CachePlace("registry", Reference.parse("a"), ignore_error=True)),
        ("type=registry,ref=a,image-manifest=true,oci-mediatypes=true", CachePlace("registry", Reference.parse("a"))),
        ("type=local,dest=/x,tag=y", CachePlace("local", folder=Path("/x"), tag="y")),
        ('type=local,"dest=/a,b"', CachePlace("local", folder=Path("/a,b"))),
        ("type=inline", CachePlace("inline")),
    ],
)
def test_a_place_to_write_to_is_understood(text: str, place: CachePlace) -> None:
    assert parse_cache_to(text) == place


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a/b:c", CachePlace("registry", Reference.parse("a/b:c"))),
        ("type=registry,ref=a/b@" + DIGEST, CachePlace("registry", Reference.parse("a/b@" + DIGEST))),
        ("type=local,src=/x", CachePlace("local", folder=Path("/x"))),
        ("type=local,src=/x,digest=" + DIGEST, CachePlace("local", folder=Path("/x"), digest=Digest(DIGEST))),
    ],
)
def test_a_place_to_read_from_is_understood(text: str, place: CachePlace) -> None:
    assert parse_cache_from(text) == place


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "invalid image reference"),
        ("ref=a", "no type"),
        ("type=gha", "unknown type 'gha'"),
        ("type=registry", "has no ref"),
        ("type=registry,ref=A:b:c", "invalid image reference"),
        ("type=registry,ref=a@" + DIGEST, "it has a digest"),
        ("type=registry,reff=a", "has no 'reff'"),
        ("type=registry,ref=a,mode=most", "mode=most"),
        ("type=registry,ref=a,ignore-error=perhaps", "neither true nor false"),
        ("type=registry,ref=a,oci-mediatypes=false", "OCI manifests alone"),
        ("type=inline,mode=max", "mode=max"),
        ("type=local", "has no dest"),
        ('type=local,"dest=x', "cannot be read"),
        ("type=local,dest", "should be key=value"),
    ],
)
def test_what_means_nothing_is_an_error_that_says_why(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_cache_to(text)


def test_an_inline_cache_is_read_from_its_image() -> None:
    with pytest.raises(UsageError) as caught:
        parse_cache_from("type=inline")
    assert "type=registry,ref=IMAGE" in (caught.value.hint or "")
