"""Dockerfiles built by the command: stages, cache, RUN and what it is lent, failures."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from wherry.image import Image
from wherry.layers.merge import merged
from wherry.store import Store
from wherry.store.listing import find_descriptor

if TYPE_CHECKING:
    from tests.conftest import Docker, NewWherry, User, Wherry

pytestmark = pytest.mark.e2e

MakeProject = Callable[..., Path]

BASE = "wherry.test/shell"
SOURCE = "debian=debian://trixie?shell=1"


def prepare(wherry: Wherry, folder: Path) -> Wherry:
    """Give the command's store a base with a shell."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "Dockerfile").write_text("FROM debian\n")
    wherry.ok("build", "-t", BASE, "--build-context", SOURCE, folder)
    return wherry


@pytest.fixture(scope="module")
def shell(warm: Wherry, tmp_path_factory: pytest.TempPathFactory) -> Wherry:
    """The command with a base in its store that has a shell."""
    return prepare(warm, tmp_path_factory.mktemp("shell"))


def files(wherry: Wherry, name: str) -> dict[str, bytes]:
    """The regular files of an image beyond its base's."""
    with Store(wherry.store) as store:
        base, image = (_image(one, store) for one in (BASE, name))
        own = image.layers[len(base.layers) :] if image.layers[: len(base.layers)] == base.layers else image.layers
        layers = [store.blobs.path(layer.descriptor.digest) for layer in own]
        return {entry.path: data.read() for entry, data in merged(layers) if data is not None}


def layers_of(wherry: Wherry, name: str) -> tuple[str, ...]:
    with Store(wherry.store) as store:
        return tuple(layer.diff_id for layer in _image(name, store).layers)


def _image(name: str, store: Store) -> Image:
    found = store.load(find_descriptor(store, name))
    assert isinstance(found, Image)
    return found


def printed(result: subprocess.CompletedProcess[str]) -> list[str]:
    """What commands printed while they ran."""
    return [line.partition(" ")[2] for line in result.stderr.splitlines() if re.match(r"#\d+ ", line)]


# -- stages --------------------------------------------------------------------------------------------


def test_stages_that_do_not_need_each_other_run_side_by_side(shell: Wherry, project: MakeProject) -> None:
    # Each end of a pipe waits for the other: one stage after the other would never end.
    folder = project(
        {
            "Dockerfile": f"""
FROM {BASE} AS one
RUN --mount=type=cache,id=pipe,target=/pipe mkfifo /pipe/p 2>/dev/null; echo through the pipe > /pipe/p
FROM {BASE} AS two
RUN --mount=type=cache,id=pipe,target=/pipe mkfifo /pipe/p 2>/dev/null; cat /pipe/p > /got
FROM scratch
COPY --from=one /etc/hostname* /none/
COPY --from=two /got /got
"""
        }
    )
    shell.ok("build", "-t", "side-by-side", folder, timeout=60)
    assert files(shell, "side-by-side")["got"] == b"through the pipe\n"


def test_a_stage_that_the_target_does_not_need_is_not_built(shell: Wherry, project: MakeProject) -> None:
    folder = project({"Dockerfile": f"FROM {BASE} AS broken\nRUN exit 1\nFROM {BASE}\nRUN echo fine > /fine\n"})
    shell.ok("build", "-t", "needed", folder)
    assert files(shell, "needed") == {"fine": b"fine\n"}


def test_the_first_failure_ends_stages_that_run_beside_it(shell: Wherry, project: MakeProject) -> None:
    folder = project(
        {
            "Dockerfile": f"""
FROM {BASE} AS endless
RUN --mount=type=cache,id=never,target=/pipe mkfifo /pipe/p; cat /pipe/p
FROM {BASE} AS failing
RUN echo no && exit 7
FROM scratch
COPY --from=endless /etc/passwd /
COPY --from=failing /etc/passwd /
"""
        }
    )
    result = shell("build", "-t", "ended", folder, timeout=60)
    assert result.returncode == 1
    assert "exit code: 7" in result.stderr


# -- the cache -----------------------------------------------------------------------------------------


