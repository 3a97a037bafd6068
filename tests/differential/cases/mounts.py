"""RUN --mount: what a command sees, and what stays behind."""

from __future__ import annotations

from tests.differential.case import Case, File, Symlink

_CONTEXT = {"a": "a\n", "d/e": "e\n", "d/run": File("#!/bin/sh\necho ran > /ran\n", 0o755), "l": Symlink("a")}
_SECRETS = {"token": "s3cret\n", "other": "another"}


def case(name: str, text: str, base: str = "wherry.test/base", **more: object) -> Case:
    """A stage of a few instructions, a context and two secrets."""
    return Case(name, f"FROM {base}\n{text}", _CONTEXT, secrets=_SECRETS, **more)  # type: ignore[arg-type]


CASES = (
    case("bind-context", "RUN --mount=type=bind,target=/ctx ls /ctx /ctx/d > /listing\n"),
    case("bind-default-type", "RUN --mount=target=/ctx,source=d cat /ctx/e > /e\n"),
    case("bind-a-file", "RUN --mount=type=bind,source=a,target=/x/file cat /x/file > /out\n"),
    Case(
        "bind-from-stage",
        "FROM wherry.test/base AS first\nRUN echo x > /srv/data/three\nFROM wherry.test/base\n"
        "RUN --mount=from=first,src=/srv/data,dst=/m ls /m > /l; cat /m/sub/two > /two\n",
    ),
    case("bind-from-image", "RUN --mount=type=bind,from=wherry.test/full,target=/m ls /m/srv > /l\n"),
    case("bind-named-context", "RUN --mount=from=more,target=/m cat /m/x > /x\n", contexts={"more": {"x": "x\n"}}),
    case("bind-is-read-only", "RUN --mount=target=/ctx touch /ctx/new || echo refused > /r\n"),
    case(
        "bind-rw-is-discarded",
        "RUN --mount=target=/ctx,rw touch /ctx/new && ls /ctx > /1\nRUN --mount=target=/ctx ls /ctx > /2\n",
    ),
    case(
        "bind-readwrite-of-stage",
        "FROM wherry.test/base AS s\nFROM wherry.test/base\n"
        "RUN --mount=from=s,target=/m,readwrite echo x > /m/etc/hostname\nCOPY --from=s /etc/hostname /h\n",
    ),
    case("bind-over-existing", "RUN --mount=source=d,target=/srv/data ls /srv/data > /l\nRUN ls /srv/data > /after\n"),
    case("bind-relative-target", "WORKDIR /w\nRUN --mount=source=d,target=m cat m/e > e\n"),
    case("bind-target-through-link", "RUN --mount=source=d,target=/srv/link/m ls /srv/data/m > /l\n"),
    case("bind-runs-a-program", "RUN --mount=target=/ctx /ctx/d/run\n"),
    case("bind-as-user", "USER app\nRUN --mount=target=/tmp/ctx stat -c '%a %u:%g' /tmp/ctx/a > /tmp/s\n"),
    case(
        "cache",
        "RUN --mount=type=cache,target=/c,id=dt-1 echo x > /c/x\n"
        "RUN --mount=type=cache,target=/other,id=dt-1 cat /other/x > /x\nRUN ls -d /c /other > /l || true\n",
    ),
    case(
        "cache-id-is-target",
        "RUN --mount=type=cache,target=/dt-2 echo x > /dt-2/x\nRUN --mount=type=cache,target=/dt-2 cat /dt-2/x > /x\n",
    ),
    case(
        "cache-owner-and-mode",
        "RUN --mount=type=cache,target=/c,id=dt-3,uid=1000,gid=50,mode=0700 stat -c '%a %u:%g' /c > /s\n",
    ),
    case("cache-default-mode", "RUN --mount=type=cache,target=/c,id=dt-4 stat -c '%a %u:%g' /c > /s\n"),
    case(
        "cache-sharing",
        "RUN --mount=type=cache,target=/c,id=dt-5,sharing=locked touch /c/x\n"
        "RUN --mount=type=cache,target=/c,id=dt-6,sharing=private touch /c/x\n",
    ),
    case(
        "cache-from-stage",
        "RUN --mount=type=cache,target=/c,id=dt-7,from=wherry.test/base,source=/srv/data cat /c/one > /one\n",
    ),
    case("cache-read-only", "RUN --mount=type=cache,target=/c,id=dt-8,ro touch /c/x || echo refused > /r\n"),
    case(
        "cache-in-existing-directory",
        "RUN --mount=type=cache,target=/srv/data,id=dt-9 ls /srv/data > /l\nRUN ls /srv/data > /m\n",
    ),
    case(
        "cache-deep-target",
        "RUN --mount=type=cache,target=/home/app/.cache/deep,id=dt-10 touch /home/app/.cache/deep/x\n",
    ),
    case("tmpfs", "RUN --mount=type=tmpfs,target=/t touch /t/x && ls /t > /l\nRUN ls -d /t > /m || true\n"),
    case(
        "tmpfs-over-existing",
        "RUN --mount=type=tmpfs,target=/srv/data,size=65536 ls /srv/data > /l; stat -c %a /srv/data > /mode\n",
    ),
    case(
        "secret-default-place", "RUN --mount=type=secret,id=token wc -c < /run/secrets/token > /n\nRUN ls /run > /l\n"
    ),
    case("secret-mode", "RUN --mount=type=secret,id=token stat -c '%a %u:%g' /run/secrets/token > /s\n"),
    case(
        "secret-target",
        "RUN --mount=type=secret,id=token,target=/etc/token wc -c < /etc/token > /n\nRUN ls /etc > /l\n",
    ),
    case(
        "secret-target-relative",
        "RUN --mount=type=secret,id=token,target=tok find / -name tok 2>/dev/null > /n || true\n",
    ),
    case(
        "secret-owner-and-mode",
        "RUN --mount=type=secret,id=token,uid=1000,gid=50,mode=0440 stat -c '%a %u:%g' /run/secrets/token > /s\n",
    ),
    case(
        "secret-as-user", "USER app\nRUN --mount=type=secret,id=token cat /run/secrets/token || echo refused > /tmp/r\n"
    ),
    case("secret-env", "RUN --mount=type=secret,id=token,env=TOKEN echo ${#TOKEN} > /n; ls /run > /l\n"),
    case(
        "secret-env-and-target",
        "RUN --mount=type=secret,id=token,env=TOKEN,target=/t wc -c < /t > /n; echo ${#TOKEN} >> /n\n",
    ),
    case("secret-optional", "RUN --mount=type=secret,id=gone ls /run/secrets > /l 2>/dev/null || echo none > /n\n"),
    case(
        "secret-two",
        "RUN --mount=type=secret,id=token --mount=type=secret,id=other,required cat /run/secrets/* | wc -c > /n\n",
    ),
    case("secret-id-from-target", "RUN --mount=type=secret,target=/x/token wc -c < /x/token > /n\n"),
    case("ssh-without-agent", 'RUN --mount=type=ssh echo "[$SSH_AUTH_SOCK]" > /a\n'),
    case(
        "several",
        "RUN --mount=target=/c --mount=type=tmpfs,target=/t --mount=type=cache,target=/k,id=dt-11 cp /c/a /t/ && "
        "cp /t/a /k/ && cp /k/a /a\n",
    ),
    case(
        "expands",
        "ARG SRC=d\nARG ID=dt-12\n"
        "RUN --mount=source=$SRC,target=/m --mount=type=cache,target=/c,id=${ID} cat /m/e > /e\n",
    ),
    case("json-form", 'RUN --mount=target=/m ["cp", "/m/a", "/a"]\n'),
    case("target-quoted-as-csv", 'RUN --mount=source=a,"target=/x y" cat "/x y" > /a\n'),
    case("options-in-any-case", "RUN --mount=TYPE=bind,Source=a,TARGET=/m cat /m > /a\n"),
    case(
        "in-scratch",
        'FROM scratch\nRUN --mount=from=wherry.test/base,source=/bin,target=/bin ["/bin/sh", "-c", "echo x > /x"]\n',
    ),
    case("from-scratch-tree", "RUN --mount=type=bind,from=scratch,target=/m,rw touch /m/x && ls /m > /l\n"),
)
