"""--iidfile and --metadata-file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from wherry.errors import UsageError, WherryError
from wherry.image import Image, Index
from wherry.sinks import image_id, metadata, write_image_id, write_metadata


def test_the_image_id_is_the_configs_digest(image: Image, tmp_path: Path) -> None:
    write_image_id(tmp_path / "iid", image)
    assert (tmp_path / "iid").read_text() == json.loads(image.manifest_bytes)["config"]["digest"]


def test_the_id_of_several_platforms_is_the_indexs_digest(index: Index) -> None:
    assert image_id(index) == index.digest


def test_metadata_has_buildxs_keys(image: Image, tmp_path: Path) -> None:
    write_metadata(tmp_path / "metadata.json", image, ("hello:latest", "example.com/a:1"))
    value = json.loads((tmp_path / "metadata.json").read_text())
    assert value == {
        "containerimage.config.digest": image.id,
        "containerimage.descriptor": image.descriptor.to_json(),
        "containerimage.digest": image.digest,
        "image.name": "docker.io/library/hello:latest,example.com/a:1",
    }


def test_an_index_has_no_config_digest(index: Index) -> None:
    assert "containerimage.config.digest" not in metadata(index)


def test_missing_parents_are_made(image: Image, tmp_path: Path) -> None:
    write_image_id(tmp_path / "a" / "b" / "iid", image)
    assert (tmp_path / "a" / "b" / "iid").read_text() == image.id


def test_a_directory_is_not_overwritten(image: Image, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a directory"):
        write_image_id(tmp_path, image)


def test_a_place_below_a_file_is_an_error_not_a_traceback(image: Image, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WherryError, match="cannot write"):
        write_image_id(tmp_path / "file" / "iid", image)
