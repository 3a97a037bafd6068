"""Build contexts from everywhere: directories, archives, standard input, URLs, repositories; hostile ones too."""

from __future__ import annotations

import io
import os
import random
import stat
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.sources.conftest import MODIFIED, Repository, Server, git, member, packed

from wherry.errors import NetworkError, UsageError, WherryError
from wherry.events import Reporter, Task
from wherry.fetch import Fetcher
from wherry.sources.archive import is_archive, unpack_context
from wherry.sources.context import walk
from wherry.sources.location import open_context
from wherry.store import Store
from wherry.store.files import remove_tree


def names(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


def opened(text: str, store: Store, fetcher: Fetcher, task: Task, stdin: bytes = b"") -> list[str]:
    with open_context(text, store=store, fetcher=fetcher, task=task, stdin=io.BytesIO(stdin)) as context:
        return names(context.root)


# -- kinds -----------------------------------------------------------------------------------------


def test_a_directory_is_taken_where_it_is(tmp_path: Path, store: Store, fetcher: Fetcher, task: Task) -> None:
    (tmp_path / "project").mkdir()
    with open_context(str(tmp_path / "project"), store=store, fetcher=fetcher, task=task) as context:
        assert context.root == tmp_path / "project"
        assert not context.ours
    assert context.root.exists()


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
@pytest.mark.parametrize("place", ["file", "stdin"])
def test_an_archive_is_unpacked_and_goes_again(
    tmp_path: Path, store: Store, fetcher: Fetcher, task: Task, mode: str, place: str
) -> None:
    data = packed(("Dockerfile", b"FROM scratch\n"), ("app/main.py", b"x"), mode=mode)
    (tmp_path / "context").write_bytes(data)
    text = "-" if place == "stdin" else str(tmp_path / "context")
    with open_context(text, store=store, fetcher=fetcher, task=task, stdin=io.BytesIO(data)) as context:
        assert names(context.root) == ["Dockerfile", "app", "app/main.py"]
        assert context.ours
        assert context.from_stdin is (place == "stdin")
    assert not list(store.scratch().iterdir())


def test_zstd_is_understood_too(tmp_path: Path, store: Store, fetcher: Fetcher, task: Task) -> None:
    import zstandard

    data = zstandard.ZstdCompressor().compress(packed(("Dockerfile", b"FROM scratch\n")))
    assert opened("-", store, fetcher, task, data) == ["Dockerfile"]


def test_a_dockerfile_on_standard_input_has_an_empty_context(store: Store, fetcher: Fetcher, task: Task) -> None:
    stdin = io.BytesIO(b"FROM scratch\n" * 1000)
    with open_context("-", store=store, fetcher=fetcher, task=task, stdin=stdin) as context:
        assert context.dockerfile == b"FROM scratch\n" * 1000
        assert names(context.root) == []


def test_nothing_on_standard_input_is_an_error(store: Store, fetcher: Fetcher, task: Task) -> None:
    with pytest.raises(UsageError, match="standard input is empty"):
        opened("-", store, fetcher, task)


def test_a_url_of_an_archive_is_a_context(server: Server, store: Store, fetcher: Fetcher, task: Task) -> None:
    server.files["/context"] = packed(("Dockerfile", b"FROM scratch\n"), mode="w:gz")
    assert opened(f"{server.url}/context", store, fetcher, task) == ["Dockerfile"]


def test_a_url_of_a_dockerfile_is_a_context_of_one_file(
    server: Server, store: Store, fetcher: Fetcher, task: Task
) -> None:
    server.files["/Dockerfile.web"] = b"FROM scratch\n"
    with open_context(f"{server.url}/Dockerfile.web", store=store, fetcher=fetcher, task=task) as context:
        assert context.dockerfile == b"FROM scratch\n"
        assert names(context.root) == ["context"]


def test_a_repository_is_a_context(
    repository: Repository, server: Server, store: Store, fetcher: Fetcher, task: Task
) -> None:
    url = repository.publish(server, "x.git")
    assert opened(url, store, fetcher, task) == ["Dockerfile", "app", "app/main.py"]
    assert opened(f"{url}#main:app", store, fetcher, task) == ["main.py"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nowhere", "no folder 'nowhere'"),
        ("ftp://example.org/x", "no build context that can be had"),
        ("https://user:secret@", "URL|address|http"),
    ],
)
def test_what_is_not_there_is_an_error(text: str, message: str, store: Store, task: Task) -> None:
    with Fetcher(store.files, offline=True) as offline, pytest.raises(WherryError, match=message) as caught:
        opened(text, store, offline, task)
    assert "secret" not in str(caught.value)


def test_a_file_that_is_no_archive_is_an_error_that_knows_better(
    tmp_path: Path, store: Store, fetcher: Fetcher, task: Task
) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    with pytest.raises(UsageError, match="named by -f"):
        opened(str(tmp_path / "Dockerfile"), store, fetcher, task)


