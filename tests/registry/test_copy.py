"""``wherry copy``: everything that a name means, from anywhere to anywhere; skopeo and Docker read what came out."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.registry.machines import Machine, built, dockerfile, skopeo
from tests.registry.servers import PROGRAM, Registry, Tls, registry
from tests.registry.wires import Wire, wire

import wherry as api
from wherry.errors import WherryError
from wherry.image.mediatype import DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST

if TYPE_CHECKING:
    from tests.conftest import Docker

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not Path(PROGRAM).exists(), reason="Debian's docker-registry is not installed"),
]

EMPTY = "application/vnd.oci.empty.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
IN_TOTO = "application/vnd.in-toto+json"
BOTH = "linux/amd64,linux/arm64"


# -- what is copied ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Whole:
    """An image for two platforms, with an attestation and an artifact in its index: a layout's ``app:1``."""

    layout: Path
    digest: str
    images: Mapping[str, str]
    """The digests of manifests by platform."""

    @property
    def blobs(self) -> set[str]:
        """The hexadecimal parts of the digests of everything that it consists of."""
        return blobs_of(self.layout)


def blobs_of(layout: Path) -> set[str]:
    return {path.name for path in (layout / "blobs" / "sha256").iterdir()}


def put(layout: Path, media_type: str, data: bytes) -> dict[str, object]:
    """Add a blob to a layout; gives its descriptor."""
    digits = hashlib.sha256(data).hexdigest()
    (layout / "blobs" / "sha256" / digits).write_bytes(data)
    return {"mediaType": media_type, "digest": f"sha256:{digits}", "size": len(data)}


def put_json(layout: Path, media_type: str, value: object) -> dict[str, object]:
    # Not as Wherry writes JSON: nothing of it may be written anew.
    return put(layout, media_type, json.dumps(value, indent=3, sort_keys=True).encode())


def put_manifest(
    layout: Path, config: dict[str, object], layer: dict[str, object], **more: object
) -> dict[str, object]:
    value = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": [layer], **more}
    return put_json(layout, OCI_MANIFEST, value)


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """See :class:`Whole`."""
    from tests.conftest import Wherry

    folder = tmp_path_factory.mktemp("whole")
    layout = folder / "layout"
    text = "FROM scratch\nARG TARGETARCH\nENV ARCH=$TARGETARCH\nCOPY Dockerfile /"
    maker = Wherry(folder / "store")
    dockerfile(maker, folder / "context", text, "app:1", "--platform", BOTH, "-o", f"type=oci,tar=false,dest={layout}")
    (top,) = json.loads((layout / "index.json").read_text())["manifests"]
    (layout / "blobs" / "sha256" / top["digest"].removeprefix("sha256:")).unlink()
    listed = json.loads((maker.store / "blobs" / "sha256" / top["digest"].removeprefix("sha256:")).read_text())
    images = {f"linux/{one['platform']['architecture']}": one["digest"] for one in listed["manifests"]}
    statement = put_json(layout, IN_TOTO, {"_type": "https://in-toto.io/Statement/v0.1"})
    config = put_json(
        layout,
        OCI_CONFIG,
        {
            "architecture": "unknown",
            "os": "unknown",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [statement["digest"]]},
        },
    )
    attestation = put_manifest(layout, config, statement) | {
        "platform": {"architecture": "unknown", "os": "unknown"},
        "annotations": {
            "vnd.docker.reference.digest": images["linux/amd64"],
            "vnd.docker.reference.type": "attestation-manifest",
        },
    }
    drawing = put(layout, "application/x-drawing", b"a wherry under sail")
    artifact = put_manifest(layout, put(layout, EMPTY, b"{}"), drawing, artifactType="application/x-example")
    found = put_index(layout, [*listed["manifests"], attestation, artifact])
    name_in(layout, {"app:1": found})
    return Whole(layout, str(found["digest"]), images)


