"""The text of a Dockerfile: lines, comments, continuations, directives, encodings."""

from __future__ import annotations

from tests.differential.case import Case

CASES = (
    Case("crlf", 'FROM wherry.test/base\r\nENV A=1 \\\r\n  B=2\r\nRUN echo a \\\r\n  b > /a\r\nCMD ["x"]\r\n'),
    Case("byte-order-mark", b"\xef\xbb\xbfFROM wherry.test/base\nLABEL a=b\n"),
    Case("no-newline-at-the-end", "FROM wherry.test/base\nRUN echo a > /a"),
    Case("continuation-at-the-end", "FROM wherry.test/base\nRUN echo a > /a \\\n"),
    Case(
        "comments-in-continuations",
        "FROM wherry.test/base\nRUN echo a \\\n# a comment\n  # another\n  b \\\n\n  c > /abc\n",
    ),
    Case("comment-after-instruction-is-none", "FROM wherry.test/base\nRUN echo a # not ours > /a\nENV A=b#c\n"),
    Case("spaces-after-backslash", "FROM wherry.test/base\nRUN echo a \\  \n  b > /ab\n"),
    Case("backslash-inside-word", "FROM wherry.test/base\nRUN echo a\\\nb > /ab\nRUN ec\\\nho c > /c\n"),
    Case("backslash-in-comment", "FROM wherry.test/base\n# a comment \\\nRUN echo a > /a\n"),
    Case("indented-instructions", "  FROM wherry.test/base\n\tRUN echo a > /a\n   LABEL a=b\n"),
    Case(
        "tabs-between-words",
        "FROM\twherry.test/base\nENV\tA=1\tB=2\nCOPY\ta\t/x\t\nRUN\techo\ta  >\t/a\n",
        {"a": "a\n"},
    ),
    Case("spaces-kept-in-run", "FROM wherry.test/base\nRUN   echo   'a   b'   >   /a   \nCMD   a    b   \n"),
    Case("continued-spaces-kept", "FROM wherry.test/base\nRUN echo a && \\\n      echo b && \\\n\techo c\n"),
    Case(
        "syntax-directive-with-known-frontend-is-not-first-line",
        "# a comment\n# syntax=nonsense\nFROM wherry.test/base\n",
    ),
    Case(
        "directive-after-comment-is-a-comment", "# hello\n# escape=`\nFROM wherry.test/base\nRUN echo a \\\n b > /ab\n"
    ),
    Case("check-directive", "# check=skip=all\nFROM wherry.test/base\nRUN true\n"),
    Case("directive-after-empty-line", "\n# escape=`\nFROM wherry.test/base\nRUN echo a \\\n b > /ab\n"),
    Case("unicode", "FROM wherry.test/base\nRUN echo 'ä ✓' > /ünï\nCOPY é /é\nLABEL é=ü\n", {"é": "e\n"}),
    Case("json-run", 'FROM wherry.test/base\nRUN ["/bin/sh", "-c", "echo \\"a b\\" > /a"]\n'),
    Case("json-run-without-shell", 'FROM wherry.test/base\nRUN ["touch", "/$HOME", "/a b"]\n'),
    Case("json-run-over-lines", 'FROM wherry.test/base\nRUN ["touch", \\\n  "/a", \\\n  "/b"]\n'),
    Case("json-like-shell", "FROM wherry.test/base\nRUN [ -f /etc/passwd ] && touch /yes\n"),
    Case("html-characters", "FROM wherry.test/base\nRUN echo '<a> & b' > /a\nENV A=<b>\n"),
    Case("long-line", "FROM wherry.test/base\nRUN echo " + "x" * 5000 + " > /x\n"),
    Case("file-elsewhere", "FROM wherry.test/base\nCOPY a /\n", {"a": "a\n"}, file="docker/My.file"),
    Case(
        "flags-on-continued-lines",
        "FROM wherry.test/base\nCOPY \\\n --chown=1:2 \\\n --chmod=600 \\\n a \\\n /x\n",
        {"a": "a\n"},
    ),
    Case(
        "json-copy",
        'FROM wherry.test/base\nCOPY ["a b", "/y"]\nCOPY [ "a b" , "c" , "/z/" ]\n',
        {"a b": "ab\n", "c": "c\n"},
    ),
)