@pytest.mark.parametrize(
    "text",
    [
        "--upload-pack=touch pwned",
        "-u",
        "ext::sh -c touch% pwned",
        "ssh://-oProxyCommand=touch$IFS\\pwned/x.git",
        "git@-oProxyCommand=touch:x",
        "https://example.org/x.git#--upload-pack=touch pwned",
        "fd::17/x.git",
        "x" * 5000,
        "x\0y",
    ],
)
def test_a_hostile_name_is_an_error_and_runs_nothing(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: Store, fetcher: Fetcher, task: Task
) -> None:
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    with pytest.raises(UsageError):
        opened(text, store, fetcher, task)
    assert not list(tmp_path.rglob("pwned*"))


def test_standard_input_that_is_closed_is_an_error(
    store: Store, fetcher: Fetcher, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", None)
    with (
        pytest.raises(UsageError, match="standard input is closed"),
        open_context("-", store=store, fetcher=fetcher, task=task),
    ):
        pass


@pytest.mark.parametrize("name", ["x", "x.git"])
def test_a_url_that_leads_to_files_of_this_machine_is_not_followed(
    name: str, tmp_path: Path, server: Server, store: Store, fetcher: Fetcher, task: Task
) -> None:
    (tmp_path / "private").write_bytes(b"FROM secret\n")
    server.elsewhere = dict.fromkeys(("/x", "/x.git/info/refs"), f"file://{tmp_path}/private")
    with pytest.raises(NetworkError):
        opened(f"{server.url}/{name}", store, fetcher, task)


def test_a_url_of_something_large_that_is_no_archive_is_an_error(
    server: Server, store: Store, fetcher: Fetcher, task: Task
) -> None:
    server.files["/x"] = b"#" * (17 << 20)
    with pytest.raises(WherryError, match="neither a tar archive nor a Dockerfile"):
        opened(f"{server.url}/x", store, fetcher, task)


def test_a_copy_of_a_context_is_closed_to_other_users(store: Store, fetcher: Fetcher, task: Task) -> None:
    stdin = io.BytesIO(packed(("x", b"")))
    with open_context("-", store=store, fetcher=fetcher, task=task, stdin=stdin) as context:
        assert stat.S_IMODE(context.root.parent.stat().st_mode) == 0o700


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=2000))
def test_no_text_is_taken_for_an_archive(text: str) -> None:
    assert not is_archive(("FROM scratch\n" + text).encode())


# -- unpacking -------------------------------------------------------------------------------------


def unpacked(tmp_path: Path, *members: tarfile.TarInfo | tuple[str, bytes]) -> Path:
    root = tmp_path / "root"
    unpack_context(io.BytesIO(packed(*members)), root, "the archive")
    return root


def test_modes_and_times_are_kept_and_owners_are_not(tmp_path: Path) -> None:
    root = unpacked(
        tmp_path, member("run", mode=0o4711, uid=4000), member("d", tarfile.DIRTYPE, mode=0o1777), ("d/x", b"")
    )
    run, folder = (root / "run").stat(), (root / "d").stat()
    assert (run.st_mode & 0o7777, run.st_mtime, run.st_uid) == (0o4711, MODIFIED, os.geteuid())
    assert (folder.st_mode & 0o7777, folder.st_mtime) == (0o1777, MODIFIED)


def test_whiteouts_are_names_like_any_other(tmp_path: Path) -> None:
    root = unpacked(tmp_path, ("a", b"x"), (".wh.a", b"y"), ("d/.wh..wh..opq", b"z"))
    assert names(root) == [".wh.a", "a", "d", "d/.wh..wh..opq"]


def test_links_stay_links(tmp_path: Path) -> None:
    root = unpacked(
        tmp_path,
        ("a", b"x"),
        member("hard", tarfile.LNKTYPE, link="a"),
        member("soft", tarfile.SYMTYPE, link="/etc/passwd"),
        member("pipe", tarfile.FIFOTYPE),
    )
    assert (root / "hard").samefile(root / "a")
    assert str((root / "soft").readlink()) == "/etc/passwd"
    assert stat.S_ISFIFO((root / "pipe").stat().st_mode)


def test_the_last_entry_of_a_name_wins(tmp_path: Path) -> None:
    root = unpacked(
        tmp_path,
        ("a", b"file"),
        member("a", tarfile.DIRTYPE, mode=0o755),
        ("a/b", b"1"),
        ("a", b"again"),
        ("c/d", b"x"),
        member("c", tarfile.SYMTYPE, link="a"),
    )
    assert (root / "a").read_bytes() == b"again"
    assert str((root / "c").readlink()) == "a"


@pytest.mark.parametrize(
    "members",
    [
        [("../outside", b"x")],
        [("a/../../outside", b"x")],
        [member("link", tarfile.SYMTYPE, link=".."), ("link/outside", b"x")],
        [member("link", tarfile.SYMTYPE, link="/"), ("link/tmp/outside", b"x")],
        [member("link", tarfile.SYMTYPE, link=".."), member("link/outside", tarfile.DIRTYPE)],
        [member("hard", tarfile.LNKTYPE, link="../outside")],
        [member("hard", tarfile.LNKTYPE, link="/etc/passwd")],
        [member("l", tarfile.SYMTYPE, link=".."), member("hard", tarfile.LNKTYPE, link="l/victim")],
        [("file", b"x"), ("file/below", b"y")],
    ],
)
def test_nothing_outside_is_written_or_linked(
    tmp_path: Path, members: list[tarfile.TarInfo | tuple[str, bytes]]
) -> None:
    (tmp_path / "victim").write_text("untouched")
    with pytest.raises(WherryError):
        unpacked(tmp_path, *members)
    assert not (tmp_path / "outside").exists()
    assert (tmp_path / "victim").read_text() == "untouched"
    assert (tmp_path / "victim").stat().st_nlink == 1


