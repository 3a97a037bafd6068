"""ARG and ENV: forms, scopes, defaults, what a RUN sees and what history tells."""

from __future__ import annotations

from tests.differential.case import Case

_SHOW = "RUN env | grep -v -E '^(HOME|HOSTNAME|PATH|PWD|SHLVL|OLDPWD)=' | sort > /env || true\n"


def case(name: str, text: str, *args: str, env: dict[str, str] | None = None) -> Case:
    """A stage from the plain base that shows its environment at the end."""
    return Case(name, f"FROM wherry.test/base\n{text}{_SHOW}", args=args, env=env or {})


CASES = (
    case("env-new-form", "ENV A=1 B=two C=\"three 3\" D='four 4' E=five\\ 5\n"),
    case("env-old-form", "ENV A 1\nENV B two words  and   spaces\nENV C \"quoted\" word\nENV D a=b\nENV E 'single'\n"),
    case("env-several-lines", "ENV A=1 \\\n    B=2 \\\n\n    C=3\n"),
    case("env-values-of-one-line-do-not-see-each-other", "ENV A=old\nENV A=new B=$A\nENV C=$A\n"),
    case("env-empty", "ENV A= B=\"\" C=''\n"),
    case("env-twice", "ENV A=1\nENV B=2\nENV A=3\n"),
    case("env-of-base-overridden", "ENV PATH=/x:$PATH\n"),
    case("env-names", "ENV a.b=1 A-B=2 _c=3 1d=4\n"),
    case("env-expanding-name", "ARG N=NAME\nENV $N=value ${N}_2=other\n"),
    case("env-equals-and-quotes-inside", "ENV A=b=c D='it''s' E=\"a'b\" F=a\"b c\"d\n"),
    case("arg-default", "ARG A=1\nARG B\nARG C=\n"),
    case("arg-given", "ARG A=1\nARG B\nARG C=3\n", "A=x", "B=y y", "C="),
    case("arg-several-on-a-line", "ARG A=1 B C=3\n", "B=given"),
    case("arg-uses-earlier", "ARG A=1\nARG B=${A}2\nENV C=$B\n"),
    case("arg-uses-same-line", "ARG A=1 B=$A\n"),
    case("arg-repeated", "ARG A=1\nRUN echo $A > /1\nARG A=2\n"),
    case("arg-repeated-without-default", "ARG A=1\nARG A\n"),
    case("env-over-arg", "ARG A=arg\nENV A=env\nRUN echo $A > /1\n", "A=given"),
    case("arg-after-env", "ENV A=env\nARG A=arg\nRUN echo $A > /1\n"),
    case("env-from-arg", "ARG V=1.0\nENV VERSION=${V:-none} OTHER=${W:-none}\n", "V=2.0"),
    case("arg-before-use-only", 'RUN echo "[$A]" > /1\nARG A=1\nRUN echo "[$A]" > /2\n', "A=x"),
    case("proxies-are-known", "RUN echo $HTTP_PROXY $no_proxy > /1\n", "HTTP_PROXY=http://p.test", "no_proxy=a.test"),
    case("proxies-declared", "ARG HTTP_PROXY\nRUN echo $HTTP_PROXY > /1\n", "HTTP_PROXY=http://p.test"),
    case("given-with-special-characters", 'ARG A\nENV B=$A\nLABEL c="$A"\n', "A=a b$c\"d'e\\f"),
    case("from-the-environment-of-the-command", "ARG A\n", "A", env={"A": "outside"}),
    case("quotes-in-history", 'ARG A="two words"\nRUN echo "$A"\n'),
    Case(
        "global-needs-redeclaring",
        "ARG A=1\nARG B=2\nFROM wherry.test/base\nARG A\nARG B=3\nARG C=$A\n" + _SHOW,
    ),
    Case("global-given", "ARG A=1\nFROM wherry.test/base\nARG A\n" + _SHOW, args=("A=given",)),
    Case("global-without-default", "ARG A\nFROM wherry.test/base\nARG A=inner\n" + _SHOW),
    Case("only-used-arguments-in-later-stage", "FROM wherry.test/base AS a\nARG A=1\nFROM a\nARG A\n" + _SHOW),
    Case("inherits-from-base", 'FROM wherry.test/full\nENV GREETING="${GREETING}!" NEW=$FROM_BASE\n'),
    Case(
        "env-used-in-everything",
        """FROM wherry.test/base
ENV D=/some/dir U=app P=8080 S=SIGTERM L=label V=/vol F=file
WORKDIR $D
COPY $F ${D}/copied
ADD ${F} $D/added
USER ${U}
EXPOSE $P
STOPSIGNAL $S
LABEL $L=$L
VOLUME $V
VOLUME ["$V/json"]
""",
        {"file": "f\n"},
    ),
    Case(
        "not-expanded-in-commands",
        """FROM wherry.test/base
ENV A=1
CMD echo $A ${A:-x}
ENTRYPOINT ["echo", "$A"]
SHELL ["/bin/sh", "-c"]
HEALTHCHECK CMD test $A
""",
    ),
)