def test_a_copy_from_a_stage_built_anew_with_the_same_files_is_cached(shell: Wherry, project: MakeProject) -> None:
    text = (
        f"FROM {BASE} AS one\nRUN echo same > /same # {{}}\nFROM {BASE}\nCOPY --from=one /same /same\nRUN cat /same\n"
    )
    folder = project({"Dockerfile": text.format(1)})
    shell.ok("build", "-t", "first", folder)
    (folder / "Dockerfile").write_text(text.format(2))
    result = shell.ok("build", "-t", "second", "--progress", "plain", folder)
    assert "same" not in printed(result)
    assert layers_of(shell, "first") == layers_of(shell, "second")


def test_a_file_with_another_time_is_the_same_file(shell: Wherry, project: MakeProject) -> None:
    folder = project({"Dockerfile": f"FROM {BASE}\nCOPY data /\nRUN echo it ran\n", "data": "text"})
    shell.ok("build", folder)
    os.utime(folder / "data", (1_000_000_000, 1_000_000_000))
    assert "it ran" not in printed(shell.ok("build", "--progress", "plain", folder))


def test_a_build_argument_counts_from_its_declaration_on(shell: Wherry, project: MakeProject) -> None:
    folder = project({"Dockerfile": f"FROM {BASE}\nRUN echo before\nARG WORD\nRUN echo after $WORD\n"})
    shell.ok("build", "--build-arg", "WORD=one", folder)
    lines = printed(shell.ok("build", "--progress", "plain", "--build-arg", "WORD=two", folder))
    assert "after two" in lines
    assert "before" not in lines


def test_the_steps_of_one_stage_can_be_done_again(shell: Wherry, project: MakeProject) -> None:
    folder = project(
        {
            "Dockerfile": f"""
FROM {BASE} AS one
RUN echo one ran && cat /proc/sys/kernel/random/uuid > /one
FROM {BASE} AS two
RUN echo two ran
COPY --from=one /one /one
RUN echo last ran
"""
        }
    )
    shell.ok("build", folder)
    lines = printed(shell.ok("build", "--progress", "plain", "--no-cache-filter", "one", folder))
    assert {"one ran", "last ran"} <= set(lines)
    assert "two ran" not in lines


def test_a_step_after_one_that_was_done_again_is_done_again(shell: Wherry, project: MakeProject) -> None:
    folder = project({"Dockerfile": f"FROM {BASE} AS one\nRUN date +%N > /one\nFROM one\nRUN cp /one /two\n"})
    shell.ok("build", folder)
    shell.ok("build", "-t", "again", "--no-cache-filter", "one", folder)
    found = files(shell, "again")
    assert found["one"] == found["two"]


def test_two_builds_that_want_the_same_step_at_once_run_it_once(shell: Wherry, project: MakeProject) -> None:
    step = "cat /proc/sys/kernel/random/uuid >> /count/runs; cat /count/runs"
    folder = project({"Dockerfile": f"FROM {BASE}\nRUN --mount=type=cache,id=count,target=/count {step} > /seen\n"})
    processes = [shell.start("build", "-t", f"once-{number}", folder) for number in range(3)]
    for process in processes:
        process.communicate(timeout=120)
        assert process.returncode == 0
    seen = {files(shell, f"once-{number}")["seen"] for number in range(3)}
    assert len(seen) == 1
    assert len(seen.pop().splitlines()) == 1


def test_a_build_with_nothing_to_do_gives_the_same_image(shell: Wherry, project: MakeProject) -> None:
    folder = project({"Dockerfile": f"FROM {BASE}\nRUN date > /date\nENV A=b\nCOPY data /\n", "data": "1"})
    assert shell.build(folder) == shell.build(folder)


# -- RUN -----------------------------------------------------------------------------------------------


