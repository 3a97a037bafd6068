"""RUN: what of a command's doings becomes a layer, and what it finds around itself."""

from __future__ import annotations

from tests.differential.case import Case, Symlink


def case(name: str, *commands: str, base: str = "wherry.test/base") -> Case:
    """A stage with one RUN for each command."""
    return Case(name, f"FROM {base}\n" + "".join(f"RUN {command}\n" for command in commands))


CASES = (
    case("nothing", "true", "true"),
    case("no-command", ""),
    case("new-files", "echo a > /a; mkdir -p /d/e; echo f > /d/e/f; touch /empty"),
    case("change-a-file", "echo more >> /etc/hostname", "echo more >> /etc/hostname"),
    case("delete-files", "rm /etc/hostname /opt/first", "rm /opt/second"),
    case("delete-a-directory", "rm -r /srv/data"),
    case("delete-and-make-again", "rm -r /srv/data; mkdir /srv/data; echo new > /srv/data/new"),
    case("delete-in-one-make-in-next", "rm -r /srv/data", "mkdir -p /srv/data/sub; echo x > /srv/data/sub/x"),
    case("make-and-delete-in-one", "touch /a; rm /a", "mkdir /b; touch /b/c; rm -r /b"),
    case("make-then-delete-in-next", "mkdir -p /x/y; touch /x/y/z", "rm -r /x/y", "touch /x/y"),
    case("rename-a-directory", "mv /srv/data /srv/moved"),
    case("rename-over", "mv /etc/hostname /etc/group"),
    case("swap-file-and-directory", "rm -r /srv/data; echo file > /srv/data; rm /etc/hostname; mkdir /etc/hostname"),
    case("directory-becomes-link", "mv /srv/data /data; ln -s /data /srv/data", "touch /srv/data/through"),
    case("link-becomes-directory", "rm /srv/link; mkdir /srv/link; touch /srv/link/x"),
    case("link-changed", "ln -sfn sub /srv/link; ln -sf /new /srv/dangling"),
    case("owner-and-mode", "chown app:staff /etc/hostname; chmod 4711 /lib/a.so; chown 9:9 /srv/data; chmod 1733 /srv"),
    case("owner-of-a-link", "chown -h app /srv/link; chown daemon /srv/to-file"),
    case("times-only", "touch /etc/hostname; touch -d 2001-01-01 /srv/data /lib/a.so"),
    case("mkdir-existing", "mkdir -p /srv/data/sub /tmp"),
    case("hard-links", "echo x > /a; ln /a /b; mkdir /d; ln /b /d/c"),
    case("hard-link-to-lower-file", "ln /etc/hostname /etc/other"),
    case("hard-link-changed-in-lower", "echo new > /opt/first"),
    case("hard-link-one-removed", "rm /opt/first"),
    case("hard-link-later-owner", "echo x > /a; ln /a /b", "chown app /a", "ln /b /c"),
    case("fifo-and-devices", "mkfifo -m 600 /p; mknod /null c 1 3; mknod -m 640 /blk b 7 0"),
    case("sparse-file", "truncate -s 1000000 /sparse; echo end >> /sparse"),
    case(
        "long-names",
        "d=$(printf 'd%.0s' $(printf '%0200d' 0 | sed 's/0/0 /g')); "
        "mkdir -p /$d/$d/$d; echo x > /$d/$d/$d/$d; ln -s /$d/$d /l",
    ),
    case("name-that-is-not-utf8", "touch \"/$(printf 'caf\\351')\"; ln -s \"$(printf 'caf\\351')\" /l"),
    case("odd-names", "touch '/a b' '/tab\tx' '/-dash' '/.wh' '/quote\"x' '/back\\\\slash'"),
    case("umask", "umask 077; touch /a; mkdir /b", "umask > /umask"),
    case("sgid-directory-inherited", "touch /var/sgid/a; mkdir /var/sgid/b"),
    case("setuid-cleared-by-chown", "chown app /usr/bin/setuid"),
    case("immutable-parent-copies", "touch /srv/data/sub/new", "chmod 700 /srv/data/sub"),
    case("what-is-mounted-is-not-kept", "touch /dev/shm/x /dev/x; echo 1 > /etc/hostname.new; ls /proc/1 > /dev/null"),
    case("mount-points-in-full-base", "ls -d /proc/self /sys/kernel /dev/null /dev/pts /dev/shm > /seen"),
    case(
        "resolv-and-hosts-are-not-kept",
        "test -f /etc/resolv.conf && test -f /etc/hosts && touch /both",
        "ls /etc > /listing",
    ),
    case("hostname-file-is-the-images", "cat /etc/hostname > /h"),
    case("environment", "env | grep -v -E '^HOSTNAME=' | sort > /env"),
    case("environment-of-full-base", "env | grep -v -E '^HOSTNAME=' | sort > /home/app/env", base="wherry.test/full"),
    case("process-group-and-terminal", "test -t 0 || echo no > /stdin; test -t 1 || echo no > /stdout; cat > /input"),
    case("background-process-ends", "(sleep 60; touch /late) & echo started > /a"),
    case("pipes-and-operators", "echo a | tr a b > /x && false || echo c > /y; ! false && echo d > /z"),
    case("network-none", "echo x > /x"),
    case("exit-trap", "trap 'echo bye > /bye' EXIT; true"),
    case("limits-of-files", "ulimit -n > /dev/null; id > /id"),
    case(
        "capabilities",
        "chown 1:1 /etc/hostname && mknod /n c 1 3 && sed -n 's/^CapEff:\\t//p' /proc/self/status > /caps",
    ),
    case("no-new-privileges-and-seccomp", "grep -E '^(NoNewPrivs|CapBnd|CapInh|CapAmb)' /proc/self/status > /s"),
    Case(
        "network-flags",
        "FROM wherry.test/base\nRUN --network=none echo a > /a\n"
        "RUN --network=host echo b > /b\nRUN --network=default echo c > /c\n",
    ),
    Case(
        "leftovers-in-scratch",
        "FROM wherry.test/base AS tools\nFROM scratch\nCOPY --from=tools /bin /bin\nRUN echo x > /x\n",
    ),
    Case(
        "mount-points-missing-etc-present",
        "FROM wherry.test/base AS tools\nFROM scratch\n"
        "COPY --from=tools /bin /bin\nCOPY --from=tools /etc/passwd /etc/\n"
        "RUN touch /x\nRUN ls / /etc > /listing\n",
    ),
    Case(
        "mount-points-that-are-links",
        "FROM wherry.test/base\nCOPY l /etc\nRUN test -f /etc/hosts; touch /x\n",
        {"l/resolv.conf": Symlink("/run/resolv.conf"), "l/hosts": Symlink("nowhere")},
    ),
    Case(
        "resolv-conf-of-the-image",
        "FROM wherry.test/base\nCOPY r /etc/resolv.conf\nCOPY r /etc/hosts\n"
        "RUN echo x > /x\nRUN cat /etc/hosts | grep -c mine > /seen || true\n",
        {"r": "# mine\n"},
    ),
    Case("json-form-environment", 'FROM wherry.test/base\nENV A=1\nRUN ["sh", "-c", "echo $A $0 > /a", "zero"]\n'),
    Case(
        "path-lookup",
        "FROM wherry.test/base\nRUN mkdir -p /usr/local/bin && ln -s /bin/busybox /usr/local/bin/touch\n"
        'RUN ["touch", "/a"]\nENV PATH=/bin\nRUN ["touch", "/b"]\n',
    ),
    Case(
        "volume-of-base-is-kept",
        "FROM wherry.test/full\nUSER root\nRUN mkdir -p /data && echo x > /data/x\nRUN ls /data > /l\n",
    ),
    Case("same-instruction-twice", "FROM wherry.test/base\nRUN echo x >> /x\nRUN echo x >> /x\n"),
)
