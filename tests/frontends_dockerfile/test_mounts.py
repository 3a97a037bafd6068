"""RUN --mount: every type's options and defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from wherry.errors import WherryError
from wherry.plan import Base, BuildContext, Run, RunMount

if TYPE_CHECKING:
    from tests.frontends_dockerfile.conftest import Planner


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("target=/m", RunMount("bind", "/m", BuildContext())),
        ("type=bind,dst=m,src=a/b", RunMount("bind", "/w/m", BuildContext(), "/a/b")),
        ("source=../a,target=/m,rw", RunMount("bind", "/m", BuildContext(), "/a", read_only=False)),
        ("target=/m,readonly=false", RunMount("bind", "/m", BuildContext(), read_only=False)),
        ("target=/m,from=alpine", RunMount("bind", "/m", Base("alpine"))),
        ("'\"source=a,b\",target=/m'", RunMount("bind", "/m", BuildContext(), "/a,b")),
        ("TYPE=Cache,target=/c", RunMount("cache", "/c", read_only=False, id="/c")),
        (
            "type=cache,target=/c/,id=x,sharing=LOCKED,mode=0700,uid=1,gid=2,ro",
            RunMount("cache", "/c", id="x", sharing="locked", mode=0o700, uid=1, gid=2),
        ),
        (
            "type=cache,target=c,from=alpine,source=/s",
            RunMount("cache", "/w/c", Base("alpine"), "/s", read_only=False, id="c"),
        ),
        ("type=tmpfs,target=/t", RunMount("tmpfs", "/t", read_only=False)),
        ("type=tmpfs,target=/t,size=64m", RunMount("tmpfs", "/t", read_only=False, size=64 << 20)),
        ("type=secret,id=a", RunMount("secret", "/run/secrets/a", id="a", mode=0o400)),
        ("type=secret,target=/x/y", RunMount("secret", "/x/y", id="y", mode=0o400)),
        ("type=secret,source=a/b", RunMount("secret", "/run/secrets/b", id="a/b", mode=0o400)),
        (
            "type=secret,id=a,env=TOKEN,required",
            RunMount("secret", "", id="a", mode=0o400, env="TOKEN", required=True),
        ),
        (
            "type=secret,id=a,env=T,target=/t,mode=0444,uid=5",
            RunMount("secret", "/t", id="a", mode=0o444, env="T", uid=5),
        ),
        ("type=ssh", RunMount("ssh", "/run/buildkit/ssh_agent.0", id="default", mode=0o600)),
        ("type=ssh,id=k,target=/s,required=true", RunMount("ssh", "/s", id="k", mode=0o600, required=True)),
        ("type=$T,target=$D", RunMount("cache", "/d", read_only=False, id="/d")),
    ],
)
def test_a_mount_is_what_its_options_and_their_defaults_say(planned: Planner, text: str, expected: RunMount) -> None:
    plan = planned(f"FROM a\nENV T=cache D=/d\nWORKDIR /w\nRUN --mount={text} x")
    step = plan.stages[0].steps[-1]
    assert isinstance(step, Run)
    assert step.mounts == (expected,)


def test_sockets_are_counted(planned: Planner) -> None:
    step = planned("FROM a\nRUN --mount=type=ssh --mount=type=ssh,id=b x").stages[0].steps[-1]
    assert isinstance(step, Run)
    assert [mount.target for mount in step.mounts] == ["/run/buildkit/ssh_agent.0", "/run/buildkit/ssh_agent.1"]


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("type=bnid,target=/m", 'unsupported mount type "bnid"', "Did you mean 'bind'?"),
        ("tagret=/m", "unexpected key 'tagret' in 'tagret=/m'", "Did you mean 'target'?"),
        ("target", "invalid field 'target' must be a key=value pair", None),
        ("type=bind,target=/m,required", "unexpected key 'required' for mount type 'bind'", None),
        ("type=bind,target=/m,size=1", "unexpected key 'size' for mount type 'bind'", None),
        ("type=bind,target=/m,uid=1", 'uid not allowed for "bind" type mounts', None),
        ("type=tmpfs,target=/m,mode=1", 'mode not allowed for "tmpfs" type mounts', None),
        ("type=cache,target=/m,mode=9", "invalid value 9 for mode", None),
        ("type=cache,target=/m,sharing=x", 'unsupported sharing value "x"', None),
        ("type=bind,target=/m,sharing=shared", "invalid cache sharing set for bind mount", None),
        ("target=/m,ro=perhaps", "invalid value for ro: perhaps", None),
        ("type=secret", "invalid secret mount. one of source, target required", None),
        ("type=secret,id=a,from=b", "secret mount should not have a from", None),
        ("type=secret,id=a,source=b", "both source and id can't be set", None),
        ("type=ssh,source=x", "ssh does not support source", None),
        ("type=cache", 'invalid mount target "/"', None),
        ("target=/m,from=$X", "'from' doesn't support variable expansion, define alias stage instead", None),
        ("type=tmpfs,target=/m,size=big", "invalid value for size: big", None),
    ],
)
def test_a_mount_that_makes_no_sense_is_an_error(planned: Planner, text: str, message: str, hint: str | None) -> None:
    with pytest.raises(WherryError) as caught:
        planned(f"FROM a\nRUN --mount={text} x")
    assert caught.value.message == message
    assert str(caught.value.place) == "Dockerfile:2"
    if hint:
        assert hint in str(caught.value)