def test_a_secret_is_seen_by_its_command_and_kept_nowhere(
    shell: Wherry, new_wherry: NewWherry, project: MakeProject, tmp_path: Path
) -> None:
    secret = "Kp7-not-to-be-found-anywhere"
    wherry = prepare(new_wherry(tmp_path / "own", env={"TOKEN": secret}), tmp_path / "base")
    mount = "--mount=type=secret,id=token,env=TOKEN --mount=type=secret,id=file"
    command = "wc -c < /run/secrets/file > /length; test $TOKEN = $(cat /run/secrets/file)"
    folder = project({"Dockerfile": f"FROM {BASE}\nRUN {mount} {command}\n"})
    (tmp_path / "secret").write_text(secret)
    given = ["--secret", "id=token,env=TOKEN", "--secret", f"id=file,src={tmp_path / 'secret'}"]
    result = wherry.ok("build", "-t", "quiet", "--compression", "uncompressed", "--progress", "plain", *given, folder)
    assert files(wherry, "quiet") == {"length": f"{len(secret)}\n".encode()}
    assert secret not in result.stdout + result.stderr
    found = subprocess.run(["grep", "-rqa", secret, str(wherry.store)], check=False)
    assert found.returncode == 1


def test_a_secret_that_is_required_and_not_given_is_named(shell: Wherry, project: MakeProject) -> None:
    folder = project({"Dockerfile": f"FROM {BASE}\nRUN --mount=type=secret,id=token,required=true true\n"})
    result = shell("build", folder)
    assert result.returncode == 2
    assert "Dockerfile:2" in result.stderr
    assert "--secret id=token" in result.stderr


def test_what_a_cache_mount_holds_is_there_in_the_next_build(shell: Wherry, project: MakeProject) -> None:
    text = f"FROM {BASE}\nRUN --mount=type=cache,id=kept,target=/c echo {{}} >> /c/lines; cp /c/lines /lines\n"
    folder = project({"Dockerfile": text.format("one")})
    shell.ok("build", folder)
    (folder / "Dockerfile").write_text(text.format("two"))
    shell.ok("build", "-t", "cached", folder)
    assert files(shell, "cached") == {"lines": b"one\ntwo\n"}


def test_host_certificates_are_shown_and_in_no_layer(shell: Wherry, project: MakeProject) -> None:
    command = "grep -c 'BEGIN CERTIFICATE' $SSL_CERT_FILE $PIP_CERT > /count"
    folder = project({"Dockerfile": f"FROM {BASE}\nRUN {command}\n"})
    shell.ok("build", "-t", "certified", "--host-certs", folder)
    found = files(shell, "certified")
    assert set(found) == {"count"}
    assert not found["count"].endswith(b":0\n")


def test_added_hosts_are_known_to_run(shell: Wherry, project: MakeProject) -> None:
    folder = project({"Dockerfile": f"FROM {BASE}\nRUN grep mirror /etc/hosts > /found\n"})
    shell.ok("build", "-t", "hosts", "--add-host", "mirror:10.1.2.3", folder)
    assert files(shell, "hosts") == {"found": b"10.1.2.3\tmirror\n"}


def test_limits_and_shared_memory_are_set(shell: Wherry, project: MakeProject) -> None:
    folder = project({"Dockerfile": f"FROM {BASE}\nRUN ulimit -n > /files; df -k /dev/shm | tail -1 > /shm\n"})
    shell.ok("build", "-t", "limits", "--ulimit", "nofile=100", "--shm-size", "8m", folder)
    found = files(shell, "limits")
    assert found["files"] == b"100\n"
    assert found["shm"].split()[1] == b"8192"


@pytest.mark.parametrize("isolation", ["default", "chroot"])
def test_what_a_command_left_running_ends_with_it(shell: Wherry, project: MakeProject, isolation: str) -> None:
    command = "(while true; do date > /still; done) & echo done"
    folder = project({"Dockerfile": f"FROM {BASE}\nRUN {command} # {isolation}\n"})
    result = shell.ok("build", "--isolation", isolation, "--progress", "plain", folder, timeout=60)
    assert "done" in printed(result)


# -- failures ------------------------------------------------------------------------------------------


def test_a_command_that_fails_shows_its_last_lines_its_place_and_its_exit_code(
    shell: Wherry, project: MakeProject
) -> None:
    folder = project({"Dockerfile": f"FROM {BASE}\n\nRUN echo just before it && exit 42\n"})
    result = shell("build", "-t", "never", folder)
    assert result.returncode == 1
    assert "Dockerfile:3" in result.stderr
    assert "just before it" in result.stderr.partition("error:")[2]
    assert "exit code: 42" in result.stderr
    assert "--shell-on-failure" in result.stderr
    assert "Traceback" not in result.stderr
    assert "never" not in shell.ok("images").stdout