def put_index(layout: Path, members: list[dict[str, object]]) -> dict[str, object]:
    return put_json(layout, OCI_INDEX, {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": members})


def name_in(layout: Path, names: Mapping[str, dict[str, object]]) -> None:
    """Write a layout's index.json."""
    listed = [{**one, "annotations": {"org.opencontainers.image.ref.name": name}} for name, one in names.items()]
    (layout / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": listed}))


@pytest.fixture
def counted(open_registry: Registry) -> Iterator[Wire]:
    """A way to the open registry that counts bytes."""
    with wire(open_registry.host) as made:
        yield made


def raw(address: str) -> str:
    """The digest of what skopeo reads at ``address``."""
    tls = ["--tls-verify=false"] if address.startswith("docker://") else []
    return "sha256:" + hashlib.sha256(skopeo("inspect", "--raw", *tls, address).encode()).hexdigest()


def blobs_in(address: str) -> set[str]:
    """The blobs that an archive or a layout holds."""
    transport, path, *_ = address.split(":")
    if transport == "oci":
        return blobs_of(Path(path))
    with tarfile.open(path) as tar:
        return {Path(member.name).name for member in tar if member.isfile() and "blobs/sha256/" in member.name}


def digest(copied: str) -> str:
    """The digest in a line of what ``wherry copy`` prints."""
    return copied.strip().rpartition("@")[2]


# -- all of it, byte for byte ------------------------------------------------------------------------


@pytest.fixture
def place(open_registry: Registry, tmp_path: Path) -> Mapping[str, str]:
    """An address that is free, for each transport that holds everything."""
    return {
        "docker": f"docker://{open_registry.host}/{tmp_path.name.lower()}/app:1",
        "oci": f"oci:{tmp_path}/layout:app:1",
        "oci-archive": f"oci-archive:{tmp_path}/archive.tar:app:1",
        "store": "app:1",
    }


@pytest.mark.parametrize("source", ["docker", "oci", "oci-archive", "store"])
def test_an_index_is_copied_with_everything_in_it(
    source: str, place: Mapping[str, str], whole: Whole, machine: Machine, tmp_path: Path
) -> None:
    first = machine("first")
    assert digest(first.ok("copy", f"oci:{whole.layout}:app:1", place[source]).stdout) == whole.digest
    there = machine("second") if source != "store" else first  # a machine that has nothing of it yet
    free = {**place, "docker": f"{place['docker']}-again", "store": "again:1"}
    free |= {kind: free[kind].replace(f"{tmp_path}/", f"{tmp_path}/again-") for kind in ("oci", "oci-archive")}
    copied = there.ok("copy", place[source], *free.values()).stdout.splitlines()
    assert copied == [f"{target.removeprefix('docker://')}@{whole.digest}" for target in free.values()]
    for target in (free["docker"], free["oci"], free["oci-archive"], f"oci:{there.store}:again:1"):
        assert raw(target) == whole.digest
    assert blobs_in(free["oci"]) == whole.blobs
    assert blobs_in(free["oci-archive"]) == whole.blobs
    assert whole.blobs <= blobs_of(there.store)
    machine("third").ok("copy", free["docker"], f"oci:{tmp_path}/read:1")
    assert blobs_of(tmp_path / "read") == whole.blobs


def test_skopeo_copies_what_was_copied_and_comes_to_the_same(
    whole: Whole, machine: Machine, place: Mapping[str, str], tmp_path: Path
) -> None:
    machine("here").ok("copy", f"oci:{whole.layout}", place["docker"])
    skopeo("copy", "--all", "--src-tls-verify=false", place["docker"], f"oci:{tmp_path}/theirs:1")
    machine("here").ok("copy", place["docker"], f"oci:{tmp_path}/ours:1")
    assert raw(f"oci:{tmp_path}/theirs:1") == raw(f"oci:{tmp_path}/ours:1") == whole.digest
    assert blobs_of(tmp_path / "theirs") == blobs_of(tmp_path / "ours")


def test_an_index_in_an_index_comes_along(
    machine: Machine, place: Mapping[str, str], whole: Whole, tmp_path: Path
) -> None:
    layout = tmp_path / "nested"
    shutil.copytree(whole.layout, layout)
    (inner,) = json.loads((layout / "index.json").read_text())["manifests"]
    outer = put_index(layout, [inner, put_index(layout, [inner])])
    name_in(layout, {"outer": outer})
    machine("here").ok("copy", f"oci:{layout}:outer", place["docker"])
    machine("there").ok("copy", place["docker"], f"oci:{tmp_path}/read:1")
    assert blobs_of(tmp_path / "read") == blobs_of(layout)
    arm = machine("there").ok("copy", "--platform=linux/arm64", place["docker"], "arm").stdout
    assert digest(arm) == whole.images["linux/arm64"]


def test_a_docker_image_stays_one(machine: Machine, place: Mapping[str, str], tmp_path: Path) -> None:
    here = machine("here")
    built(here, tmp_path, "app", "a")
    theirs = f"{place['docker']}-theirs"
    here.ok("copy", "app", f"oci:{tmp_path}/made:1")
    skopeo("copy", "--dest-tls-verify=false", "--format=v2s2", f"oci:{tmp_path}/made:1", theirs)
    for target in place.values():
        copied = machine("there").ok("copy", theirs, target).stdout
        assert digest(copied) == raw(theirs)
    # Where a layout holds nothing else: by its name this skopeo finds OCI manifests alone.
    for address in (place["docker"], place["oci"].removesuffix(":app:1"), f"oci:{tmp_path}/there/store"):
        tls = ["--tls-verify=false"] if address.startswith("docker://") else []
        assert json.loads(skopeo("inspect", "--raw", *tls, address))["mediaType"] == DOCKER_MANIFEST
        assert raw(address) == raw(theirs)


def test_an_artifact_alone_is_copied(machine: Machine, place: Mapping[str, str], tmp_path: Path) -> None:
    layout = tmp_path / "made"
    (layout / "blobs" / "sha256").mkdir(parents=True)
    (layout / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    chart = put(layout, "application/x-chart", b"not even a tar")
    name_in(layout, {"chart": put_manifest(layout, put(layout, EMPTY, b"{}"), chart)})
    machine("here").ok("copy", f"oci:{layout}", place["docker"])
    machine("there").ok("copy", place["docker"], "chart")
    machine("there").ok("copy", "chart", place["oci"])
    assert blobs_in(place["oci"]) == blobs_of(layout)
    refused = machine("there")("copy", "chart", f"docker-archive:{tmp_path}/chart.tar")
    assert (refused.returncode, "is no image" in refused.stderr) == (2, True)
    refused = machine("there")("copy", "--platform=linux/amd64", place["docker"], "amd")
    assert (refused.returncode, "has no image for linux/amd64" in refused.stderr) == (2, True)


def test_what_the_store_has_been_given_is_pushed_whole(
    machine: Machine, place: Mapping[str, str], whole: Whole, open_registry: Registry
) -> None:
    here = machine("here")
    here.ok("copy", f"oci:{whole.layout}", "app:1")
    name = place["docker"].removeprefix("docker://")
    assert here.ok("push", "app:1", name).stdout == f"{name}@{whole.digest}\n"
    assert raw(place["docker"]) == whole.digest
    assert whole.blobs <= open_registry.blobs()


# -- one of it ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", ["docker", "oci", "oci-archive", "store"])
def test_one_platform_is_taken_out_of_an_index(
    source: str, place: Mapping[str, str], whole: Whole, machine: Machine, tmp_path: Path
) -> None:
    here = machine("here")
    here.ok("copy", f"oci:{whole.layout}", place[source])
    copied = here.ok("copy", "--platform=linux/arm64", place[source], f"oci:{tmp_path}/arm:1").stdout
    assert digest(copied) == whole.images["linux/arm64"] == raw(f"oci:{tmp_path}/arm:1")
    assert len(blobs_of(tmp_path / "arm")) == 3
    refused = here("copy", "--platform=linux/s390x", place[source], "other")
    assert refused.returncode == 2
    assert "It has: linux/amd64, linux/arm64." in refused.stderr


def test_a_docker_archive_holds_the_image_for_this_machine_or_the_one_that_is_meant(
    whole: Whole, machine: Machine, tmp_path: Path
) -> None:
    here = machine("here")
    native = str(api.Platform.native())
    copied = here.ok("copy", f"oci:{whole.layout}", f"docker-archive:{tmp_path}/one.tar:app:1").stdout
    assert copied == f"docker-archive:{tmp_path}/one.tar:app:1@{whole.images[native]}\n"
    here.ok("copy", "--platform=linux/arm64", f"oci:{whole.layout}", f"docker-archive:{tmp_path}/arm.tar:app:1")
    found = json.loads(skopeo("inspect", "--config", f"docker-archive:{tmp_path}/arm.tar:app:1"))
    assert found["architecture"] == "arm64"
    # An archive for another platform needs no word to be read: there is nothing to choose.
    here.ok("copy", f"docker-archive:{tmp_path}/arm.tar", "arm:1")
    assert json.loads(here.ok("images", "--format=json").stdout)[0]["platforms"] == ["linux/arm64"]
    refused = here("copy", "--platform=linux/amd64", f"docker-archive:{tmp_path}/arm.tar", "amd:1")
    assert (refused.returncode, "It has: linux/arm64" in refused.stderr) == (2, True)


def test_an_image_keeps_its_id_through_archives_and_layers_are_compressed_once(
    machine: Machine, tmp_path: Path, place: Mapping[str, str]
) -> None:
    here, there = machine("here"), machine("there")
    built(here, tmp_path, "app", "a", "b")
    here.ok("copy", "app", f"docker-archive:{tmp_path}/ours.tar:app:1")
    skopeo("copy", f"docker-archive:{tmp_path}/ours.tar:app:1", f"docker-archive:{tmp_path}/theirs.tar:app:2")
    first = there.ok("copy", f"docker-archive:{tmp_path}/theirs.tar", place["docker"], "app:2").stdout.splitlines()
    second = there.ok("copy", f"docker-archive:{tmp_path}/theirs.tar:app:2", place["oci"]).stdout
    assert {digest(line) for line in first} == {digest(second)}
    config = skopeo("inspect", "--config", "--raw", f"docker-archive:{tmp_path}/theirs.tar")
    assert skopeo("inspect", "--config", "--raw", place["oci"]) == config


def test_an_archive_may_have_several_names(machine: Machine, whole: Whole, tmp_path: Path) -> None:
    here = machine("here")
    names = ("one:1", "two:2")
    here.ok("copy", f"oci:{whole.layout}", *(f"docker-archive:{tmp_path}/docker.tar:{name}" for name in names))
    here.ok("copy", f"oci:{whole.layout}", *(f"oci-archive:{tmp_path}/oci.tar:{name}" for name in names))
    for name in names:
        skopeo("inspect", f"docker-archive:{tmp_path}/docker.tar:{name}")
        assert raw(f"oci-archive:{tmp_path}/oci.tar:{name}") == whole.digest


def test_docker_gives_and_takes(docker: Docker, machine: Machine, place: Mapping[str, str], tmp_path: Path) -> None:
    here = machine("here")
    daemon = type(here)(here.store, env={**here.env, "DOCKER_HOST": docker.host})
    built(here, tmp_path, "app", "a", "b")
    said = daemon.ok("copy", "app", "docker-daemon:copied:1", "docker-daemon:copied:2").stdout.splitlines()
    assert [line.partition("@")[0] for line in said] == ["docker-daemon:copied:1", "docker-daemon:copied:2"]
    ids = docker("image", "inspect", "--format={{.Id}}", "copied:1", "copied:2").stdout.split()
    assert len(ids) == 2
    assert len({*ids}) == 1
    daemon.ok("copy", "docker-daemon:copied:1", place["docker"], "back:1")
    config = skopeo("inspect", "--config", "--raw", "--tls-verify=false", place["docker"])
    assert f"sha256:{hashlib.sha256(config.encode()).hexdigest()}" == ids[0]
    daemon.ok("copy", place["docker"], "docker-daemon:again")
    assert docker("image", "inspect", "--format={{.Id}}", "again").stdout.split() == ids[:1]
    unknown = daemon("copy", "docker-daemon:nobody/has:this", "x")
    assert unknown.returncode == 1
    assert "nobody/has:this" in unknown.stderr
    assert "`docker images`" in unknown.stderr
    assert [line for line in here.leftovers() if line.startswith("temporary")] == []


# -- what moves --------------------------------------------------------------------------------------


@pytest.fixture
def large(machine: Machine, counted: Wire, tmp_path: Path) -> str:
    """An image of three megabytes at the open registry, which another machine has pushed."""
    folder = tmp_path / "large-context"
    folder.mkdir()
    (folder / "large").write_bytes(hashlib.shake_128(str(tmp_path).encode()).digest(3_000_000))
    name = f"{counted.host}/{tmp_path.name.lower()}/large:1"
    dockerfile(machine("elsewhere"), folder, "FROM scratch\nCOPY large /", name, "--push")
    counted.up = counted.down = 0
    return name


def test_what_is_next_door_in_the_same_registry_is_taken_over_there(
    machine: Machine, large: str, counted: Wire
) -> None:
    here = machine("here")
    target = large.replace("/large:1", "/copy:1")
    said = here.ok("copy", f"docker://{large}", f"docker://{target}")
    assert "\n0 B copied" in said.stderr
    assert counted.up + counted.down < 50_000
    assert sum(path.stat().st_size for path in (here.store / "blobs" / "sha256").iterdir()) < 50_000
    machine("there").ok("pull", target)


def test_what_the_other_registry_has_does_not_move(machine: Machine, large: str, counted: Wire, tmp_path: Path) -> None:
    with registry(tmp_path / "other") as other, wire(other.host) as way:
        targets = [f"docker://{way.host}/moved:{tag}" for tag in ("1", "2", "3")]
        here = machine("here")
        here.ok("copy", f"docker://{large}", *targets)
        assert 3_000_000 < way.up < 3_100_000
        assert 3_000_000 < counted.down < 3_100_000
        assert other.tags("moved") == {"1", "2", "3"}
        assert {raw(target) for target in targets} == {raw(f"docker://{large}")}
        assert not (here.store / "rootfs").exists()
        assert not (here.store / "records").exists()
        way.up = counted.down = 0
        machine("there").ok("copy", f"docker://{large}", targets[0])
        assert way.up + counted.down < 50_000


def test_what_a_layout_has_is_not_fetched(machine: Machine, large: str, counted: Wire, tmp_path: Path) -> None:
    machine("here").ok("copy", f"docker://{large}", f"oci:{tmp_path}/layout:1")
    assert counted.down > 3_000_000
    counted.down = 0
    machine("there").ok("copy", f"docker://{large}", f"oci:{tmp_path}/layout:2")
    assert counted.down < 50_000
    assert raw(f"oci:{tmp_path}/layout:1") == raw(f"oci:{tmp_path}/layout:2")


def test_what_a_layout_has_does_not_come_into_the_store_if_nobody_wants_it(
    machine: Machine, large: str, tmp_path: Path
) -> None:
    machine("here").ok("copy", f"docker://{large}", f"oci:{tmp_path}/layout:1")
    there = machine("there")
    there.ok("copy", f"oci:{tmp_path}/layout:1", f"docker://{large}")
    assert sum(path.stat().st_size for path in (there.store / "blobs" / "sha256").iterdir()) < 50_000


def test_other_images_of_a_layout_stay_and_one_of_the_same_name_is_replaced(
    machine: Machine, whole: Whole, tmp_path: Path
) -> None:
    here = machine("here")
    small = built(here, tmp_path, "small", "a")
    layout = f"oci:{tmp_path}/layout"
    here.ok("copy", f"oci:{whole.layout}", f"{layout}:one", f"{layout}:two")
    here.ok("copy", "small", f"{layout}:two")
    assert (raw(f"{layout}:one"), raw(f"{layout}:two")) == (whole.digest, small)


def test_the_copy_in_the_store_is_an_image_as_any_other(
    machine: Machine, large: str, counted: Wire, tmp_path: Path
) -> None:
    here = machine("here")
    said = here.ok("copy", f"docker://{large}", "large:1")
    assert "3.0 MB copied" in said.stderr
    assert [row["name"] for row in json.loads(here.ok("images", "--format=json").stdout)] == ["large:1"]
    assert here.leftovers() == []
    (tmp_path / "on").mkdir()
    (tmp_path / "on" / "Dockerfile").write_text("FROM large:1\n")
    here.ok("build", tmp_path / "on", "--offline", "-o", tmp_path / "out")
    assert (tmp_path / "out" / "large").stat().st_size == 3_000_000


def test_an_archive_goes_through_a_pipe(machine: Machine, whole: Whole, tmp_path: Path) -> None:
    here = machine("here")
    with (tmp_path / "piped.tar").open("wb") as file:
        done = subprocess.run(
            here.command("copy", f"oci:{whole.layout}", "oci-archive:-:app:1"),
            env=here.environment(),
            stdout=file,
            stderr=subprocess.PIPE,
            check=True,
        )
    assert f"@{whole.digest}".encode() in done.stderr
    assert raw(f"oci-archive:{tmp_path}/piped.tar:app:1") == whole.digest


def test_python_copies_too(whole: Whole, tmp_path: Path) -> None:
    with api.open_store(tmp_path / "store") as store:
        (done,) = api.copy(f"oci:{whole.layout}", [f"oci:{tmp_path}/one:1", f"oci:{tmp_path}/one:2"], store=store)
    assert (done.names, done.digest) == ((f"oci:{tmp_path}/one:1", f"oci:{tmp_path}/one:2"), whole.digest)
    assert done.bytes == sum(path.stat().st_size for path in (whole.layout / "blobs" / "sha256").iterdir())


# -- what cannot be done -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "target", "words"),
    [
        ("ocl:/x", "x", "unknown transport 'ocl'"),
        ("dir:x", "x", "unknown transport 'dir'"),
        ("https://example.com/x", "x", "unknown transport 'https'"),
        ("docker:busybox", "x", "Write docker://NAME[:TAG]"),
        ("oci:", "x", "leads nowhere"),
        ("docker://", "x", "leads nowhere"),
        ("", "x", "an address is empty"),
        ("oci:/nowhere:1", "x", "there is no /nowhere:1"),
        ("oci-archive:/nowhere.tar", "x", "there is no /nowhere.tar"),
        ("docker-archive:/nowhere.tar", "x", "there is no /nowhere.tar"),
        ("nobody", "x", "An image at a registry is docker://nobody."),
        ("docker://UPPER", "x", "invalid image reference"),
        ("LAYOUT:none", "x", "It has: app:1"),
        ("LAYOUT", "ocl:/x", "unknown transport 'ocl'"),
        ("LAYOUT", "docker:busybox", "Write docker://NAME[:TAG]"),
        ("LAYOUT", f"docker://a/b@sha256:{64 * '0'}", "it has a digest"),
        ("LAYOUT", f"oci:x@sha256:{64 * '0'}", "it has a digest"),
        ("LAYOUT", "oci:FOLDER/file:1", "is a file"),
        ("LAYOUT", "oci:FOLDER:1", "neither empty nor an image layout"),
        ("LAYOUT", "oci:x:a b", "cannot be the name"),
        ("LAYOUT", "oci-archive:FOLDER", "is a directory"),
        ("LAYOUT", "docker-archive:FOLDER:x", "is a directory"),
        ("LAYOUT", "docker-archive:x:UPPER", "invalid image reference"),
    ],
)
def test_nonsense_is_refused_with_a_hint(source: str, target: str, words: str, whole: Whole, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_text("a thesis")
    source = source.replace("LAYOUT", f"oci:{whole.layout}")
    target = target.replace("FOLDER", str(tmp_path / "folder"))
    with api.open_store(tmp_path / "store") as store, pytest.raises(WherryError) as caught:
        api.copy(source, [target], store=store)
    assert words in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] in (["folder"], ["folder", "store"], ["store", "folder"])


def test_a_tag_that_is_not_there_is_an_error_that_names_those_that_are(
    machine: Machine, place: Mapping[str, str], whole: Whole
) -> None:
    here = machine("here")
    here.ok("copy", f"oci:{whole.layout}", *(f"{place['docker']}.{number}" for number in range(12)))
    missing = here("copy", f"{place['docker']}.99", "x")
    assert missing.returncode == 1
    assert "manifest unknown" in missing.stderr
    assert "1.9, " in missing.stderr
    assert "and 2 more" in missing.stderr


@pytest.mark.parametrize(
    "media_type",
    [
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
        "application/vnd.docker.distribution.manifest.v1+json",
    ],
)
def test_an_image_of_schema_1_is_refused(media_type: str, whole: Whole, tmp_path: Path, machine: Machine) -> None:
    layout = tmp_path / "old"
    shutil.copytree(whole.layout, layout)
    name_in(layout, {"old": put_json(layout, media_type, {"schemaVersion": 1})})
    refused = machine("here")("copy", f"oci:{layout}:old", "x")
    assert refused.returncode == 1
    assert "schema 1 is out of use" in refused.stderr


@pytest.mark.parametrize("damage", ["altered", "missing"])
def test_of_what_is_damaged_nothing_shows_anywhere(
    damage: str, whole: Whole, machine: Machine, place: Mapping[str, str], open_registry: Registry, tmp_path: Path
) -> None:
    layout = tmp_path / "damaged"
    shutil.copytree(whole.layout, layout)
    (victim,) = (path for path in layout.rglob("*") if path.is_file() and path.read_bytes() == b"a wherry under sail")
    victim.write_bytes(b"a wherry under soil") if damage == "altered" else victim.unlink()
    with tarfile.open(tmp_path / "damaged.tar", "w") as tar:
        tar.add(layout, ".")
    here = machine("here")
    repository = place["docker"].partition("/")[2].partition("/")[2].partition("/")[2].removesuffix(":1")
    for source in (f"oci:{layout}", f"oci-archive:{tmp_path}/damaged.tar"):
        for target in (place["docker"], place["oci-archive"], place["oci"], place["store"]):
            refused = here("copy", source, target)
            assert refused.returncode == 1
            assert "damaged" in refused.stderr if damage == "altered" else "not complete" in refused.stderr
    assert open_registry.tags(repository) == set()
    assert not (tmp_path / "archive.tar").exists()
    assert not (tmp_path / "layout" / "index.json").exists()
    assert here.ok("images", "-q").stdout == ""


def test_several_images_in_a_layout_want_a_name_or_a_platform(whole: Whole, machine: Machine, tmp_path: Path) -> None:
    here = machine("here")
    here.ok("copy", f"oci:{whole.layout}", f"oci:{tmp_path}/layout:one")
    built(here, tmp_path, "small", "a")
    here.ok("copy", "small", f"oci:{tmp_path}/layout:two")
    refused = here("copy", f"oci:{tmp_path}/layout", "x")
    assert (refused.returncode, "one, two" in refused.stderr) == (2, True)
    index = tmp_path / "layout" / "index.json"
    members = json.loads((whole.layout / "blobs" / "sha256" / whole.digest.removeprefix("sha256:")).read_text())
    index.write_text(json.dumps({"schemaVersion": 2, "manifests": members["manifests"][:2]}))
    refused = here("copy", f"oci:{tmp_path}/layout", "x")
    assert (refused.returncode, "linux/amd64" in refused.stderr, "--platform" in refused.stderr) == (2, True, True)
    said = here.ok("copy", "--platform=linux/arm64", f"oci:{tmp_path}/layout", "x").stdout
    assert digest(said) == whole.images["linux/arm64"]
    by_digest = here.ok("copy", f"oci:{tmp_path}/layout@{whole.images['linux/amd64']}", "x").stdout
    assert digest(by_digest) == whole.images["linux/amd64"]


def test_a_registry_without_a_trusted_certificate_is_for_those_who_say_so(
    machine: Machine, tls: Tls, whole: Whole, tmp_path: Path
) -> None:
    here = machine("here")
    with registry(tmp_path / "registry", tls=tls) as server:
        target = f"docker://{server.host}/private:1"
        refused = here("copy", f"oci:{whole.layout}", target)
        assert (refused.returncode, "certificate is not trusted" in refused.stderr) == (1, True)
        here.ok("copy", "--insecure-registry", server.host, f"oci:{whole.layout}", target)
        here.ok("copy", "--insecure-registry", server.host, target, "private:1")
