"""What -o may say."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from wherry.errors import UsageError
from wherry.image import Platform, Reference
from wherry.layers.compression import Compression
from wherry.sinks import Output, check_outputs, parse_output
from wherry.sinks.annotations import Annotation
from wherry.sinks.output import pushed


def test_a_bare_path_is_a_local_directory() -> None:
    assert parse_output("out") == Output("local", "out")


def test_a_bare_dash_is_a_tar_on_standard_output() -> None:
    assert parse_output("-") == Output("tar", "-")


def test_type_and_dest_are_read_in_any_order() -> None:
    assert parse_output("dest=x.tar,type=oci") == Output("oci", "x.tar")


def test_a_value_with_a_comma_is_quoted_as_in_csv() -> None:
    assert parse_output('type=oci,dest=x,"name=a,b:1"').names == ("a", "b:1")


def test_a_value_may_hold_an_equals_sign() -> None:
    assert parse_output("type=oci,dest=a=b").dest == "a=b"


def test_an_archive_without_dest_goes_to_standard_output() -> None:
    assert parse_output("type=oci").dest == "-"
    assert parse_output("type=tar").dest == "-"


def test_a_docker_output_without_dest_is_loaded() -> None:
    assert parse_output("type=docker") == Output("docker")


def test_compression_and_level_are_read() -> None:
    output = parse_output("type=oci,dest=x,compression=zstd,compression-level=9,force-compression=true")
    assert output.compression == Compression("zstd", 9)
    assert output.force_compression


def test_a_level_alone_means_gzip() -> None:
    assert parse_output("type=oci,dest=x,compression-level=9").compression == Compression("gzip", 9)


def test_an_oci_output_without_tar_is_a_directory() -> None:
    output = parse_output("type=oci,tar=false,dest=x")
    assert output.is_directory
    assert not output.tar


def test_annotations_keep_the_case_of_their_names() -> None:
    output = parse_output("type=oci,dest=x,annotation.org.Example=A,annotation-manifest-descriptor[linux/arm64].b=C")
    assert output.annotations == (
        Annotation("org.Example", "A"),
        Annotation("b", "C", "manifest-descriptor", Platform("linux", "arm64")),
    )


def test_what_is_pushed_is_a_registry_output_or_an_image_that_is_to_be_pushed() -> None:
    assert parse_output("type=registry") == Output("registry", push=True)
    assert parse_output("type=image,push=true,name=a/b:1") == Output("image", names=("a/b:1",), push=True)
    assert not parse_output("type=image,push=false").push


def test_it_goes_to_its_own_names_or_else_to_those_of_the_image() -> None:
    own = parse_output('type=registry,"name=example.com/a:1,b"')
    assert list(map(str, pushed(own, ["c"]))) == ["example.com/a:1", "docker.io/library/b:latest"]
    assert list(map(str, pushed(parse_output("type=registry"), ["c:2"]))) == ["docker.io/library/c:2"]


def test_by_digest_it_goes_to_repositories() -> None:
    output = parse_output("type=registry,push-by-digest=true,name=localhost:5000/a")
    assert pushed(output, ["c:2"]) == (Reference("localhost:5000", "a"),)


@pytest.mark.parametrize(
    ("text", "names", "words"),
    [
        ("type=registry", [], "-t HOST/NAME:TAG"),
        ("type=image,push=true", [], "-t HOST/NAME:TAG"),
        (f"type=registry,name=a@sha256:{64 * '0'}", [], "it has a digest"),
        ("type=registry,push-by-digest=true", ["a:1"], "name=HOST/NAME"),
        ("type=registry,push-by-digest=true,name=localhost:5000/a:1", [], "it has a tag"),
    ],
)
def test_a_push_to_nowhere_is_refused_before_the_build(text: str, names: list[str], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_outputs([parse_output(text)], names=names)
    assert words in str(caught.value)


def test_a_push_needs_the_network() -> None:
    with pytest.raises(UsageError, match="--offline allows none"):
        check_outputs([parse_output("type=registry")], names=["a"], offline=True)


def test_keys_do_not_care_about_case() -> None:
    assert parse_output("TYPE=oci,Dest=X") == Output("oci", "X")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("dest=x", "no type"),
        ("type=", "no type"),
        ("type=oic,dest=x", "Did you mean 'oci'?"),
        ("type=oci,desk=x", "Did you mean 'dest'?"),
        ("type=oci,x", "key=value"),
        ("type=local", "needs a directory"),
        ("type=local,dest=-", "needs a directory"),
        ("type=oci,tar=false", "needs a directory"),
        ("type=oci,tar=maybe", "neither true nor false"),
        ("type=docker,tar=false", "type=oci,tar=false"),
        ("type=oci,dest=x,compression=lz4", "Choose gzip, zstd or uncompressed"),
        ("type=oci,dest=x,compression-level=high", "not a number"),
        ("type=oci,dest=x,compression-level=10", "no compression level 10"),
        ("type=oci,dest=x,name=UPPER", "invalid image reference"),
        ("type=oci,dest=x,oci-mediatypes=false", "OCI media types"),
        ("type=oci,dest=x,annotation-manfest.a=b", "Did you mean 'manifest'?"),
        ("type=oci,dest=x,annotation=b", "not an annotation"),
        ("type=tar,dest=x,annotation.a=b", "no 'annotation.a'"),
        ("type=registry,dest=x", "no 'dest'"),
        ("type=registry,push-by-digest=perhaps", "neither true nor false"),
        ("type=registry,compression=lz4", "Choose gzip, zstd or uncompressed"),
        ("type=image,name=a,push-by-digest=true", "push=true"),
        ("type=oci,dest=x,push=true", "no 'push'"),
        ('type=oci,"dest=x', "CSV"),
    ],
)
def test_nonsense_is_refused_with_a_hint(text: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_output(text)
    assert words in str(caught.value)


def test_a_terminal_gets_no_archive(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdout", Terminal())
    with pytest.raises(UsageError, match="terminal"):
        check_outputs([parse_output("-")])


def test_two_outputs_cannot_share_standard_output() -> None:
    with pytest.raises(UsageError, match="two outputs write to standard output"):
        check_outputs([parse_output("type=oci"), parse_output("-")])


def test_two_outputs_cannot_share_a_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="two outputs"):
        check_outputs([Output("oci", str(tmp_path / "x")), Output("docker", f"{tmp_path}/./x")])


def test_docker_refuses_several_platforms() -> None:
    platforms = [Platform("linux", "amd64"), Platform("linux", "arm64")]
    with pytest.raises(UsageError, match="linux/amd64, linux/arm64"):
        check_outputs([Output("docker")], platforms)


def test_a_directory_is_no_place_for_an_archive(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a directory"):
        check_outputs([Output("oci", str(tmp_path))])


def test_a_file_is_no_place_for_a_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="is a file"):
        check_outputs([Output("local", str(tmp_path / "file"))])