def test_a_command_that_is_not_there_is_named(shell: Wherry, project: MakeProject) -> None:
    folder = project({"Dockerfile": f'FROM {BASE}\nRUN ["no-such-program"]\n'})
    result = shell("build", folder)
    assert result.returncode == 1
    assert "no-such-program" in result.stderr
    assert "Dockerfile:2" in result.stderr


def test_a_shell_opens_where_a_command_failed(shell: Wherry, project: MakeProject, tmp_path: Path) -> None:
    folder = project({"Dockerfile": f"FROM {BASE}\nRUN echo evidence > /tmp/left && exit 1\n"})
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        shell.command("build", "--shell-on-failure", folder),
        env=shell.environment(),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    os.write(ours, b"cat /tmp/left; exit\n")
    seen = b""
    with pytest.raises(OSError):  # the terminal's other end is closed
        while piece := os.read(ours, 4096):
            seen += piece
    assert process.wait(60) == 1
    assert b"evidence\r\n" in seen


def test_options_of_a_project_build_are_refused_beside_a_dockerfile(shell: Wherry, project: MakeProject) -> None:
    folder = project({"Dockerfile": "FROM scratch\n", "requirements.txt": ""})
    result = shell("build", "--entrypoint", "main.py", folder)
    assert result.returncode == 2
    assert "--entrypoint" in result.stderr
    assert "--frontend project" in result.stderr


# -- outputs and times ---------------------------------------------------------------------------------


def test_with_source_date_epoch_two_builds_give_the_same_image(
    shell: Wherry, new_wherry: NewWherry, project: MakeProject, tmp_path: Path
) -> None:
    text = f"FROM {BASE}\nRUN echo $SOURCE_DATE_EPOCH > /epoch; mkdir /new\nWORKDIR /app\nCOPY . .\n"
    digests, metadata = [], tmp_path / "metadata.json"
    for number in range(2):
        wherry = prepare(
            new_wherry(tmp_path / f"store-{number}", env={"SOURCE_DATE_EPOCH": "1700000000"}), tmp_path / "base"
        )
        folder = project({"Dockerfile": text, "file": "text"}, f"project-{number}")
        wherry.ok("build", "-t", "dated", "--metadata-file", metadata, folder)
        digests.append(json.loads(metadata.read_text())["containerimage.digest"])
        with Store(wherry.store) as store:
            image = _image("dated", store)
            layers = [store.blobs.path(layer.descriptor.digest) for layer in image.layers]
            assert max(entry.mtime for entry, _ in merged(layers)) <= 1700000000
            assert image.config.created == "2023-11-14T22:13:20Z"
    assert digests[0] == digests[1]
    assert files(wherry, "dated")["epoch"] == b"1700000000\n"


def test_the_root_filesystem_can_be_had_as_files_and_as_an_archive(
    shell: Wherry, project: MakeProject, tmp_path: Path
) -> None:
    folder = project(
        {"Dockerfile": f"FROM {BASE} AS one\nRUN echo made > /made\nFROM scratch\nCOPY --from=one /made /\n"}
    )
    archive, directory = tmp_path / "root.tar", tmp_path / "root"
    shell.ok("build", "-o", f"type=tar,dest={archive}", "-o", f"type=local,dest={directory}", folder)
    assert (directory / "made").read_text() == "made\n"
    with tarfile.open(archive) as opened:
        assert opened.getnames() == ["made"]


# -- an ordinary user ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ordinary(user: User) -> Wherry:
    """The command of an ordinary user with subordinate IDs, with a base in the store."""
    folder = user.home / "base"
    folder.mkdir()
    user.own(folder)
    (folder / "Dockerfile").write_text("FROM debian\n")
    wherry = user.wherry()
    source = "debian=debian://trixie?shell=1&include=passwd,login,util-linux"
    wherry.ok("build", "-t", BASE, "--build-context", source, folder, cwd=user.home)
    return wherry


