"""``wherry push``, ``pull``, ``login`` and ``logout``, against real registries; skopeo sees what we see."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.registry.machines import Machine, built, configure, skopeo
from tests.registry.servers import PASSWORD, PROGRAM, USER, Registry, Tls, registry

if TYPE_CHECKING:
    from tests.conftest import Docker

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not Path(PROGRAM).exists(), reason="Debian's docker-registry is not installed"),
]

BUSYBOX = "/bin/busybox"


def test_an_image_goes_from_one_machine_to_another(machine: Machine, open_registry: Registry, tmp_path: Path) -> None:
    name = f"{open_registry.host}/team/there:1"
    here, there = machine("here"), machine("there")
    digest = built(here, tmp_path, name, "a", "b")
    assert here.ok("push", name).stdout == f"{name}@{digest}\n"
    assert there.ok("pull", name).stdout == f"{name}@{digest}\n"
    assert name in there.ok("images").stdout
    assert there.leftovers() == []
    assert skopeo("inspect", "--tls-verify=false", "--format={{.Digest}}", f"docker://{name}").strip() == digest


def test_a_build_pushes_what_it_has_built_under_all_its_names(
    machine: Machine, open_registry: Registry, tmp_path: Path
) -> None:
    names = [f"{open_registry.host}/built/{name}" for name in ("one:1", "one:2", "two:1")]
    here = machine("here")
    options = [word for name in names for word in ("-t", name)]
    digest = built(here, tmp_path, names[0], "a", more=["--push", *options])
    for name in names:
        assert skopeo("inspect", "--tls-verify=false", "--format={{.Digest}}", f"docker://{name}").strip() == digest


def test_a_push_without_a_name_is_refused_before_anything_is_built(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    refused = machine("here")("build", "--push", tmp_path)
    assert refused.returncode == 2
    assert "-t HOST/NAME:TAG" in refused.stderr


def test_what_the_registry_has_is_not_sent_again(machine: Machine, open_registry: Registry, tmp_path: Path) -> None:
    here = machine("here")
    built(here, tmp_path, "again", "a", "b")
    repository = f"{open_registry.host}/again"
    assert "\n0 B sent" not in here.ok("push", "again", f"{repository}:1").stderr
    assert "\n0 B sent" in here.ok("push", "again", f"{repository}:2", f"{repository}:3").stderr
    assert open_registry.tags("again") == {"1", "2", "3"}


def test_what_the_store_has_is_not_fetched_again(machine: Machine, open_registry: Registry, tmp_path: Path) -> None:
    name = f"{open_registry.host}/same"
    here = machine("here")
    built(here, tmp_path, name, "a")
    here.ok("push", name)
    assert "\n0 B fetched" in here.ok("pull", name).stderr


def test_what_skopeo_has_pushed_is_pulled_for_the_platform_that_is_meant(
    machine: Machine, open_registry: Registry, tmp_path: Path
) -> None:
    name = f"{open_registry.host}/foreign:1"
    here = machine("here")
    built(here, tmp_path, "small", "a")
    here.ok("build", tmp_path / "context", "-o", f"type=oci,dest={tmp_path / 'image.tar'}")
    skopeo(
        "copy", "--dest-tls-verify=false", "--format=v2s2", f"oci-archive:{tmp_path / 'image.tar'}", f"docker://{name}"
    )
    there = machine("there")
    digest = there.ok("pull", name).stdout.strip().rpartition("@")[2]
    raw = skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{name}")
    assert json.loads(raw)["mediaType"] == "application/vnd.docker.distribution.manifest.v2+json"
    assert digest == skopeo("inspect", "--tls-verify=false", "--format={{.Digest}}", f"docker://{name}").strip()
    refused = there("pull", "--platform", "linux/arm64", name)
    assert refused.returncode == 2
    assert f"{name} has no image for linux/arm64" in refused.stderr


def test_an_index_is_pushed_whole_and_pulled_for_one_platform(
    machine: Machine, open_registry: Registry, tmp_path: Path
) -> None:
    name = f"{open_registry.host}/both:1"
    here, there = machine("here"), machine("there")
    (tmp_path / "context").mkdir()
    (tmp_path / "context" / "Dockerfile").write_text(
        "FROM scratch\nCOPY Dockerfile /\nARG TARGETARCH\nENV A=$TARGETARCH\n"
    )
    digest = here.build(tmp_path / "context", "-t", name, "--platform", "linux/amd64,linux/arm64")
    here.ok("push", name)
    assert there.ok("pull", "--platform", "linux/arm64", name).stdout == f"{name}@{digest}\n"
    (row,) = json.loads(there.ok("images", "--format", "json").stdout)
    assert row["platforms"] == ["linux/arm64"]
    index = json.loads(skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{name}"))
    assert [one["platform"]["architecture"] for one in index["manifests"]] == ["amd64", "arm64"]


@pytest.mark.skipif(not Path(BUSYBOX).exists(), reason="Debian's busybox-static is not installed")
def test_docker_runs_what_we_pushed_and_we_run_what_docker_has_pushed(
    machine: Machine, open_registry: Registry, docker: Docker, tmp_path: Path
) -> None:
    ours, theirs = f"{open_registry.host}/ours:1", f"{open_registry.host}/theirs:1"
    here, there = machine("here"), machine("there")
    folder = tmp_path / "context"
    folder.mkdir()
    shutil.copy(BUSYBOX, folder / "busybox")
    (folder / "Dockerfile").write_text('FROM scratch\nCOPY busybox /\nENTRYPOINT ["/busybox", "echo"]\nCMD ["hello"]\n')
    digest = here.build(folder, "-t", ours)
    here.ok("push", ours)
    docker("pull", ours)
    assert docker("image", "inspect", "--format={{index .RepoDigests 0}}", ours).stdout.strip().endswith(digest)
    assert docker.run(ours).stdout == "hello\n"
    docker("tag", ours, theirs)
    docker("push", theirs)
    there.ok("pull", theirs)
    assert there.ok("run", theirs, "ahoy").stdout == "ahoy\n"


@pytest.mark.skipif(not Path(BUSYBOX).exists(), reason="Debian's busybox-static is not installed")
def test_docker_runs_of_an_index_what_is_for_it_and_an_image_that_stayed_docker_s_own(
    machine: Machine, open_registry: Registry, docker: Docker, tmp_path: Path
) -> None:
    index, theirs, again = (f"{open_registry.host}/{name}:1" for name in ("kinds-index", "kinds-theirs", "kinds-again"))
    here = machine("here")
    folder = tmp_path / "context"
    folder.mkdir()
    shutil.copy(BUSYBOX, folder / "busybox")
    text = 'FROM scratch\nARG TARGETARCH\nENV ARCH=$TARGETARCH\nCOPY busybox /\nENTRYPOINT ["/busybox", "env"]\n'
    (folder / "Dockerfile").write_text(text)
    here.build(folder, "-t", index, "--platform", "linux/arm64,linux/amd64", "--push")
    docker("pull", index)
    assert "ARCH=amd64" in docker.run(index).stdout
    docker("tag", index, theirs)
    docker("push", theirs)
    here.ok("pull", theirs)
    here.ok("push", theirs, again)
    kind = json.loads(skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{again}"))["mediaType"]
    assert kind == "application/vnd.docker.distribution.manifest.v2+json"
    docker("image", "rm", theirs)
    docker("pull", again)
    assert "ARCH=amd64" in docker.run(again).stdout


def test_nobody_gets_in_without_a_login_and_none_is_kept_that_is_wrong(machine: Machine, tmp_path: Path) -> None:
    here = machine("here")
    with registry(tmp_path / "registry", password=True) as server:
        name = f"{server.host}/closed"
        built(here, tmp_path, name, "a")
        refused = here("push", name)
        assert refused.returncode == 1
        assert f"wherry login {server.host}" in refused.stderr
        wrong = here("login", "-u", USER, "--password-stdin", server.host, stdin="wrong\n")
        assert (wrong.returncode, "wrong" in wrong.stderr) == (1, False)
        assert not (tmp_path / "here" / ".docker").exists()
        here.ok("login", "-u", USER, "--password-stdin", server.host, stdin=PASSWORD + "\n")
        assert oct((tmp_path / "here" / ".docker" / "config.json").stat().st_mode)[-3:] == "600"
        here.ok("push", name)
        assert server.tags("closed") == {"latest"}
        here.ok("logout", server.host)
        assert here("push", name).returncode == 1


def test_a_login_that_skopeo_keeps_is_ours(machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "auth.json"
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(file))
    here = machine("here")
    with registry(tmp_path / "registry", tokens=True) as server:
        name = f"{server.host}/closed"
        skopeo("login", "--tls-verify=false", f"--username={USER}", f"--password={PASSWORD}", server.host)
        built(here, tmp_path, name, "a")
        here.ok("push", name)
        assert server.tags("closed") == {"latest"}


def test_a_registry_without_a_trusted_certificate_is_for_those_who_say_so(
    machine: Machine, tmp_path: Path, tls: Tls
) -> None:
    here = machine("here")
    with registry(tmp_path / "registry", tls=tls) as server:
        name = f"{server.host}/private"
        built(here, tmp_path, name, "a")
        refused = here("push", name)
        assert refused.returncode == 1
        assert "certificate is not trusted" in refused.stderr
        here.ok("push", "--insecure-registry", server.host, name)
        configure(tmp_path / "here", f'[registry."{server.host}"]\nca = "{tls.authority}"\n')
        here.ok("pull", name)


def test_a_name_that_nobody_has_is_an_error(machine: Machine, open_registry: Registry) -> None:
    here = machine("here")
    missing = here("pull", f"{open_registry.host}/nobody/has:this")
    assert missing.returncode == 1
    assert "nobody/has: " in missing.stderr
    unknown = here("push", f"{open_registry.host}/nobody/has:this")
    assert (unknown.returncode, "Traceback" in unknown.stderr) == (2, False)


def test_a_mirror_goes_first_and_the_registry_itself_where_that_has_nothing(
    machine: Machine, open_registry: Registry, tmp_path: Path
) -> None:
    here, there = machine("here"), machine("there")
    with registry(tmp_path / "mirror") as mirror:
        mirrored, only_there = f"{open_registry.host}/mirrored:1", f"{open_registry.host}/only/there:1"
        digest = built(here, tmp_path, "x", "a")
        here.ok("push", "x", f"{mirror.host}/mirrored:1", only_there)
        configure(tmp_path / "there", f'[registry."{open_registry.host}"]\nmirrors = ["{mirror.host}"]\n')
        assert there.ok("pull", mirrored).stdout == f"{mirrored}@{digest}\n"
        assert there.ok("pull", only_there).stdout == f"{only_there}@{digest}\n"
        assert open_registry.tags("mirrored") == set()


def test_nothing_of_a_login_is_in_the_list_of_processes(machine: Machine) -> None:
    refused = machine("here")("login", "-u", USER, "--password", PASSWORD, "127.0.0.1:1")
    assert refused.returncode == 2
    assert PASSWORD not in refused.stderr
