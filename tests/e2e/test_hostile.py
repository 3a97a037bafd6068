"""Contexts, archives, stages and bases that mean harm: nothing outside of the root filesystem is read or written."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from wherry.image import Image
from wherry.layers.compression import Compression
from wherry.layers.entry import Entry
from wherry.layers.merge import merged
from wherry.layers.writer import LayerWriter
from wherry.store import Store
from wherry.store.listing import find_descriptor

if TYPE_CHECKING:
    from tests.conftest import Wherry

pytestmark = pytest.mark.e2e

MakeProject = Callable[..., Path]

BASE = "wherry.test/victim"
SECRET = "a secret of this machine"
ISOLATIONS = ("default", "chroot")


@pytest.fixture(scope="module")
def shell(warm: Wherry, tmp_path_factory: pytest.TempPathFactory) -> Wherry:
    """The command with a base in its store that has a shell."""
    folder = tmp_path_factory.mktemp("victim")
    (folder / "Dockerfile").write_text("FROM debian\n")
    warm.ok("build", "-t", BASE, "--build-context", "debian=debian://trixie?shell=1", folder)
    return warm


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder of this machine that no build may look into or change."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "secret").write_text(SECRET)
    return folder


def untouched(outside: Path) -> bool:
    """Whether the folder is as it was."""
    return {path.name for path in outside.iterdir()} == {"secret"} and (outside / "secret").read_text() == SECRET


def contents(wherry: Wherry, name: str) -> dict[str, bytes]:
    """The regular files of an image."""
    with Store(wherry.store) as store:
        image = _image(name, store)
        layers = [store.blobs.path(layer.descriptor.digest) for layer in image.layers]
        return {entry.path: data.read() for entry, data in merged(layers) if data is not None}


def holds_secret(wherry: Wherry, name: str) -> bool:
    return any(SECRET.encode() in data for data in contents(wherry, name).values())


def plant(wherry: Wherry, name: str, links: Mapping[str, str]) -> None:
    """Name an image in the store that is the base with symbolic links in place of what was there."""
    with Store(wherry.store) as store:
        base = _image(BASE, store)
        with LayerWriter(store.blobs, Compression()) as writer:
            for path, target in links.items():
                writer.add(Entry(path, "symlink", 0o777, link=target))
            layer = writer.finish()
        image = Image.of(replace(base.config, history=()), (*base.layers, layer), {})
        store.tag((f"{name}:latest",), store.add_image(image))


def _image(name: str, store: Store) -> Image:
    found = store.load(find_descriptor(store, name))
    assert isinstance(found, Image)
    return found


# -- contexts ------------------------------------------------------------------------------------------


def test_a_link_in_the_context_leads_nowhere_but_into_the_context(
    shell: Wherry, project: MakeProject, outside: Path
) -> None:
    folder = project({"Dockerfile": "FROM scratch\nCOPY link /\n"})
    (folder / "link").symlink_to(outside / "secret")
    result = shell("build", "-t", "leak", folder)
    assert result.returncode != 0
    assert "Dockerfile:2" in result.stderr


def test_a_link_to_a_directory_outside_is_not_entered(shell: Wherry, project: MakeProject, outside: Path) -> None:
    folder = project({"Dockerfile": "FROM scratch\nCOPY . /\n"})
    (folder / "link").symlink_to(outside)
    (folder / "up").symlink_to("../outside/secret")
    shell.ok("build", "-t", "linked", folder)
    assert not holds_secret(shell, "linked")


def test_a_source_above_the_context_is_not_there(shell: Wherry, project: MakeProject, outside: Path) -> None:
    folder = project({"Dockerfile": f"FROM scratch\nCOPY ../{outside.name}/secret /\n"})
    result = shell("build", "-t", "above", folder)
    assert result.returncode != 0
    assert SECRET not in result.stderr


def test_a_bound_link_shows_nothing_of_this_machine(shell: Wherry, project: MakeProject, outside: Path) -> None:
    folder = project({"Dockerfile": f"FROM {BASE}\nRUN --mount=type=bind,source=link,target=/m cat /m > /got\n"})
    (folder / "link").symlink_to(outside / "secret")
    result = shell("build", "-t", "bound", folder)
    assert result.returncode != 0
    assert SECRET not in result.stderr


# -- archives ------------------------------------------------------------------------------------------


def archive(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> None:
    with tarfile.open(path, "w") as opened:
        for info, data in members:
            info.size = len(data)
            opened.addfile(info, io.BytesIO(data))


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info, b""


def file(name: str) -> tuple[tarfile.TarInfo, bytes]:
    return tarfile.TarInfo(name), b"planted"


@pytest.mark.parametrize("name", ["../escaped", "a/../../escaped", "/../../escaped"])
def test_an_archives_names_do_not_leave_the_root(shell: Wherry, project: MakeProject, outside: Path, name: str) -> None:
    folder = project({"Dockerfile": f"FROM {BASE}\nADD evil.tar /in/\nRUN true\n"})
    archive(folder / "evil.tar", file(name))
    result = shell("build", "-t", "climbing", folder)
    assert "Traceback" not in result.stderr
    assert not list(folder.parent.rglob("escaped"))
    if result.returncode == 0:
        assert all(
            path.startswith(("in/", "escaped"))
            for path, data in contents(shell, "climbing").items()
            if data == b"planted"
        )


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_an_archives_links_are_followed_inside_the_root_only(
    shell: Wherry, project: MakeProject, outside: Path, isolation: str
) -> None:
    folder = project({"Dockerfile": f"FROM {BASE}\nADD evil.tar /\nRUN ls / # {isolation}\n"})
    archive(folder / "evil.tar", link("way", str(outside)), file("way/planted"))
    shell("build", "-t", "ways", "--isolation", isolation, folder)
    assert untouched(outside)


def test_an_archives_hard_link_to_this_machines_files_is_refused(
    shell: Wherry, project: MakeProject, outside: Path
) -> None:
    folder = project({"Dockerfile": f"FROM {BASE}\nADD evil.tar /\nRUN cat /hard\n"})
    archive(folder / "evil.tar", link("hard", str(outside / "secret"), tarfile.LNKTYPE))
    result = shell("build", "-t", "hard", folder)
    assert result.returncode != 0
    assert SECRET not in result.stderr


def test_a_context_in_an_archive_is_unpacked_nowhere_else(
    shell: Wherry, project: MakeProject, outside: Path, tmp_path: Path
) -> None:
    path = tmp_path / "context.tar"
    dockerfile = (tarfile.TarInfo("Dockerfile"), b"FROM scratch\nCOPY . /\n")
    archive(path, dockerfile, link("way", str(outside)), file("way/planted"), file("../escaped"))
    result = shell("build", "-t", "packed", path)
    assert "Traceback" not in result.stderr
    assert untouched(outside)
    assert not list(tmp_path.rglob("escaped"))


# -- stages --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_a_link_that_a_stage_has_planted_leads_nowhere_but_into_that_stage(
    shell: Wherry, project: MakeProject, outside: Path, isolation: str
) -> None:
    plants = f"ln -s {outside}/secret /leak && ln -s {outside} /way && mkdir /sub && ln -s ../..{outside} /sub/way"
    for source in ("/leak", "/way/secret", "/sub/way/secret"):
        text = f"FROM {BASE} AS one\nRUN {plants} # {isolation}\nFROM scratch\nCOPY --from=one {source} /got\n"
        folder = project({"Dockerfile": text})
        result = shell("build", "-t", "planted", "--isolation", isolation, folder)
        assert result.returncode != 0, source
        assert SECRET not in result.stderr


def test_a_planted_link_is_not_followed_by_a_destination(shell: Wherry, project: MakeProject, outside: Path) -> None:
    text = f"""
