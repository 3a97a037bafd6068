"""Annotations on the parts of what is exported."""

from __future__ import annotations

import json

import pytest

from wherry.errors import UsageError
from wherry.image import Image, Index, Platform
from wherry.sinks.annotations import Annotation, annotate, parse_annotation

ARM = Platform("linux", "arm64")


def test_an_annotation_is_the_manifests_unless_it_says_otherwise() -> None:
    assert parse_annotation("a=b=c") == (Annotation("a", "b=c"),)


def test_an_annotation_may_name_levels_and_platforms() -> None:
    assert parse_annotation("index,manifest[linux/arm64]:org.example=x") == (
        Annotation("org.example", "x", "index"),
        Annotation("org.example", "x", "manifest", ARM),
    )


@pytest.mark.parametrize("text", ["a", "=b", "indx:a=b", "index:=b"])
def test_a_malformed_annotation_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_annotation(text)


def test_a_manifest_annotation_changes_the_manifest_and_not_the_id(image: Image) -> None:
    done = annotate(image, [Annotation("a", "b")])
    assert isinstance(done, Image)
    assert json.loads(done.manifest_bytes)["annotations"] == {"a": "b"}
    assert done.id == image.id


def test_a_descriptor_annotation_leaves_the_manifest_alone(image: Image) -> None:
    done = annotate(image, [Annotation("a", "b", "manifest-descriptor")])
    assert done.digest == image.digest
    assert done.descriptor.annotations == {"a": "b"}


def test_an_annotation_for_one_platform_leaves_the_others_alone(index: Index) -> None:
    done = annotate(index, [Annotation("a", "b", "manifest", ARM)])
    assert isinstance(done, Index)
    assert done.images[0].digest == index.images[0].digest
    assert done.images[1].annotations == {"a": "b"}


def test_annotations_of_the_index_and_its_descriptors_are_written(index: Index) -> None:
    wanted = [
        Annotation("a", "1", "index"),
        Annotation("b", "2", "manifest-descriptor"),
        Annotation("c", "3", "index-descriptor"),
    ]
    done = annotate(index, wanted)
    value = json.loads(done.manifest_bytes)
    assert value["annotations"] == {"a": "1"}
    assert [one["annotations"] for one in value["manifests"]] == [{"b": "2"}] * 2
    assert done.descriptor.annotations == {"c": "3"}


def test_an_index_annotation_needs_an_index(image: Image) -> None:
    with pytest.raises(UsageError, match="for the index"):
        annotate(image, [Annotation("a", "b", "index")])


def test_an_annotation_for_a_platform_that_is_not_built_is_refused(image: Image) -> None:
    with pytest.raises(UsageError, match="linux/arm64, which is not built"):
        annotate(image, [Annotation("a", "b", "manifest", ARM)])
