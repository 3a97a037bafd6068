"""Git repositories: from names to commits, from commits to directories; none of it believes a repository."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from tests.sources.conftest import Repository, Server, git

from wherry.errors import NetworkError, UsageError, WherryError
from wherry.events import Task
from wherry.fetch import Fetcher
from wherry.plan import Git
from wherry.sources.git import checked_out, resolve_git
from wherry.sources.giturl import parse_git
from wherry.store import Store

# -- names -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://example.org/x.git", Git("https://example.org/x.git")),
        ("https://example.org/x.git#main", Git("https://example.org/x.git", "main")),
        ("https://example.org/x.git#main:app/sub", Git("https://example.org/x.git", "main", "app/sub")),
        ("https://example.org/x.git#:app", Git("https://example.org/x.git", "", "app")),
        ("https://example.org/x.git?ref=v1&subdir=app", Git("https://example.org/x.git", "v1", "app")),
        ("https://example.org/x.git?tag=v1", Git("https://example.org/x.git", "refs/tags/v1")),
        ("https://example.org/x.git?branch=b&keep-git-dir", Git("https://example.org/x.git", "refs/heads/b", "", True)),
        ("https://example.org/x.git?ref=v1&checksum=abc1", Git("https://example.org/x.git", "v1", "", False, "abc1")),
        ("git@example.org:user/x.git#v1:sub", Git("git@example.org:user/x.git", "v1", "sub")),
        ("git://example.org/x", Git("git://example.org/x")),
        ("ssh://git@example.org:22/x.git", Git("ssh://git@example.org:22/x.git")),
        ("github.com/user/x#v1", Git("https://github.com/user/x", "v1")),
    ],
)
def test_a_repository_is_named_as_for_docker(text: str, expected: Git) -> None:
    assert parse_git(text) == expected


@pytest.mark.parametrize(
    "text", ["https://example.org/x.tar", "https://example.org/", "./x.git", "x.git", "/x.git", "-"]
)
def test_what_is_no_repository_is_left_to_others(text: str) -> None:
    assert parse_git(text) is None


@pytest.mark.parametrize(
    "query", ["nonsense=1", "ref=a&ref=b", "ref=", "tag=a&branch=b", "ref=a&tag=b", "keep-git-dir=perhaps"]
)
def test_a_query_that_makes_no_sense_is_an_error(query: str) -> None:
    with pytest.raises(UsageError, match=r"example\.org"):
        parse_git(f"https://user:secret@example.org/x.git?{query}")


@pytest.mark.parametrize(
    ("url", "ref"),
    [
        ("--upload-pack=touch /tmp/x", ""),
        ("ssh://-oProxyCommand=touch/x.git", ""),
        ("git@-oProxyCommand=x:y", ""),
        ("-oProxyCommand=x:y", ""),
        ("ext::sh -c touch", ""),
        ("https://example.org/x.git", "--upload-pack=x"),
        ("https://example.org/x.git", "a\nb"),
    ],
)
def test_nothing_is_taken_for_an_option(url: str, ref: str, store: Store, fetcher: Fetcher, task: Task) -> None:
    with pytest.raises(UsageError, match="of a git repository"):
        resolve_git(Git(url, ref), store=store, fetcher=fetcher, task=task)


# -- commits ---------------------------------------------------------------------------------------


def resolve(store: Store, fetcher: Fetcher, task: Task, url: str, ref: str = "", checksum: str = "") -> str:
    return resolve_git(Git(url, ref, checksum=checksum), store=store, fetcher=fetcher, task=task)


def test_a_branch_a_tag_and_nothing_become_commits(
    repository: Repository, store: Store, fetcher: Fetcher, task: Task
) -> None:
    first = git("rev-parse", "HEAD", cwd=repository.path)
    git("tag", "light", cwd=repository.path)
    git("tag", "-a", "-m", "x", "annotated", cwd=repository.path)
    git("branch", "old", cwd=repository.path)
    second = repository.commit(more="x")
    url = repository.url
    assert resolve(store, fetcher, task, url) == second
    assert resolve(store, fetcher, task, url, "main") == second
    for ref in ("light", "annotated", "old", "refs/tags/annotated", "refs/heads/old", first):
        assert resolve(store, fetcher, task, url, ref) == first


def test_a_branch_wins_over_a_tag_of_its_name(
    repository: Repository, store: Store, fetcher: Fetcher, task: Task
) -> None:
    git("tag", "both", cwd=repository.path)
    second = repository.commit(more="x")
    git("branch", "both", cwd=repository.path)
    assert resolve(store, fetcher, task, repository.url, "both") == second


def test_a_ref_that_is_not_there_is_an_error(
    repository: Repository, store: Store, fetcher: Fetcher, task: Task
) -> None:
    with pytest.raises(UsageError, match="does not contain ref nowhere"):
        resolve(store, fetcher, task, repository.url, "nowhere")
    with pytest.raises(UsageError, match="all of its digits"):
        resolve(store, fetcher, task, repository.url, "0123abc")


def test_a_commit_other_than_the_checksum_is_refused(
    repository: Repository, store: Store, fetcher: Fetcher, task: Task
) -> None:
    commit = git("rev-parse", "HEAD", cwd=repository.path)
    assert resolve(store, fetcher, task, repository.url, "main", commit[:10]) == commit
    with pytest.raises(UsageError, match=f"is {commit}, not {'0' * 40}"):
        resolve(store, fetcher, task, repository.url, "main", "0" * 40)


def test_a_repository_that_is_not_there_is_an_error_without_its_password(
    server: Server, store: Store, fetcher: Fetcher, task: Task
) -> None:
    url = server.url.replace("http://", "http://user:secret%21word@") + "/none.git"
    with pytest.raises(NetworkError) as caught:
        resolve(store, fetcher, task, url)
    assert "secret" not in str(caught.value)
    assert "none.git" in str(caught.value)


def test_a_password_is_sent_to_the_server_and_kept_nowhere(
    repository: Repository, server: Server, store: Store, fetcher: Fetcher, task: Task
) -> None:
    url = repository.publish(server, "x.git").replace("http://", "http://user:secretword@")
    commit = resolve(store, fetcher, task, url)
    git_ = Git(url, commit, keep_git=True)
    with checked_out(git_, commit, store=store, fetcher=fetcher, task=task) as root:
        files = [path for path in [*root.rglob("*"), *store.path.rglob("*")] if path.is_file()]
        assert not [path for path in files if b"secretword" in path.read_bytes()]
        assert git("remote", "get-url", "origin", cwd=root) == f"{server.url}/x.git"


def test_a_server_that_says_nothing_is_given_up(
    store: Store, fetcher: Fetcher, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wherry.sources.git._PATIENCE", 1)
    monkeypatch.setenv("no_proxy", "*")
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(NetworkError, match="too slow"):
        resolve(store, fetcher, task, f"http://127.0.0.1:{silent.getsockname()[1]}/x.git")


# -- directories -----------------------------------------------------------------------------------


def contents(git_: Git, commit: str, store: Store, fetcher: Fetcher, task: Task) -> dict[str, str]:
    with checked_out(git_, commit, store=store, fetcher=fetcher, task=task) as root:
        return {str(path.relative_to(root)): path.read_text() for path in sorted(root.rglob("*")) if path.is_file()}


def test_a_commit_becomes_a_directory_that_goes_again(
    repository: Repository, store: Store, fetcher: Fetcher, task: Task
) -> None:
    commit = git("rev-parse", "HEAD", cwd=repository.path)
    repository.commit(later="x")
    with checked_out(Git(repository.url), commit, store=store, fetcher=fetcher, task=task) as root:
        assert sorted(path.name for path in root.iterdir()) == ["Dockerfile", "app"]
        assert {(root / name).stat().st_mode & 0o777 for name in ("app", ".")} == {0o755}
        assert (root / "Dockerfile").stat().st_mode & 0o777 == 0o644
    assert not root.exists()


def test_a_directory_of_a_repository_is_taken_alone(
    repository: Repository, store: Store, fetcher: Fetcher, task: Task
) -> None:
    commit = git("rev-parse", "HEAD", cwd=repository.path)
    assert contents(Git(repository.url, directory="/app/"), commit, store, fetcher, task) == {"main.py": "print()\n"}
    with pytest.raises(UsageError, match="has no directory nothing"):
        contents(Git(repository.url, directory="nothing"), commit, store, fetcher, task)


@pytest.mark.parametrize("directory", ["../..", "out", "out/etc", "app/../.."])
def test_a_directory_outside_of_a_repository_is_refused(
    repository: Repository, store: Store, fetcher: Fetcher, task: Task, directory: str
) -> None:
    (repository.path / "out").symlink_to("/")
    commit = repository.commit()
    with pytest.raises(UsageError, match="has no directory"):
        contents(Git(repository.url, directory=directory), commit, store, fetcher, task)


def test_the_git_directory_stays_where_it_is_wanted(
    repository: Repository, store: Store, fetcher: Fetcher, task: Task
) -> None:
    commit = git("rev-parse", "HEAD", cwd=repository.path)
    wanted = Git(repository.url, "main", keep_git=True)
    with checked_out(wanted, commit, store=store, fetcher=fetcher, task=task) as root:
        assert git("-c", "safe.directory=*", "rev-parse", "HEAD", cwd=root) == commit
        assert git("-c", "safe.directory=*", "status", "--porcelain", cwd=root) == ""


def test_a_server_of_plain_files_is_enough(
    repository: Repository, server: Server, store: Store, fetcher: Fetcher, task: Task
) -> None:
    commit = git("rev-parse", "HEAD", cwd=repository.path)
    url = repository.publish(server, "x.git")
    assert resolve(store, fetcher, task, url, "main") == commit
    assert set(contents(Git(url, "main"), commit, store, fetcher, task)) == {"Dockerfile", "app/main.py"}


def test_a_commit_that_was_fetched_is_not_fetched_again(
    repository: Repository, server: Server, store: Store, task: Task
) -> None:
    commit = git("rev-parse", "HEAD", cwd=repository.path)
    url = repository.publish(server, "x.git")
    with Fetcher(store.files) as fetcher:
        contents(Git(url, commit), commit, store, fetcher, task)
    server.seen.clear()
    with Fetcher(store.files, offline=True) as fetcher:
        assert resolve(store, fetcher, task, url, commit) == commit
        assert contents(Git(url, commit), commit, store, fetcher, task)
        with pytest.raises(NetworkError, match="--offline"):
            resolve(store, fetcher, task, url, "main")
        with pytest.raises(NetworkError, match="is not in the store"):
            contents(Git(url), "1" * 40, store, fetcher, task)
    assert server.seen == []


def test_submodules_are_fetched_too(
    repository: Repository, tmp_path: Path, server: Server, store: Store, fetcher: Fetcher, task: Task
) -> None:
    inner = tmp_path / "inner"
    git("init", "--quiet", inner)
    Repository(inner).commit(library="x")
    url = Repository(inner).publish(server, "inner.git")
    git("submodule", "--quiet", "add", url, "lib", cwd=repository.path)
    commit = repository.commit()
    outer = repository.publish(server, "outer.git")
    assert set(contents(Git(outer), commit, store, fetcher, task)) == {
        ".gitmodules",
        "Dockerfile",
        "app/main.py",
        "lib/library",
    }


def test_a_submodule_that_names_files_of_this_machine_is_refused(
    repository: Repository, tmp_path: Path, server: Server, store: Store, fetcher: Fetcher, task: Task
) -> None:
    private = tmp_path / "private"
    git("init", "--quiet", private)
    Repository(private).commit(secret="x")
    git("submodule", "--quiet", "add", f"file://{private}", "lib", cwd=repository.path)
    commit = repository.commit()
    for url in (repository.publish(server, "outer.git"), repository.url):
        with pytest.raises(WherryError, match=r"transport 'file' not allowed"):
            contents(Git(url), commit, store, fetcher, task)


def test_no_hook_and_no_configuration_of_this_machine_has_a_say(
    repository: Repository, tmp_path: Path, store: Store, fetcher: Fetcher, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    hooks = home / "templates/hooks"
    hooks.mkdir(parents=True)
    (hooks / "post-checkout").write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    (hooks / "post-checkout").chmod(0o755)
    (home / ".gitconfig").write_text(f"[init]\ntemplateDir = {home}/templates\n[core]\nautocrlf = true\n")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_TEMPLATE_DIR", str(home / "templates"))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    commit = git("rev-parse", "HEAD", cwd=repository.path)
    found = contents(Git(repository.url), commit, store, fetcher, task)
    assert found["Dockerfile"] == "FROM scratch\n"
    assert not (tmp_path / "ran").exists()


def test_each_use_of_a_repository_is_its_last_for_prune(
    repository: Repository, store: Store, fetcher: Fetcher, task: Task
) -> None:
    commit = git("rev-parse", "HEAD", cwd=repository.path)
    for one in (commit, commit, repository.commit(more="x")):
        contents(Git(repository.url), one, store, fetcher, task)
        (bare,) = (store.path / "git").iterdir()
        assert bare.stat().st_mtime > 1000
        os.utime(bare, (0, 0))


def test_what_is_interrupted_leaves_nothing_in_the_way(
    repository: Repository, store: Store, fetcher: Fetcher, task: Task
) -> None:
    commit = git("rev-parse", "HEAD", cwd=repository.path)
    contents(Git(repository.url), commit, store, fetcher, task)
    (bare,) = (store.path / "git").iterdir()
    for lock in ("shallow.lock", "packed-refs.lock", "refs/wherry/0123.lock"):
        (bare / lock).touch()
    second = repository.commit(more="x")
    assert "more" in contents(Git(repository.url), second, store, fetcher, task)
