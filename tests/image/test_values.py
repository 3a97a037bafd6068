"""Digests, platforms, descriptors, configs, manifests: written and read, they are the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.errors import UsageError, WherryError
from wherry.image import (
    Descriptor,
    Digest,
    History,
    Image,
    ImageConfig,
    Index,
    Layer,
    Platform,
    RuntimeConfig,
    digest_of,
    parse_digest,
)
from wherry.image.config import timestamp
from wherry.image.json import Json, dump, load_object
from wherry.image.mediatype import DOCKER_LAYER_GZIP, DOCKER_MANIFEST, OCI_LAYER_GZIP, OCI_MANIFEST

_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
_some = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
_map = st.dictionaries(_text, _text, max_size=3)
_digest = st.binary(min_size=1, max_size=4).map(digest_of)
_platform = st.sampled_from(["linux/amd64", "linux/arm64", "linux/arm/v7", "linux/riscv64", "windows/amd64"]).map(
    Platform.parse
)
_descriptor = st.builds(
    Descriptor,
    _some,
    _digest,
    st.integers(0, 1 << 50),
    _map,
    st.none() | _platform,
)
_json: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | st.integers() | _text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_text, inner, max_size=3),
    max_leaves=6,
)
_strings = st.lists(_text, max_size=3).map(tuple)
_set = st.sets(_some, max_size=3).map(sorted).map(tuple)
_runtime = st.builds(
    RuntimeConfig,
    user=_text,
    env=_strings,
    entrypoint=_strings,
    cmd=_strings,
    working_dir=_text,
    exposed_ports=_set,
    volumes=_set,
    labels=_map,
    stop_signal=_text,
    other=st.dictionaries(st.sampled_from(["Healthcheck", "Shell", "OnBuild"]), _json.filter(bool)),
)
_config = st.builds(
    ImageConfig,
    _platform,
    _runtime,
    st.lists(_digest, max_size=3).map(tuple),
    st.lists(st.builds(History, _text, _text, _text, st.booleans()), max_size=3).map(tuple),
    _text,
    _text,
)


@given(_descriptor)
def test_a_descriptor_is_read_as_it_was_written(descriptor: Descriptor) -> None:
    assert Descriptor.from_json(load_object(dump(descriptor.to_json()), "it")) == descriptor


@given(_config)
def test_a_config_is_read_as_it_was_written(config: ImageConfig) -> None:
    assert ImageConfig.from_bytes(config.to_bytes()) == config
    assert ImageConfig.from_bytes(config.to_bytes()).to_bytes() == config.to_bytes()


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=5)))
def test_json_of_any_text_can_be_written_and_read(value: Mapping[str, str]) -> None:
    assert load_object(dump(value), "it") == value


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b"1", b"\xff", b'{"a":' * 5000, b'{"a": 1' + b"0" * 5000 + b"}", b"\xd8\x00"],
)
def test_what_is_no_json_object_is_an_error_of_ours(data: bytes) -> None:
    with pytest.raises(WherryError, match="thing"):
        load_object(data, "thing")


_WRONG: list[dict[str, Json]] = [
    {},
    {"mediaType": "a", "digest": "sha256:" + "0" * 64},
    {"mediaType": "a", "digest": "md5:0", "size": 1},
    {"mediaType": "a", "digest": "sha256:" + "0" * 64, "size": -1},
    {"mediaType": "a", "digest": "sha256:" + "0" * 64, "size": True},
    {"mediaType": "a", "digest": "sha256:" + "0" * 64, "size": "1"},
    {"mediaType": 1, "digest": "sha256:" + "0" * 64, "size": 1},
    {"mediaType": "a", "digest": "sha256:" + "0" * 64, "size": 1, "annotations": {"a": 1}},
    {"mediaType": "a", "digest": "sha256:" + "0" * 64, "size": 1, "platform": []},
]


@pytest.mark.parametrize("value", _WRONG)
def test_a_malformed_descriptor_is_refused(value: dict[str, Json]) -> None:
    with pytest.raises(WherryError):
        Descriptor.from_json(value)


@given(_json)
def test_a_config_of_any_shape_is_read_or_refused(value: Json) -> None:
    for data in (
        dump(value),
        dump({"config": value}),
        dump({"rootfs": value, "history": value}),
        dump({"config": {"Env": value, "Labels": value}}),
    ):
        try:
            ImageConfig.from_bytes(data)
        except WherryError:
            continue


@pytest.mark.parametrize(
    "text", ["", "sha256:", "sha256:" + "A" * 64, "sha512:" + "0" * 128, "0" * 64, "sha256:" + "0" * 64 + "\n"]
)
def test_what_is_no_digest_is_refused(text: str) -> None:
    with pytest.raises(WherryError, match="not a digest"):
        parse_digest(text)


@given(st.sampled_from(["linux/amd64", "x86_64", "aarch64", "linux/arm", "Linux/ARM64/v8", "linux/arm/v6"]))
def test_a_platform_is_read_as_it_was_written(text: str) -> None:
    platform = Platform.parse(text)
    assert Platform.parse(str(platform)) == platform
    assert Platform.from_json(platform.to_json()) == platform


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("amd64", "linux/amd64"),
        ("linux/x86_64", "linux/amd64"),
        ("linux/arm64/v8", "linux/arm64"),
        ("arm", "linux/arm/v7"),
    ],
)
def test_platforms_have_usual_names(text: str, wanted: str) -> None:
    assert str(Platform.parse(text)) == wanted


@pytest.mark.parametrize("text", ["", "linux/", "linux/amd65", "a/b/c/d", "/amd64"])
def test_a_malformed_platform_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        Platform.parse(text)


def test_setting_a_variable_keeps_the_order() -> None:
    config = RuntimeConfig(env=("A=1", "B=2"))
    assert config.with_env({"C": "3", "A": "4"}).env == ("A=4", "B=2", "C=3")


def test_a_timestamp_is_rfc3339() -> None:
    assert timestamp(315532800) == "1980-01-01T00:00:00Z"


# -- images ------------------------------------------------------------------------------------------

CONFIG = ImageConfig(Platform("linux", "amd64"), created="1980-01-01T00:00:00Z")
LAYER = Layer(Descriptor(OCI_LAYER_GZIP, digest_of(b"packed"), 6), digest_of(b"plain"), 5)
IMAGE = Image.of(CONFIG, (LAYER,), {"b": "2", "a": "1"})


def test_a_manifest_names_config_and_layers() -> None:
    assert json.loads(IMAGE.manifest_bytes) == {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": IMAGE.id,
            "size": len(IMAGE.config_bytes),
        },
        "layers": [LAYER.descriptor.to_json()],
        "annotations": {"a": "1", "b": "2"},
    }


def test_the_config_lists_the_layers_diff_ids() -> None:
    assert json.loads(IMAGE.config_bytes)["rootfs"] == {"type": "layers", "diff_ids": [LAYER.diff_id]}


def test_equal_images_have_equal_digests_whatever_the_order_of_their_maps() -> None:
    assert Image.of(CONFIG, (LAYER,), {"a": "1", "b": "2"}).digest == IMAGE.digest


def test_an_image_that_was_read_is_byte_for_byte_what_it_was() -> None:
    manifest, config = b'{ "odd": "spacing" }', b'{ "config" : {} }'
    image = Image(CONFIG, (LAYER,), source=(DOCKER_MANIFEST, manifest, config))
    assert image.manifest_bytes == manifest
    assert image.config_bytes == config
    assert image.digest == digest_of(manifest)
    assert image.id == digest_of(config)
    assert image.descriptor.media_type == DOCKER_MANIFEST


def test_a_rewritten_image_keeps_its_config() -> None:
    docker = replace(LAYER, descriptor=replace(LAYER.descriptor, media_type=DOCKER_LAYER_GZIP))
    image = Image(CONFIG, (docker,), source=(DOCKER_MANIFEST, b"{}", b'{ "config" : {} }'))
    other = image.rewritten(annotations={"a": "b"})
    assert other.id == image.id
    assert other.descriptor.media_type == OCI_MANIFEST
    manifest = json.loads(other.manifest_bytes)
    assert manifest["annotations"] == {"a": "b"}
    assert manifest["config"]["digest"] == image.id
    assert [layer["mediaType"] for layer in manifest["layers"]] == [OCI_LAYER_GZIP]


def test_an_index_names_each_image_with_its_platform() -> None:
    arm = Image.of(replace(CONFIG, platform=Platform("linux", "arm64")), (LAYER,), {})
    value = json.loads(Index((IMAGE, arm), {"a": "b"}).manifest_bytes)
    assert [(one["digest"], one["platform"]) for one in value["manifests"]] == [
        (IMAGE.digest, {"architecture": "amd64", "os": "linux"}),
        (arm.digest, {"architecture": "arm64", "os": "linux"}),
    ]
    assert value["annotations"] == {"a": "b"}


def test_digests_are_of_what_they_say() -> None:
    assert digest_of(b"") == Digest("sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
