"""Git repositories: a ref becomes a commit, a commit becomes a directory; by the ``git`` program.

The program sees nothing of this machine's or user's configuration, runs no hooks, asks nothing, and takes no URL or ref
for an option. What was fetched stays in a bare repository in the store, ``git/HASH-OF-URL``, one for each URL.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from wherry.children import tended
from wherry.errors import NetworkError, UsageError, WherryError
from wherry.events import Task
from wherry.fetch import Fetcher
from wherry.plan import Git
from wherry.store import Store
from wherry.store.files import remove_tree, storing
from wherry.urls import redacted

FOLDER = "git"
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_PATIENCE = 60  # seconds that a server may say nothing
_SSH = f"ssh -F /dev/null -o BatchMode=yes -o ConnectTimeout={_PATIENCE} -o ServerAliveInterval={_PATIENCE // 3}"
_UMASK = 0o022  # as in BuildKit: what this user has set must not show in an image
_BUNDLES = ("GIT_SSL_CAINFO", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_PASSED = (
    *("PATH", "TMPDIR", "SSH_AUTH_SOCK"),
    *("http_proxy", "https_proxy", "no_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"),
)


def resolve_git(git: Git, *, store: Store, fetcher: Fetcher, task: Task) -> str:
    """The commit (40 or 64 hex digits) that ``git`` means now.

    A ref that is a whole commit is taken at its word, and nobody is asked. Raises :class:`UsageError` for a ref that
    the repository does not have, or that is not what ``git.checksum`` says; :class:`NetworkError` if it cannot be
    reached, or may not be (``--offline``).
    """
    _check(git)
    if _COMMIT.fullmatch(git.ref):
        return _verified(git, git.ref)
    shown = redacted(git.url)
    if fetcher.offline and not _is_local(git.url):
        raise NetworkError(
            f"what {git.ref or 'the default branch'} of {shown} is cannot be asked, as --offline allows no network",
            hint="Name a whole commit (40 digits), which is not asked for once it was fetched.",
        )
    ref = git.ref
    wanted = [ref, f"{ref}^{{}}"] if ref else ["HEAD"]
    output = _run(["ls-remote", "--", git.url, *wanted], git.url, store)
    found = {name: commit for commit, _, name in (line.partition("\t") for line in output.splitlines())}
    bare = ref.removeprefix("refs/")
    # In doubt a branch wins, as it does for git checkout; a tag is what it points to.
    names = [ref, f"refs/heads/{bare}", f"refs/tags/{bare}^{{}}", f"refs/tags/{bare}", f"refs/{bare}^{{}}"]
    if ref.startswith("refs/"):
        names.insert(0, f"{ref}^{{}}")
    if not ref:
        names = ["HEAD"]
    commit = next((found[name] for name in names if name in found), "")
    if not _COMMIT.fullmatch(commit):
        advice = " A commit must be given with all of its digits." if re.fullmatch(r"[0-9a-f]{4,39}", ref) else ""
        raise UsageError(
            f"repository {shown} does not contain ref {ref or 'HEAD'}",
            hint=f"Name a branch, a tag or a commit that it has.{advice}",
        )
    if git.checksum and not commit.startswith(git.checksum) and found.get(f"refs/tags/{bare}", "") == git.checksum:
        return commit  # the checksum of an annotated tag
    return _verified(git, commit)


@contextmanager
def checked_out(git: Git, commit: str, *, store: Store, fetcher: Fetcher, task: Task) -> Iterator[Path]:
    """A directory with the files of ``commit``, or those of ``git.directory``, submodules among them, for the block.

    With ``git.keep_git`` a ``.git`` is in it. Raises :class:`UsageError` if there is no such directory,
    :class:`NetworkError` if something cannot be fetched.
    """
    _check(git)
    with store.once(f"git {git.url}"):
        repository = _fetched(git, commit, store, fetcher, task)
        folder = store.scratch() / f"git-{os.urandom(8).hex()}"
        root = folder / "root"
        with storing(folder):
            folder.mkdir(0o700)
            root.mkdir()
            root.chmod(0o755)
        try:
            _check_out(git, commit, repository, root, store, fetcher)
        except BaseException:
            remove_tree(folder)
            raise
    try:
        yield _directory(root, git)
    finally:
        with storing(folder):
            remove_tree(folder)


def _check(git: Git) -> None:
    """Refuse what git or ssh would take for an option, or for a program to run (``ext::sh -c …``)."""
    for what, text in (("URL", git.url), ("ref", git.ref), ("checksum", git.checksum)):
        if text.startswith("-") or any(ord(char) < 32 for char in text):
            raise UsageError(f"{redacted(text)!r} is no {what} of a git repository")
    host = re.sub(r"^[a-zA-Z]+://(?:[^/@]*@)?|^[^/@]*@", "", git.url)
    try:
        urlsplit(git.url)
    except ValueError:
        host = "-"
    if host.startswith("-") or "::" in git.url.partition("/")[0]:
        raise UsageError(f"{redacted(git.url)!r} is no URL of a git repository")


def _verified(git: Git, commit: str) -> str:
    if git.checksum and not commit.startswith(git.checksum.lower()):
        raise UsageError(
            f"{git.ref or 'the default branch'} of {redacted(git.url)} is {commit}, not {git.checksum}",
            hint="Nothing was taken. Either the ref was moved, or the checksum is wrong.",
        )
    return commit


def _is_local(url: str) -> bool:
    return url.lower().startswith("file://")


def _fetched(git: Git, commit: str, store: Store, fetcher: Fetcher, task: Task) -> Path:
    """The bare repository for the URL, with ``commit`` in it."""
    repository = store.path / FOLDER / sha256(redacted(git.url).encode()).hexdigest()
    inside = ["--git-dir", str(repository)]
    with storing(repository):
        repository.parent.mkdir(parents=True, exist_ok=True)
        # Those of a process that was killed; we hold its lock.
        for lock in (*repository.glob("*.lock"), *repository.glob("refs/**/*.lock")):
            lock.unlink()
    if not (repository / "HEAD").is_file():
        _run(["init", "--bare", "--quiet", "--template=", "--", str(repository)], git.url, store)
    with suppress(WherryError):
        _run([*inside, "cat-file", "-e", f"{commit}^{{commit}}"], git.url, store)
        os.utime(repository)
        return repository
    if fetcher.offline and not _is_local(git.url):
        raise NetworkError(
            f"commit {commit} of {redacted(git.url)} is not in the store, and --offline allows no network",
            hint="Build once without --offline.",
        )
    with task.step(f"fetch {redacted(git.url)} at {commit[:12]}"):
        # The reference keeps git from throwing it away.
        asked = f"{commit}:refs/wherry/{commit}"
        tries = [["--depth=1", "--no-tags", "--", git.url, asked]]
        if git.ref and not _COMMIT.fullmatch(git.ref):  # servers may refuse what is not the name of something
            tries.append(["--depth=1", "--no-tags", "--", git.url, f"+{git.ref}:refs/wherry/{commit}"])
        elif not git.ref:
            tries.append(["--depth=1", "--no-tags", "--", git.url, f"+HEAD:refs/wherry/{commit}"])
        # One that knows no shallow clones (plain files behind HTTP), or a commit that no name leads to.
        tries.append(["--", git.url, "+refs/*:refs/remote/*"])
        error: WherryError | None = None
        for words in tries:
            whole = ["--unshallow"] if "--depth=1" not in words and (repository / "shallow").exists() else []
            fetch = [*inside, "fetch", "--quiet", "--force", "--no-write-fetch-head", *whole, *words]
            try:
                _run(fetch, git.url, store)
                _run([*inside, "cat-file", "-e", f"{commit}^{{commit}}"], git.url, store)
            except WherryError as failed:
                error = error or failed
            else:
                os.utime(repository)  # its last use, by which it is pruned
                return repository
    assert error is not None
    raise error


def _check_out(git: Git, commit: str, repository: Path, root: Path, store: Store, fetcher: Fetcher) -> None:
    """Fill ``root`` with the files of ``commit``."""
    private = root / ".git"
    _run(["-c", "init.defaultBranch=master", "init", "--quiet", "--template=", "--", str(root)], git.url, store)
    inside = ["--git-dir", str(private), "--work-tree", str(root)]

    def run(*words: str) -> None:
        _run([*inside, *words], git.url, store, folder=root)

    # A clone by protocol, not by linked objects: those could be made to lead to files of this machine.
    _run(
        [*inside, "fetch", "--quiet", "--depth=1", "--no-tags", "--", f"file://{repository}", commit],
        git.url,
        store,
        local=True,
    )
    run("checkout", "--quiet", "--detach", commit)
    run("remote", "add", "origin", git.url)  # submodules may be named relative to it
    modules = root / ".gitmodules"
    has_modules = modules.is_file() and not modules.is_symlink()
    if has_modules:
        if fetcher.offline and not _is_local(git.url):
            raise NetworkError(
                f"{redacted(git.url)} has submodules, and --offline allows no network",
                hint="Build without --offline.",
            )
        try:
            run("submodule", "--quiet", "update", "--init", "--recursive", "--depth=1")
        except WherryError:
            run("submodule", "--quiet", "update", "--init", "--recursive")
    if git.keep_git and _subdirectory(git) == "":
        run("remote", "set-url", "origin", redacted(git.url))
        run("reflog", "expire", "--all", "--expire=now")
        (private / "FETCH_HEAD").unlink(missing_ok=True)
        return
    remove_tree(private)
    for file in root.rglob(".git") if has_modules else ():  # what submodules have in place of a directory
        if file.is_file() and not file.is_symlink():
            file.unlink()


def _subdirectory(git: Git) -> str:
    return "/".join(part for part in git.directory.split("/") if part not in {"", "."})


def _directory(root: Path, git: Git) -> Path:
    """The directory of the repository that is meant. No link on the way is followed."""
    folder = root
    name = _subdirectory(git)
    for part in name.split("/") if name else ():
        folder = folder / part
        if part == ".." or folder.is_symlink() or not folder.is_dir():
            raise UsageError(
                f"{redacted(git.url)} has no directory {name}",
                hint="It is the path of a directory in the repository, without links.",
            )
    return folder


def _run(words: Sequence[str], url: str, store: Store, *, folder: Path | None = None, local: bool = False) -> str:
    """Run git; gives what it prints. Raises :class:`WherryError` with what it complained about."""
    program = shutil.which("git")
    if program is None:
        raise WherryError("git is needed to fetch repositories, and is not installed", hint="apt-get install git")
    allowed = "user" if local or _is_local(url) else "never"  # never for submodules, which a repository names
    settings = {
        "protocol.allow": "never",
        "protocol.https.allow": "always",
        "protocol.http.allow": "always",
        "protocol.ssh.allow": "always",
        "protocol.git.allow": "always",
        "protocol.file.allow": allowed,
        "core.hooksPath": "/dev/null",
        "core.fsmonitor": "false",
        "advice.detachedHead": "false",
        "gc.auto": "0",
        "maintenance.auto": "false",
        "safe.directory": "*",
        "transfer.credentialsInUrl": "allow",
        "http.lowSpeedLimit": "1",  # bytes in a second
        "http.lowSpeedTime": str(_PATIENCE),
    }
    bundles = (os.environ.get(name, "") for name in _BUNDLES)
    if bundle := next((path for path in bundles if path and Path(path).is_file()), ""):
        settings["http.sslCAInfo"] = bundle
    # The password goes by the environment: whoever lists processes sees command lines.
    plain = _without_password(url)
    if plain != url:
        settings[f"url.{url}.insteadOf"] = plain
        words = [plain if word == url else word for word in words]
    environment = {name: os.environ[name] for name in _PASSED if name in os.environ}
    environment |= {
        "HOME": os.devnull,
        "XDG_CONFIG_HOME": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "true",
        "GIT_SSH_COMMAND": os.environ.get("GIT_SSH_COMMAND", _SSH),
        "LC_ALL": "C",
        "GIT_CONFIG_COUNT": str(len(settings)),
    }
    for number, (name, value) in enumerate(settings.items()):
        environment |= {f"GIT_CONFIG_KEY_{number}": name, f"GIT_CONFIG_VALUE_{number}": value}
    process = subprocess.Popen(
        [program, *words],
        cwd=folder or store.scratch(),
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        umask=_UMASK,
    )
    with tended(process):
        output, errors = process.communicate()
    if process.returncode:
        complaint = _clean(errors.decode(errors="replace"), url) or f"exit code {process.returncode}"
        raise NetworkError(
            f"git cannot fetch {redacted(url)}: {complaint}",
            hint="Check the URL and the ref; credentials go into the URL or come from an ssh agent.",
        )
    return output.decode("utf-8", "surrogateescape")


def _without_password(url: str) -> str:
    if not re.match(r"https?://", url, re.IGNORECASE):
        return url
    parts = urlsplit(url)
    if not parts.password and not parts.username:
        return url
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, f"wherry@{host}", parts.path, parts.query, ""))


def _clean(text: str, url: str) -> str:
    """What git says, in short, and without the password in ``url``."""
    parts = urlsplit(url) if "://" in url else None
    for secret in filter(None, (parts.password, parts.username) if parts else ()):
        text = text.replace(secret, "…").replace(unquote(secret), "…")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    lines = [line for line in lines if line.startswith(("fatal:", "error:", "ERROR:"))] or lines
    return "; ".join(line.removeprefix("fatal: ").removeprefix("error: ") for line in lines[:3])