def test_a_file_is_not_written_through_a_link_of_its_name(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("untouched")
    root = unpacked(tmp_path, member("x", tarfile.SYMTYPE, link="../victim"), ("x", b"new"))
    assert (tmp_path / "victim").read_text() == "untouched"
    assert (root / "x").read_bytes() == b"new"


def test_an_absolute_name_lies_inside(tmp_path: Path) -> None:
    assert names(unpacked(tmp_path, ("/etc/x", b"x"))) == ["etc", "etc/x"]


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz", "zstd"])
def test_a_damaged_archive_is_an_error(tmp_path: Path, mode: str) -> None:
    content = ("a", random.Random(0).randbytes(100_000))
    data = packed(content, mode="w" if mode == "zstd" else mode)
    if mode == "zstd":
        import zstandard

        data = zstandard.ZstdCompressor().compress(data)
    with pytest.raises(WherryError, match="the archive is damaged"):
        unpack_context(io.BytesIO(data[: len(data) // 2]), tmp_path / "root", "the archive")


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE])
def test_a_device_that_may_not_be_made_is_left_out(tmp_path: Path, kind: bytes) -> None:
    device = member("device", kind, mode=0o600)
    device.devmajor, device.devminor = 1, 3
    assert set(names(unpacked(tmp_path, device, ("file", b"")))) - {"device"} == {"file"}


def _sparse(tmp_path: Path, size: int) -> bytes:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(size)
    return subprocess.run(["tar", "-C", tmp_path, "-Sc", "sparse"], check=True, capture_output=True).stdout


def test_a_hole_stays_a_hole(tmp_path: Path) -> None:
    data = _sparse(tmp_path, (256 << 20) + 5)
    unpack_context(io.BytesIO(data), tmp_path / "root", "the archive")
    status = (tmp_path / "root/sparse").stat()
    assert status.st_size == (256 << 20) + 5
    assert status.st_blocks * 512 < 1 << 20


def test_a_small_archive_of_a_huge_file_is_refused(tmp_path: Path) -> None:
    data = _sparse(tmp_path, 1 << 40)
    with pytest.raises(WherryError, match="bytes of sparse files"):
        unpack_context(io.BytesIO(data), tmp_path / "root", "the archive")
    assert names(tmp_path / "root") == []


def test_directories_may_lie_as_deep_as_paths_can_say(tmp_path: Path) -> None:
    path = "d/" * 1500 + "file"
    root = unpacked(tmp_path, (path, b"x"))
    assert (root / path).read_bytes() == b"x"
    remove_tree(root)  # pytest could not


def test_a_path_that_is_too_long_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(WherryError, match="cannot be unpacked: File name too long"):
        unpacked(tmp_path, ("d" * 300, b""))


@pytest.mark.parametrize("time", ["-1", "1e17", "1e30"])
def test_a_time_that_cannot_be_is_1970(tmp_path: Path, time: str) -> None:
    info = member("file")
    info.pax_headers = {"mtime": time}
    assert (unpacked(tmp_path, info) / "file").stat().st_mtime == 0


def test_what_git_archives_is_a_context(repository: Repository, tmp_path: Path) -> None:
    git("archive", "-o", tmp_path / "x.tar", "HEAD", cwd=repository.path)
    unpack_context(tmp_path / "x.tar", tmp_path / "root", "the archive")
    assert names(tmp_path / "root") == ["Dockerfile", "app", "app/main.py"]


def test_what_tar_packs_is_what_is_walked(tmp_path: Path) -> None:
    project = tmp_path / "project"
    (project / "a/b").mkdir(parents=True)
    (project / "a/b/file").write_text("x")
    (project / "run").write_text("y")
    (project / "run").chmod(0o750)
    (project / "link").symlink_to("a")
    os.utime(project / "a", (MODIFIED, MODIFIED))
    data = subprocess.run(["tar", "-C", project, "-c", "."], check=True, capture_output=True).stdout
    unpack_context(io.BytesIO(data), tmp_path / "root", "the archive")
    assert [file.row for file in walk(tmp_path / "root", normalise=False)] == [
        file.row for file in walk(project, normalise=False)
    ]


def test_a_failed_unpacking_leaves_nothing(store: Store) -> None:
    data = packed(("../x", b""))
    with Fetcher(store.files) as fetcher, pytest.raises(WherryError, match="leads out"):
        opened("-", store, fetcher, Task(Reporter(), 0), data)
    assert not list(store.scratch().iterdir())