@pytest.mark.parametrize("isolation", ["default", "chroot"])
def test_an_ordinary_user_with_subordinate_ids_may_change_owners(
    ordinary: Wherry, user: User, project: MakeProject, isolation: str
) -> None:
    command = "touch /mine && chown 33:33 /mine && setpriv --reuid=33 --regid=33 --clear-groups id -u > /who"
    folder = project({"Dockerfile": f"FROM {BASE}\nRUN {command} # {isolation}\n"}, f"owners-{isolation}", user.home)
    user.own(folder)
    ordinary.ok("build", "-t", "owners", "--isolation", isolation, folder, cwd=user.home)
    with Store(ordinary.store) as store:
        image = _image("owners", store)
        blob = store.blobs.path(image.layers[-1].descriptor.digest)
        found = {entry.path: (entry.uid, data.read() if data else b"") for entry, data in merged([blob])}
    assert found["mine"][0] == 33
    assert found["who"] == (0, b"33\n")


@pytest.fixture(scope="module")
def debian(ordinary: Wherry, user: User) -> str:
    """A Debian with its package manager, as mmdebstrap makes it, in the ordinary user's store; its name."""
    if shutil.which("mmdebstrap") is None:
        pytest.skip("no mmdebstrap: run .ci/packages mmdebstrap")
    words = ["apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME)", "Created-By: Packages", "Label: Debian"]
    mirrors = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()
    mirror, codename = mirrors[0].split()
    folder = user.home / "debian"
    folder.mkdir()
    (folder / "Dockerfile").write_text("FROM scratch\nADD debian.tar /\n")
    # Without root mmdebstrap needs what the test user need not have; whoever runs the tests may be root.
    words = ["mmdebstrap", "--variant=apt", codename.partition("-")[0], str(folder / "debian.tar"), mirror]
    subprocess.run(words, capture_output=True, check=True, timeout=300)
    user.own(folder)
    ordinary.ok("build", "-t", "debian", folder, cwd=user.home, timeout=300)
    return "debian"


@pytest.mark.parametrize("isolation", ["default", "chroot"])
def test_packages_and_users_can_be_added_without_being_root(
    ordinary: Wherry, debian: str, user: User, project: MakeProject, isolation: str
) -> None:
    text = f"""
FROM {debian}
RUN apt-get update && apt-get install -y --no-install-recommends hello # {isolation}
RUN useradd --create-home sailor && su sailor -c 'hello > ~/greeting; id -un >> ~/greeting'
RUN install -d -o sailor -g mail -m 2770 /srv/mail && su - sailor -c 'touch /srv/mail/x'
"""
    folder = project({"Dockerfile": text}, f"packages-{isolation}", user.home)
    user.own(folder)
    words = ("--host-certs", "--isolation", isolation)
    ordinary.ok("build", "-t", "packages", *words, folder, cwd=user.home, timeout=300)
    with Store(ordinary.store) as store:
        image = _image("packages", store)
        blobs = [store.blobs.path(layer.descriptor.digest) for layer in image.layers[-2:]]
        found = {entry.path: (entry, data.read() if data else b"") for entry, data in merged(blobs)}
    assert found["home/sailor/greeting"][1] == b"Hello, world!\nsailor\n"
    sailor = found["home/sailor"][0].uid
    assert [(found[path][0].uid, found[path][0].gid) for path in ("srv/mail", "srv/mail/x")] == [(sailor, 8)] * 2


def test_an_ordinary_users_images_are_roots(ordinary: Wherry, user: User, shell: Wherry, project: MakeProject) -> None:
    text = f"FROM {BASE}\nRUN mkdir -p /a/b && echo 1 > /a/b/c && ln -s c /a/b/d && chmod 4755 /a/b/c\n"
    env: Mapping[str, str] = {"SOURCE_DATE_EPOCH": "1700000000"}
    folder = project({"Dockerfile": text}, "as-root", user.home)
    user.own(folder)
    diff_ids = set()
    for wherry in (shell, ordinary):
        dated = type(wherry)(wherry.store, wherry.prefix, {**wherry.env, **env}, wherry.python)
        dated.ok("build", "-t", "as-root", folder, cwd=user.home)
        diff_ids.add(layers_of(wherry, "as-root")[-1])
    assert len(diff_ids) == 1


# -- what is asked for and what is shown ---------------------------------------------------------------