FROM {BASE}
RUN ln -s {outside} /way
COPY data /way/
WORKDIR /way/deeper
RUN echo 1 > /way/planted; ls /way
"""
    folder = project({"Dockerfile": text, "data": "planted"})
    shell("build", "-t", "destinations", folder)
    assert untouched(outside)


@pytest.mark.parametrize("isolation", ISOLATIONS)
def test_mounts_are_not_led_out_of_the_root(shell: Wherry, project: MakeProject, outside: Path, isolation: str) -> None:
    text = f"""
FROM {BASE}
RUN ln -s {outside} /way && ln -s {outside}/secret /file # {isolation}
RUN --mount=type=cache,target=/way/cache --mount=type=tmpfs,target=/way/tmp \
    --mount=type=secret,id=word,target=/file echo 1 > /way/cache/x
"""
    folder = project({"Dockerfile": text, "word": "word"})
    shell("build", "--secret", f"id=word,src={folder / 'word'}", "--isolation", isolation, folder)
    assert untouched(outside)


# -- bases ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("isolation", ISOLATIONS)
@pytest.mark.parametrize("path", ["proc", "sys", "dev", "etc", "tmp", "etc/resolv.conf", "etc/hosts", "run"])
def test_a_base_that_has_a_link_where_something_is_mounted(
    shell: Wherry, project: MakeProject, outside: Path, path: str, isolation: str
) -> None:
    name = f"wherry.test/evil-{path.replace('/', '-')}"
    plant(shell, name, {path: f"{outside}/secret" if "." in path or "/" in path else str(outside)})
    text = (
        f"FROM {name}\nRUN --mount=type=secret,id=word echo 1 > /tmp/x; ls /proc /dev # {isolation}\nWORKDIR /etc/x\n"
    )
    folder = project({"Dockerfile": text, "word": "word"})
    result = shell("build", "--secret", f"id=word,src={folder / 'word'}", "--isolation", isolation, folder)
    assert "Traceback" not in result.stderr
    assert "internal error" not in result.stderr
    assert SECRET not in result.stderr
    assert untouched(outside)


def test_the_passwd_of_a_base_is_never_this_machines(shell: Wherry, project: MakeProject, outside: Path) -> None:
    (outside / "secret").write_text("evil:x:4242:4242::/:/bin/sh\n")
    plant(shell, "wherry.test/evil-passwd", {"etc/passwd": str(outside / "secret")})
    folder = project({"Dockerfile": "FROM wherry.test/evil-passwd\nCOPY --chown=evil data /\n", "data": ""})
    if shell("build", "-t", "evil-passwd", folder).returncode == 0:
        with Store(shell.store) as store:
            blob = store.blobs.path(_image("evil-passwd", store).layers[-1].descriptor.digest)
            assert [entry.uid for entry, _ in merged([blob]) if entry.path == "data"] == [0]
