"""Which Dockerfile is meant, and which patterns go with it."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from tests.sources.conftest import Server

from wherry.errors import NetworkError, UsageError
from wherry.fetch import Fetcher
from wherry.planning import is_dockerfile_build
from wherry.sources.dockerfile import FoundDockerfile, find_dockerfile
from wherry.sources.location import OpenedContext
from wherry.store import Store

FROM = b"FROM scratch\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A context, which is not the working directory."""
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    (tmp_path / "project/sub").mkdir(parents=True)
    return tmp_path / "project"


def test_it_is_called_dockerfile(project: Path) -> None:
    (project / "Dockerfile").write_bytes(FROM)
    (project / "dockerfile").write_bytes(b"other")
    assert find_dockerfile(project) == FoundDockerfile("Dockerfile", FROM)


def test_lower_case_will_do(project: Path) -> None:
    (project / "dockerfile").write_bytes(FROM)
    assert find_dockerfile(project) == FoundDockerfile("dockerfile", FROM)


def test_a_given_path_starts_at_the_working_directory(project: Path) -> None:
    Path("web.Dockerfile").write_bytes(FROM)
    assert find_dockerfile(project, "web.Dockerfile").content == FROM
    (project / "sub/Dockerfile").write_bytes(FROM)
    assert find_dockerfile(project, "../project/sub/Dockerfile").name == "../project/sub/Dockerfile"
    with pytest.raises(UsageError, match=r"did you mean \.\./project/sub/Dockerfile\?"):
        find_dockerfile(project, "sub/Dockerfile")


def test_in_an_archive_a_given_path_starts_at_the_context(project: Path) -> None:
    (project / "sub/Dockerfile").write_bytes(FROM)
    assert find_dockerfile(OpenedContext(project, ours=True), "sub/Dockerfile").content == FROM


def test_its_own_ignore_file_wins_over_that_of_the_context(project: Path) -> None:
    (project / "Dockerfile").write_bytes(FROM)
    (project / ".dockerignore").write_text("# all\n*.pyc\n")
    assert find_dockerfile(project).ignore == ("*.pyc",)
    (project / "Dockerfile.dockerignore").write_text("*.tmp\n")
    assert find_dockerfile(project).ignore == ("*.tmp",)
    Path("web").write_bytes(FROM)
    assert find_dockerfile(project, "web").ignore == ("*.pyc",)
    Path("web.dockerignore").write_text("")
    found = find_dockerfile(project, "web")
    assert (found.ignore, found.ignore_file) == ((), "web.dockerignore")


def test_a_dockerfile_that_is_ignored_is_built_all_the_same(project: Path) -> None:
    (project / "Dockerfile").write_bytes(FROM)
    (project / ".dockerignore").write_text("Dockerfile\n.dockerignore\n")
    assert find_dockerfile(project).content == FROM


def test_standard_input_is_a_dockerfile(project: Path) -> None:
    (project / ".dockerignore").write_text("x\n")
    found = find_dockerfile(project, "-", stdin=io.BytesIO(FROM))
    assert (found.content, found.ignore) == (FROM, ("x",))
    with pytest.raises(UsageError, match="both the build context and the Dockerfile"):
        find_dockerfile(OpenedContext(project, from_stdin=True), "-", stdin=io.BytesIO(FROM))
    with pytest.raises(UsageError, match="is empty"):
        find_dockerfile(project, "-", stdin=io.BytesIO(b"\n"))


def test_a_context_that_is_a_dockerfile_is_its_own(project: Path) -> None:
    alone = OpenedContext(project, FROM, ours=True, from_stdin=True)
    assert find_dockerfile(alone).content == FROM
    with pytest.raises(UsageError, match="-f names another"):
        find_dockerfile(alone, "Dockerfile")


def test_a_missing_one_is_an_error_with_the_nearest_name(project: Path) -> None:
    with pytest.raises(UsageError, match="there is no Dockerfile in"):
        find_dockerfile(project)
    (project / "web.Dockerfile").write_bytes(FROM)
    with pytest.raises(UsageError, match=r"'web\.Dockerfile'\? Name it with -f"):
        find_dockerfile(project)
    with pytest.raises(UsageError, match="is a directory"):
        find_dockerfile(project, str(project))
    with pytest.raises(UsageError, match=r"'web\.Dockerfile'"):
        find_dockerfile(project, str(project / "web.Dockrfile"))


def test_a_link_inside_of_the_context_is_followed(project: Path) -> None:
    (project / "sub/real").write_bytes(FROM)
    (project / "Dockerfile").symlink_to("sub/../sub/real")
    assert find_dockerfile(project).content == FROM


@pytest.mark.parametrize("target", ["/etc/passwd", "../outside", "sub/../../outside", "Dockerfile", "sub/up/outside"])
def test_a_link_that_leads_out_shows_nothing_of_this_machine(project: Path, target: str) -> None:
    (project.parent / "outside").write_bytes(b"secret")
    (project / "sub/up").symlink_to("../..")
    (project / "Dockerfile").symlink_to(target)
    with pytest.raises(UsageError, match="leads out of the build context"):
        find_dockerfile(OpenedContext(project, ours=True))