def test_what_a_dockerfile_may_not_ask_for_is_refused_before_anything_runs(shell: Wherry, project: MakeProject) -> None:
    text = f"FROM {BASE}\nRUN touch /ran\nRUN --security=insecure true\n"
    folder = project({"Dockerfile": text})
    refused = shell("build", folder)
    assert refused.returncode == 2
    assert "Dockerfile:3: security.insecure is not allowed" in refused.stderr
    assert "3 | >>> RUN --security=insecure true" in refused.stderr
    assert "stage" not in refused.stderr
    shell.ok("build", "--allow", "security.insecure", folder)


def test_a_dockerfile_does_not_overrule_that_there_is_no_network(shell: Wherry, project: MakeProject) -> None:
    folder = project({"Dockerfile": f"FROM {BASE}\nRUN --network=host true\n"})
    shell.ok("build", folder)
    refused = shell("build", "--network", "none", folder)
    assert "network.host is not allowed" in refused.stderr
    shell.ok("build", "--network", "none", "--allow", "network.host", folder)


def test_a_missing_file_is_told_with_its_place_and_the_lines_around_it(shell: Wherry, project: MakeProject) -> None:
    folder = project({"Dockerfile": f"FROM {BASE}\nWORKDIR /app\nCOPY main.yp .\n", "main.py": ""})
    said = shell("build", folder).stderr
    assert 'Dockerfile:3: "/main.yp": not found' in said
    assert "   3 | >>> COPY main.yp ." in said
    assert "Did you mean 'main.py'?" in said


def test_a_stage_whose_name_is_nearly_right_is_suggested(shell: Wherry, project: MakeProject) -> None:
    folder = project({"Dockerfile": f"FROM {BASE} AS compile\nFROM {BASE}\nCOPY --from=compil /etc /x\n"})
    assert "Did you mean 'compile'?" in shell("build", folder).stderr


def test_an_error_never_repeats_what_a_terminal_would_obey(shell: Wherry, project: MakeProject) -> None:
    folder = project({"Dockerfile": f"FROM {BASE}\nRUN printf 'A\\033cB\\033]0;title\\007C\\n'; exit 3\n"})
    error = shell("build", folder).stderr.partition("wherry: error: ")[2]
    assert "| ABC" in error
    assert "\x1b" not in error


def test_with_json_every_line_is_an_event(shell: Wherry, project: MakeProject) -> None:
    good = project({"Dockerfile": f"FROM {BASE}\nENV A=1\n"}, "good")
    bad = project({"Dockerfile": f"FROM {BASE}\nCOPY none /\n"}, "bad")
    lines = [json.loads(line) for line in shell.ok("build", "--progress=json", "-t", "j", good).stderr.splitlines()]
    assert lines[-1]["event"] == "result"
    assert lines[-1]["names"] == ["j:latest"]
    failed = shell("build", "--progress=json", bad)
    lines = [json.loads(line) for line in failed.stderr.splitlines()]
    assert failed.returncode == 2
    assert (lines[-1]["event"], lines[-1]["place"]) == ("error", "Dockerfile:2")


def test_a_name_that_would_remove_another_is_noted(shell: Wherry, project: MakeProject) -> None:
    folder = project({"Dockerfile": f"FROM {BASE}\nRUN touch /etc/.wh.hostname /etc/host.wh.name\n"})
    noted = [line for line in shell.ok("build", folder).stderr.splitlines() if "note:" in line]
    assert len([line for line in noted if ".wh." in line]) == 1
    assert "/etc/.wh.hostname" in noted[0]


def test_a_path_that_is_too_long_is_an_error_at_its_place(shell: Wherry, project: MakeProject) -> None:
    deep = 'n=$(printf "%0200d" 0); cd /; for i in $(seq 20); do mkdir $n && cd $n || exit 1; done'
    folder = project({"Dockerfile": f"FROM {BASE}\nRUN {deep}\n"})
    said = shell("build", folder).stderr
    assert "Dockerfile:2: the command left a path that is too long" in said


# -- root without privileges ---------------------------------------------------------------------------

# What Docker's default capabilities and its seccomp filter leave of root: no mounts, no namespaces.
UNPRIVILEGED = (
    *("setpriv", "--bounding-set", "-sys_admin,-sys_ptrace,-sys_resource", "--inh-caps", "-sys_admin,-sys_ptrace"),
)


