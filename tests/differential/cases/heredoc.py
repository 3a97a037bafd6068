"""Heredocs in RUN, COPY and ADD."""

from __future__ import annotations

from tests.differential.case import Case


def case(name: str, text: str, base: str = "wherry.test/base") -> Case:
    """A stage of a few instructions."""
    return Case(name, f"FROM {base}\n{text}", {"a": "a\n"})


CASES = (
    case("run", "RUN <<EOF\necho a > /a\necho b > /b\nEOF\n"),
    case("run-stops-not-at-errors", "RUN <<EOF\nfalse\ntouch /after\nEOF\n"),
    case("run-dollar-is-the-shells", "ARG A=arg\nRUN <<EOF\nB=2\necho $A $B > /a\nEOF\n"),
    case("run-quoted", 'ARG A=arg\nRUN <<\'EOF\'\necho $A "\\$A" > /a\nEOF\nRUN <<"EOF"\necho $A > /b\nEOF\n'),
    case("run-tabs-removed", "RUN <<-EOF\n\techo a > /a\n\t\techo b > /b\n  echo c > /c\n\tEOF\n"),
    case("run-shebang", "RUN <<EOF\n#!/bin/sh -e\necho $0 | sed 's/.*/ok/' > /a\nEOF\n"),
    case("run-shebang-env", "RUN <<EOF\n#!/bin/env sh\necho x > /a\nEOF\n"),
    case("run-as-input", "RUN cat <<EOF > /a\nline 1\n  line 2 $HOME\nEOF\n"),
    case("run-as-input-quoted", "RUN cat <<'EOF' > /a\nline $HOME `x`\nEOF\n"),
    case("run-several", "RUN cat <<ONE > /1 && cat <<TWO > /2\nfirst\nONE\nsecond\nTWO\n"),
    case("run-with-arguments-after", "RUN sh -s x y <<EOF\necho $1 $2 > /a\nEOF\n"),
    case("run-with-mount-flag", "RUN --mount=type=tmpfs,target=/t <<EOF\ntouch /t/x\nls /t > /a\nEOF\n"),
    case("run-fd", "RUN cat 3<<EOF <&3 > /a\nthree\nEOF\n"),
    case("run-other-shell", 'SHELL ["/bin/sh", "-e", "-c"]\nRUN <<EOF\necho a > /a\nEOF\n'),
    case("run-comment-inside-kept", "RUN <<EOF\n# a comment\necho '# b' > /a\n\necho c > /c\nEOF\n"),
    case("run-backslashes-inside", "RUN <<EOF\necho a \\\n  b > /a\necho 'c\\d' > /c\nEOF\n"),
    case("run-empty", "RUN <<EOF\nEOF\n"),
    case("copy", "COPY <<EOF /a\nhello\n  world\nEOF\n"),
    case("copy-expands", "ARG A=arg\nENV B=env\nCOPY <<EOF /a\n$A ${B:-x} \\$A ${NONE:-none} \"$A\" '$A'\nEOF\n"),
    case("copy-quoted-does-not-expand", "ARG A=arg\nCOPY <<'EOF' /a\n$A \\$A \\\\\nEOF\n"),
    case("copy-tabs-removed", "COPY <<-EOF /a\n\tone\n\t\ttwo\n\tEOF\n"),
    case("copy-several-into-directory", "COPY <<one <<two.txt a /d/\n1\none\n2\ntwo.txt\n"),
    case("copy-into-directory", "COPY <<name.txt /d/\ntext\nname.txt\n"),
    case("copy-chown-chmod", "COPY --chown=app:staff --chmod=0751 <<EOF /x/run\n#!/bin/sh\nEOF\n"),
    case("copy-to-workdir", "WORKDIR /w\nCOPY <<EOF rel\nx\nEOF\n"),
    case("copy-empty", "COPY <<EOF /empty\nEOF\n"),
    case("copy-crlf-and-eof-word-inside", "COPY <<END /a\nEOF\nEND of it\n END\nEND\n"),
    case("add", "ADD <<EOF /a\nadded\nEOF\n"),
    case("copy-link", "COPY --link <<EOF /srv/link/x\nlinked\nEOF\n"),
    case("not-a-heredoc", "RUN echo $((1<<2)) > /a; echo '<<EOF' > /b\nLABEL a=<<EOF\n"),
    case("escape-directive-inside", "COPY <<EOF /a\n\\$HOME\n\\\nEOF\n"),
    Case("crlf", "FROM wherry.test/base\r\nCOPY <<EOF /a\r\none\r\ntwo\r\nEOF\r\nRUN <<EOF\r\necho a > /b\r\nEOF\r\n"),
    case("onbuild", "ONBUILD COPY <<EOF /a\nx\nEOF\n"),
)