def test_who_names_a_link_means_it(project: Path) -> None:
    (project.parent / "outside").write_bytes(FROM)
    (project / "Dockerfile").symlink_to("../outside")
    assert find_dockerfile(project, str(project / "Dockerfile")).content == FROM


def test_a_malformed_pattern_names_its_file_and_line(project: Path) -> None:
    (project / "Dockerfile").write_bytes(FROM)
    (project / "Dockerfile.dockerignore").write_text("a\n[\n")
    with pytest.raises(UsageError) as caught:
        find_dockerfile(project)
    assert str(caught.value.place) == "Dockerfile.dockerignore:2"


def test_in_an_archive_too_its_own_ignore_file_wins(project: Path) -> None:
    (project / "sub/web").write_bytes(FROM)
    (project / "sub/web.dockerignore").write_text("*.tmp\n")
    (project / ".dockerignore").write_text("*.pyc\n")
    found = find_dockerfile(OpenedContext(project, ours=True), "sub/web")
    assert (found.ignore, found.ignore_file) == (("*.tmp",), "sub/web.dockerignore")


def test_an_ignore_file_that_leads_out_shows_nothing_of_this_machine(project: Path) -> None:
    (project / "Dockerfile").write_bytes(FROM)
    (project / ".dockerignore").symlink_to("/etc/passwd")
    with pytest.raises(UsageError, match="leads out of the build context"):
        find_dockerfile(OpenedContext(project, ours=True))


def test_what_is_no_file_is_no_dockerfile(project: Path) -> None:
    os.mkfifo(project / "Dockerfile")
    with pytest.raises(UsageError, match=r"Dockerfile in .* is no file"):
        find_dockerfile(OpenedContext(project, ours=True))


def test_a_link_to_nothing_is_told_as_what_it_is(project: Path) -> None:
    (project / "Dockerfile").symlink_to("nowhere")
    assert is_dockerfile_build(project, "auto")
    with pytest.raises(UsageError, match=r"Dockerfile in .* is a link to nothing"):
        find_dockerfile(OpenedContext(project))


def test_a_directory_is_no_dockerfile_either(project: Path) -> None:
    (project / "Dockerfile").mkdir()
    assert is_dockerfile_build(project, "auto")
    with pytest.raises(UsageError, match=r"Dockerfile in .* is a directory"):
        find_dockerfile(OpenedContext(project))


def test_a_name_that_cannot_be_is_an_error(project: Path) -> None:
    for name in ("x" * 5000, "x\0y"):
        with pytest.raises(UsageError, match="there is no Dockerfile"):
            find_dockerfile(project, name)


def test_a_file_without_an_end_is_no_dockerfile(project: Path) -> None:
    with pytest.raises(UsageError, match="it is no Dockerfile"):
        find_dockerfile(project, "/dev/zero")
    with Path("/dev/zero").open("rb") as endless, pytest.raises(UsageError, match="it is no Dockerfile"):
        find_dockerfile(project, "-", stdin=endless)


def test_a_url_is_a_dockerfile_of_this_context(project: Path, server: Server, fetcher: Fetcher) -> None:
    server.files["/web"] = FROM
    (project / ".dockerignore").write_text("x\n")
    found = find_dockerfile(project, f"{server.url}/web", fetcher=fetcher)
    assert found == FoundDockerfile(f"{server.url}/web", FROM, ("x",), ".dockerignore")


def test_a_url_of_a_dockerfile_may_lead_to_another_but_not_to_this_machine(
    project: Path, server: Server, fetcher: Fetcher
) -> None:
    server.files["/web"] = FROM
    server.elsewhere = {"/moved": f"{server.url}/web", "/private": f"file://{project}/Dockerfile"}
    (project / "Dockerfile").write_bytes(FROM)
    assert find_dockerfile(project, f"{server.url}/moved", fetcher=fetcher).content == FROM
    with pytest.raises(NetworkError):
        find_dockerfile(project, f"{server.url}/private", fetcher=fetcher)


def test_a_url_of_something_large_is_no_dockerfile(project: Path, server: Server, fetcher: Fetcher) -> None:
    server.files["/large"] = bytes(17 << 20)
    with pytest.raises(NetworkError, match="larger than"):
        find_dockerfile(project, f"{server.url}/large", fetcher=fetcher)


def test_a_url_needs_the_network(project: Path, store: Store) -> None:
    with pytest.raises(UsageError, match="not on this machine"):
        find_dockerfile(project, "https://user:pass@example.org/Dockerfile")
    with Fetcher(store.files, offline=True) as offline, pytest.raises(Exception, match="--offline"):
        find_dockerfile(project, "https://example.org/Dockerfile", fetcher=offline)