@pytest.fixture(scope="module")
def unprivileged(shell: Wherry) -> Wherry:
    """The command as root in somebody else's container."""
    return type(shell)(shell.store, UNPRIVILEGED, shell.env, shell.python)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be root without privileges")
def test_root_without_privileges_runs_commands_in_a_plain_chroot(
    unprivileged: Wherry, shell: Wherry, project: MakeProject
) -> None:
    text = f"""
FROM {BASE} AS one
RUN echo new > /new && rm /etc/debian_version && chown 33 /usr/bin/env # plain
COPY data /data
RUN --mount=type=secret,id=word --mount=type=cache,id=plain,target=/cache \
    cp /data /copied && wc -c < /run/secrets/word > /length && touch /cache/x
FROM one
RUN test ! -e /run/secrets && test ! -e /cache && test ! -e /etc/debian_version
COPY --from=one /copied /again
"""
    folder = project({"Dockerfile": text, "data": "data", "word": "secret"})
    secret = ("--secret", f"id=word,src={folder / 'word'}")
    unprivileged.ok("build", "-t", "plain", *secret, folder)
    found = files(unprivileged, "plain")
    assert {
        "new": b"new\n",
        "data": b"data",
        "copied": b"data",
        "again": b"data",
        "length": b"6\n",
    }.items() <= found.items()
    assert set(found) == {"new", "data", "copied", "again", "length", "usr/bin/env"}
    assert layers_of(unprivileged, "plain")
    shell.ok("build", "-t", "with-mounts", "--no-cache", *secret, folder)
    assert files(shell, "with-mounts") == found


def test_root_in_an_ordinary_container_builds_what_root_builds(
    docker: Docker, shell: Wherry, project: MakeProject, tmp_path: Path
) -> None:
    text = f"""
FROM {BASE}
RUN echo inside > /made && chown 33:33 /made && rm /etc/debian_version
RUN true
RUN --mount=type=cache,target=/cache --mount=type=tmpfs,target=/scratch touch /cache/x /scratch/y && mkdir /later
"""
    archive = tmp_path / "outer.tar"
    folder = project({"Dockerfile": f"FROM {BASE}\nUSER 0\n"}, "outer")
    shell.ok("build", "-t", "outer", "-o", f"type=docker,dest={archive}", folder)
    folder = project({"Dockerfile": text}, "inner")
    # This machine's files and programs, with a container's capabilities and seccomp filter; /proc is this machine's.
    words = ("chroot", "/host", shell.python, "-m", "wherry", "build", "--store", str(shell.store), "-t", "inner")
    result = docker.run(docker.load(archive), *words, str(folder), options=("--pid=host", "-v", "/:/host"))
    assert result.stderr.count("namespaces are not permitted") == 1
    found = files(shell, "inner")
    assert found == {"made": b"inside\n"}
    shell.ok("build", "-t", "by-root", "--no-cache", folder)
    assert files(shell, "by-root") == found


# -- an ordinary user without subordinate IDs ----------------------------------------------------------


def test_a_user_without_subordinate_ids_builds_with_one_id(user: User, project: MakeProject) -> None:
    if not user.prefix:
        pytest.skip("who runs the tests is the user that has subordinate IDs")
    anonymous = tuple(word.replace(f"--reuid={user_id(user)}", "--reuid=54321") for word in user.prefix)
    user.home.chmod(0o755)
    home = user.home / "anonymous"
    home.mkdir()
    (home / "base").mkdir()
    (home / "base" / "Dockerfile").write_text("FROM debian\nRUN id -u > /id && mkdir /made\n")
    os.chown(home, 54321, -1)
    env = {**user.env, "HOME": str(home), "TMPDIR": str(home)}
    wherry = type(user.wherry())(home / "store", anonymous, env, user.python)
    result = wherry.ok("build", "-t", "one-id", "--build-context", SOURCE, home / "base", cwd=home)
    assert "subordinate" in result.stderr
    with Store(wherry.store) as store:
        blob = store.blobs.path(_image("one-id", store).layers[-1].descriptor.digest)
        assert {entry.path: entry.uid for entry, _ in merged([blob])} == {"id": 0, "made": 0}


def user_id(user: User) -> str:
    return next(word.partition("=")[2] for word in user.prefix if word.startswith("--reuid="))
