"""Expansion: each form, quotes and escapes, patterns, and what does not expand."""

from __future__ import annotations

from tests.differential.case import Case

_VARIABLES = "ENV SET=value EMPTY='' FILE=/usr/lib/archive.tar.gz WORDS='a b a' STAR='a*b'\n"


def labels(name: str, *values: str, head: str = "") -> Case:
    """A case that shows what each value comes to, as a label."""
    lines = "".join(f"LABEL l{number:02}={value}\n" for number, value in enumerate(values))
    return Case(name, f"{head}FROM wherry.test/base\n{_VARIABLES}{lines}")


CASES = (
    labels("plain", "$SET", "${SET}", "a$SET", "${SET}b", "$SETb", "$SET.b", "$NONE", "${NONE}x"),
    labels("default", "${SET:-w}", "${EMPTY:-w}", "${NONE:-w}", "${SET-w}", "x${EMPTY-w}", "${NONE-w}"),
    labels("alternative", "x${SET:+w}", "x${EMPTY:+w}", "x${NONE:+w}", "x${SET+w}", "x${EMPTY+w}", "x${NONE+w}"),
    labels("required-and-there", "${SET:?must}", "x${EMPTY?must}", "${SET?}"),
    labels("nested", "${NONE:-$SET}", "${NONE:-${EMPTY:-deep}}", "${SET:+${WORDS}}", '"${NONE:-a b}"'),
    labels("shortest-prefix", "${FILE#*/}", "${FILE#/usr}", "${FILE#nothing}", "${FILE#?}", "${FILE#}"),
    labels("longest-prefix", "${FILE##*/}", "${FILE##*.}", "${FILE##*}x"),
    labels("shortest-suffix", "${FILE%.*}", "${FILE%.gz}", "${FILE%?}", "${FILE%/*}"),
    labels("longest-suffix", "${FILE%%.*}", "x${FILE%%/*}", "x${FILE%%*}"),
    labels("replace", "${FILE/r/R}", "${FILE//r/R}", "${FILE/ar*ve/X}", "${FILE//\\//-}", "${FILE/gz/}", "${FILE//a/}"),
    labels("replace-with-variable", "${FILE/archive/$SET}", "${FILE/${NONE:-usr}/x}", "${SET/%e/x}", "${SET/#v/x}"),
    labels(
        "replace-with-dollar",
        *("${FILE//lib/\\$0x}", "${FILE//lib/<\\${0}>}", "${FILE//lib/\\$1}", "${FILE//lib/a\\$}", "${FILE/lib/\\$0}"),
        *(
            "${FILE//lib/\\$\\$0}",
            "${FILE//lib/\\$-}",
            "${FILE//lib/\\${x}}",
            "${FILE//lib/\\$0_}",
            "${FILE//lib/\\${0}",
        ),
    ),
    labels("pattern-escapes", "${STAR/\\*/-}", "${STAR#a\\*}", '"${WORDS// /_}"', '"${WORDS/a/b c}"'),
    labels("single-quotes", "'$SET'", "'${SET}'", "'a\\b'", "'a\"b'", "a'$SET'b"),
    labels("double-quotes", '"$SET"', '"a $SET b"', '"\\$SET"', '"a\\"b"', '"a\\\\b"', '"it\'s"', '"a\\nb"'),
    labels("escapes", "\\$SET", "a\\ b", "a\\\\b", "\\${SET}", "\\'x\\'", "a\\nb", '\\"x'),
    labels("dollar-alone", "a$", "$$", "a$.b", '"$"', "$-x", "a$%b"),
    labels("positional", "$1", "a$1b", "${1}x", "$@x"),
    labels("escape-directive", "`$SET", "a\\b", "a` b", "c:\\dir\\$SET", head="# escape=`\n"),
    Case(
        "escape-directive-continues-lines",
        "# escape=`\nFROM wherry.test/base\nRUN echo a `\n  b > /ab\nENV A=1 `\n  B=c:\\x\n",
    ),
    Case(
        "case-of-directive-and-spaces",
        "#  ESCAPE = `\nFROM wherry.test/base\nRUN echo a `\n  b > /ab\n",
    ),
    Case(
        "copy-paths",
        "FROM wherry.test/base\nENV D=dir S='with space'\n"
        'COPY ${D}/a /x/$D/\nCOPY ["$D/a", "/y/${S}"]\nCOPY \\$D /z/\nWORKDIR /w-${S}\n',
        {"dir/a": "a\n", "$D": "dollar\n"},
    ),
    Case(
        "user-and-workdir",
        "FROM wherry.test/base\nARG U=app\nENV W=/w\n"
        "USER $U:${G:-staff}\nWORKDIR ${W}/a\nWORKDIR $NONE\nWORKDIR b${NONE}c\n",
    ),
    Case(
        "chown-chmod-flags",
        "FROM wherry.test/base\nARG U=1000\nARG M=600\nCOPY --chown=$U:50 --chmod=${M} a /\n",
        {"a": "a\n"},
    ),
    Case("run-is-the-shells-business", "FROM wherry.test/base\nARG A=arg\nRUN A=mine; echo $A ${A#m} \\$A '$A' > /a\n"),
    Case(
        "expose-and-volume",
        "FROM wherry.test/base\nENV P=80 E='81 82'\nEXPOSE $P ${P}80/udp $E\nENV V='/a /b'\nVOLUME $V /c\n",
    ),
    Case("onbuild-later", "FROM wherry.test/base\nENV A=1\nONBUILD ENV B=$A\nONBUILD RUN echo $A\n"),
    Case(
        "json-is-expanded-in-copy-not-in-cmd",
        'FROM wherry.test/base\nENV A=x\nCOPY ["$A", "/$A"]\nCMD ["$A"]\n',
        {"x": "x\n"},
    ),
    Case("label-names", "FROM wherry.test/base\nENV K=key\nLABEL \"$K one\"=1 ${K}.two=2 '$K'=3\n"),
)
