"""Dockerfiles as Plans: each instruction's step, what it does to those after it, and its line of history."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from wherry.frontends.dockerfile import DockerfileOptions
from wherry.image import RuntimeConfig
from wherry.image.platform import Platform
from wherry.plan import (
    DEFAULT_EPOCH,
    Base,
    BuildContext,
    Configure,
    Copy,
    Git,
    Healthcheck,
    Inline,
    Instruction,
    Plan,
    Remote,
    Run,
    StageRef,
    Step,
    Workdir,
    describe,
    to_json,
)

if TYPE_CHECKING:
    from tests.frontends_dockerfile.conftest import Planner

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
AMD64 = Platform("linux", "amd64")

SEED = """\
# Primera imagen para compilar
FROM python:3.8.4-slim-buster as compile-image
# Se define una variable opcional
RUN python3 -m venv /opt/venv
# Se sobreescribe la variable path para que tenga prioridad los comandos del ambiente
ENV PATH="/opt/venv/bin:$PATH"
# Se copia unicamente el archivo de dependencias
COPY requirements.txt /requirements.txt
# Se instalan las dependencias.
RUN pip install -r requirements.txt
# Listo, inicia el segundo contenedor
FROM python:3.8.4-alpine3.12 AS build-image
# Se copia la carpeta venv que contiene todas las dependencias en el segundo contenedor
COPY --from=compile-image /opt/venv /opt/venv
# Se copia la aplicación
COPY . usr/src/app
# Se establece por defecto el directorio
WORKDIR /usr/src/app
# Se agrega el directorio a las variables de ambiente.
ENV PATH="/opt/venv/bin:$PATH"
# Arranca la aplicación
ENTRYPOINT python3 main.py
"""


def steps(plan: Plan) -> tuple[Step, ...]:
    """The target's steps, without what is done before the first instruction."""
    found = plan.stage(plan.target).steps
    first = found[0] if found else None
    return found[1:] if isinstance(first, Configure) and first.env == (("PATH", DEFAULT_PATH),) else found


def instruction(step: Step) -> Instruction:
    assert isinstance(step, Configure | Copy | Run | Workdir) and step.instruction
    return step.instruction


def history(plan: Plan) -> list[str]:
    lines = [instruction(step).created_by for step in plan.stage(plan.target).steps]
    return [line for line in lines if line]


def configured(plan: Plan) -> Configure:
    """The last step, which configures."""
    step = plan.stage(plan.target).steps[-1]
    assert isinstance(step, Configure)
    return step


def test_the_seed_is_two_stages_of_which_the_second_takes_the_environment_of_the_first(planned: Planner) -> None:
    plan = planned(SEED)
    path = (("PATH", f"/opt/venv/bin:{DEFAULT_PATH}"),)
    compiled, built = plan.stages
    assert (compiled.name, compiled.base) == ("compile-image", Base("python:3.8.4-slim-buster"))
    assert compiled.steps == (
        Run(("/bin/sh", "-c", "python3 -m venv /opt/venv")),
        Configure(env=path),
        Copy(BuildContext(), ("requirements.txt",), "/requirements.txt"),
        Run(("/bin/sh", "-c", "pip install -r requirements.txt")),
    )
    assert (built.name, built.base) == ("build-image", Base("python:3.8.4-alpine3.12"))
    assert built.steps == (
        Copy(StageRef("compile-image"), ("/opt/venv",), "/opt/venv"),
        Copy(BuildContext(), (".",), "/usr/src/app"),
        Workdir("/usr/src/app"),
        Configure(env=path),
        Configure(entrypoint=("/bin/sh", "-c", "python3 main.py"), cmd=()),
    )
    assert (plan.target, plan.times, plan.epoch) == ("build-image", "real", DEFAULT_EPOCH)
    assert history(plan) == [
        "COPY /opt/venv /opt/venv # buildkit",
        "COPY . usr/src/app # buildkit",
        "WORKDIR /usr/src/app",
        f"ENV PATH=/opt/venv/bin:{DEFAULT_PATH}",
        'ENTRYPOINT ["/bin/sh" "-c" "python3 main.py"]',
    ]
    assert [str(instruction(step).place) for step in built.steps] == [
        f"Dockerfile:{line}" for line in (14, 16, 18, 20, 22)
    ]
    assert describe(plan)
    assert to_json(plan)


def test_scratch_gets_the_default_path(planned: Planner) -> None:
    (stage,) = planned("FROM scratch\nCOPY a /").stages
    assert stage.base == Base("scratch")
    assert stage.steps[0] == Configure(env=(("PATH", DEFAULT_PATH),))
    assert instruction(stage.steps[0]).created_by == ""


def test_a_base_that_has_a_path_keeps_it(planned: Planner) -> None:
    plan = planned("FROM a\nENV X=$PATH", images={"a": RuntimeConfig(env=("PATH=/x",))})
    assert plan.stages[0].steps == (Configure(env=(("X", "/x"),)),)


@pytest.mark.parametrize(
    ("text", "step", "line"),
    [
        ("ENV a=b c=$a", Configure(env=(("a", "b"), ("c", ""))), "ENV a=b c="),
        ("ENV a b c", Configure(env=(("a", "b c"),)), "ENV a=b c"),
        ('ENV a="b c" d=e\\ f', Configure(env=(("a", "b c"), ("d", "e f"))), "ENV a=b c d=e f"),
        ('LABEL a.b="c d" e=f', Configure(labels=(("a.b", "c d"), ("e", "f"))), "LABEL a.b=c d e=f"),
        ("ARG a=b c", Configure(), "ARG a=b c"),
        ("RUN a  b", Run(("/bin/sh", "-c", "a  b")), "RUN /bin/sh -c a  b # buildkit"),
        ("RUN", Run(("/bin/sh", "-c", "")), "RUN /bin/sh -c  # buildkit"),
        ("RUN echo $PATH", Run(("/bin/sh", "-c", "echo $PATH")), "RUN /bin/sh -c echo $PATH # buildkit"),
        ('RUN ["a", "b c"]', Run(("a", "b c")), "RUN a b c # buildkit"),
        ("RUN ['a']", Run(("/bin/sh", "-c", "['a']")), "RUN /bin/sh -c ['a'] # buildkit"),
        ("RUN --network=none a", Run(("/bin/sh", "-c", "a"), network="none"), "RUN /bin/sh -c a # buildkit"),
        ("RUN --security=insecure a", Run(("/bin/sh", "-c", "a"), security="insecure"), "RUN /bin/sh -c a # buildkit"),
        ("CMD a b", Configure(cmd=("/bin/sh", "-c", "a b"), args_escaped=True), 'CMD ["/bin/sh" "-c" "a b"]'),
        ('CMD ["a", "b"]', Configure(cmd=("a", "b"), args_escaped=True), 'CMD ["a" "b"]'),
        ("CMD []", Configure(cmd=(), args_escaped=True), "CMD []"),
        ('ENTRYPOINT ["a"]', Configure(entrypoint=("a",), cmd=()), 'ENTRYPOINT ["a"]'),
        ("EXPOSE 80 9/udp", Configure(ports=("80/tcp", "9/udp")), "EXPOSE [80/tcp 9/udp]"),
        ("EXPOSE 9 10", Configure(ports=("10/tcp", "9/tcp")), "EXPOSE [10/tcp 9/tcp]"),
        ("VOLUME /a /b", Configure(volumes=("/a", "/b")), "VOLUME [/a /b]"),
        ('VOLUME ["/a b"]', Configure(volumes=("/a b",)), "VOLUME [/a b]"),
        ("USER a:b", Configure(user="a:b"), "USER a:b"),
        ("WORKDIR /a", Workdir("/a"), "WORKDIR /a"),
        ("WORKDIR a/../b", Workdir("/b"), "WORKDIR /b"),
        ("WORKDIR $none", Workdir("/"), "WORKDIR /"),
        ("STOPSIGNAL sigint", Configure(stop_signal="sigint"), "STOPSIGNAL sigint"),
        ('SHELL ["/bin/bash", "-c"]', Configure(shell=("/bin/bash", "-c")), "SHELL [/bin/bash -c]"),
        ("MAINTAINER Ada <a@b>", Configure(author="Ada <a@b>"), "MAINTAINER Ada <a@b>"),
        ("ONBUILD RUN a", Configure(onbuild=("RUN a",)), ""),
        ("ONBUILD  COPY <<E /x\n1\nE", Configure(onbuild=("COPY <<E /x\n1\nE",)), ""),
        ("onbuild nonsense", Configure(onbuild=("nonsense",)), ""),
        ("HEALTHCHECK NONE", Configure(healthcheck=Healthcheck(("NONE",))), None),
        ("HEALTHCHECK CMD a b", Configure(healthcheck=Healthcheck(("CMD-SHELL", "a b"))), None),
        (
            'HEALTHCHECK --interval=30s --timeout=1m --start-period=5s --start-interval=1s --retries=2 CMD ["a"]',
            Configure(healthcheck=Healthcheck(("CMD", "a"), 30 * 10**9, 60 * 10**9, 5 * 10**9, 10**9, 2)),
            None,
        ),
        ("COPY a b /c/", Copy(BuildContext(), ("a", "b"), "/c/"), "COPY a b /c/ # buildkit"),
        ("COPY a .", Copy(BuildContext(), ("a",), "/"), "COPY a . # buildkit"),
        ("COPY a b/.", Copy(BuildContext(), ("a",), "/b/"), "COPY a b/. # buildkit"),
        ('COPY ["a b", "c"]', Copy(BuildContext(), ("a b",), "/c"), "COPY a b c # buildkit"),
        (
            "COPY --chown=1:2 --chmod=755 --link a b",
            Copy(BuildContext(), ("a",), "/b", owner="1:2", mode="755", link=True),
            "COPY --chown=1:2 --chmod=755 a b # buildkit",
        ),
        (
            "COPY --parents --exclude=*.a --exclude=b x/./y z",
            Copy(BuildContext(), ("x/./y",), "/z", parents=True, exclude=("*.a", "b")),
            "COPY --parents x/./y z # buildkit",
        ),
        ("COPY --from=alpine:3 a b", Copy(Base("alpine:3"), ("a",), "/b"), "COPY a b # buildkit"),
        ("COPY --from=scratch a b", Copy(Base("scratch"), ("a",), "/b"), "COPY a b # buildkit"),
        ("COPY --chmod=u+x,go=rX a b", Copy(BuildContext(), ("a",), "/b", mode="u+x,go=rX"), None),
        (
            "COPY <<a <<'b' /x/\n$PATH\na\n$PATH\nb",
            Copy(BuildContext(), (Inline("a", DEFAULT_PATH + "\n"), Inline("b", "$PATH\n")), "/x/"),
            "COPY <<a <<b /x/ # buildkit",
        ),
        (
            'COPY <<-a x\n\t"q"\n\ta',
            Copy(BuildContext(), (Inline("a", '"q"\n'),), "/x"),
            "COPY <<a x # buildkit",
        ),
        ("ADD a.tar /", Copy(BuildContext(), ("a.tar",), "/", unpack=True), "ADD a.tar / # buildkit"),
        ("ADD --unpack=false a.tar /", Copy(BuildContext(), ("a.tar",), "/"), "ADD a.tar / # buildkit"),
        (
            "ADD --checksum=sha256:" + "0" * 64 + " https://x/y.tar /",
            Copy(BuildContext(), (Remote("https://x/y.tar", "sha256:" + "0" * 64),), "/"),
            "ADD https://x/y.tar / # buildkit",
        ),
        (
            "ADD --unpack https://x/y.tar /",
            Copy(BuildContext(), (Remote("https://x/y.tar"),), "/", unpack=True),
            "ADD https://x/y.tar / # buildkit",
        ),
        (
            "ADD --keep-git-dir https://x/y.git#v1:sub /",
            Copy(BuildContext(), (Git("https://x/y.git", "v1", "sub", True),), "/"),
            "ADD https://x/y.git#v1:sub / # buildkit",
        ),
        ("ADD git@x.org:a/b.git /", Copy(BuildContext(), (Git("git@x.org:a/b.git"),), "/"), None),
        ("ADD https://x/y.git?tag=1 /", Copy(BuildContext(), (Git("https://x/y.git", "refs/tags/1"),), "/"), None),
    ],
)
def test_an_instruction_is_a_step(planned: Planner, text: str, step: Step, line: str | None) -> None:
    (found,) = steps(planned(f"FROM a\n{text}\n"))
    assert found == step
    if line is not None:
        assert instruction(found).created_by == line


def test_keywords_may_be_written_in_any_case(planned: Planner) -> None:
    plan = planned("from a As B\nrun x")
    assert (plan.target, instruction(plan.stages[0].steps[0]).text) == ("b", "RUN x")


def test_what_an_instruction_says_is_expanded_before_any_of_it_counts(planned: Planner) -> None:
    plan = planned("FROM a\nENV abc=hello\nENV abc=bye def=$abc\nENV ghi=$abc")
    assert [step.env for step in plan.stages[0].steps if isinstance(step, Configure)] == [
        (("abc", "hello"),),
        (("abc", "bye"), ("def", "hello")),
        (("ghi", "bye"),),
    ]


@pytest.mark.parametrize(
    ("text", "step"),
    [
        ("COPY $X ${X}/y", Copy(BuildContext(), ("a b",), "/a b/y")),
        ("COPY --chown=$X --chmod=$M a b", Copy(BuildContext(), ("a",), "/b", owner="a b", mode="600")),
        ("COPY --exclude=$X a b", Copy(BuildContext(), ("a",), "/b", exclude=("$X",))),
        ("WORKDIR /$X", Workdir("/a b")),
        ("USER $X", Configure(user="a b")),
        ("VOLUME $X", Configure(volumes=("a b",))),
        ("LABEL $X=$M", Configure(labels=(("a b", "600"),))),
        ("EXPOSE $P", Configure(ports=("80/tcp", "81/tcp"))),
        ("STOPSIGNAL $S", Configure(stop_signal="TERM")),
        ("RUN $X", Run(("/bin/sh", "-c", "$X"))),
        ("CMD $X", Configure(cmd=("/bin/sh", "-c", "$X"), args_escaped=True)),
        ('CMD ["$X"]', Configure(cmd=("$X",), args_escaped=True)),
        ("ENTRYPOINT $X", Configure(entrypoint=("/bin/sh", "-c", "$X"), cmd=())),
        ("HEALTHCHECK CMD $X", Configure(healthcheck=Healthcheck(("CMD-SHELL", "$X")))),
        ('SHELL ["$X"]', Configure(shell=("$X",))),
        ("ONBUILD RUN $X", Configure(onbuild=("RUN $X",))),
        ("MAINTAINER $X", Configure(author="$X")),
    ],
)
def test_variables_are_expanded_where_buildkit_does_and_nowhere_else(planned: Planner, text: str, step: Step) -> None:
    plan = planned(f"FROM a\nENV X='a b' M=600 P='80 81' S=TERM\n{text}")
    assert plan.stages[0].steps[-1] == step


def test_relative_directories_follow_each_other(planned: Planner) -> None:
    plan = planned(
        "FROM a\nWORKDIR x\nWORKDIR y\nCOPY f g/\nCOPY f ../g", images={"a": RuntimeConfig(working_dir="/w")}
    )
    places = [getattr(step, "path", "") or getattr(step, "destination", "") for step in steps(plan)]
    assert places == ["/w/x", "/w/x/y", "/w/x/y/g/", "/w/x/g"]


def test_a_shell_counts_from_there_on(planned: Planner) -> None:
    plan = planned(
        'FROM a\nRUN a\nSHELL ["bash", "-lc"]\nRUN b\nCMD c', images={"a": RuntimeConfig(other={"Shell": ["x"]})}
    )
    assert [step.argv for step in steps(plan) if isinstance(step, Run)] == [("x", "a"), ("bash", "-lc", "b")]
    assert configured(plan).cmd == ("bash", "-lc", "c")


@pytest.mark.parametrize(
    ("text", "cmd"),
    [("CMD a\nENTRYPOINT b", ("/bin/sh", "-c", "a")), ("ENTRYPOINT b", ())],
)
def test_an_entrypoint_drops_the_bases_command_but_not_the_stages_own(
    planned: Planner, text: str, cmd: tuple[str, ...]
) -> None:
    assert configured(planned(f"FROM a\n{text}", images={"a": RuntimeConfig(cmd=("x",))})).cmd == cmd


@pytest.mark.parametrize(
    ("text", "argv", "files"),
    [
        ("RUN <<E\na\nb\nE", ("/bin/sh", "-c", "a\nb\n"), ()),
        ("RUN <<-E\n\ta\n\tE", ("/bin/sh", "-c", "a\n"), ()),
        ("RUN <<'E'\n$a\nE", ("/bin/sh", "-c", "$a\n"), ()),
        (
            "RUN <<E\n#!/usr/bin/env python\nprint()\nE",
            ("/bin/sh", "-c", "/dev/pipes/E"),
            (("/dev/pipes/E", "#!/usr/bin/env python\nprint()\n"),),
        ),
        ("RUN cat <<E > x\na\nE", ("/bin/sh", "-c", "cat <<E > x\na\nE"), ()),
        ("RUN <<A cat && <<B\n1\nA\n2\nB", ("/bin/sh", "-c", "<<A cat && <<B\n1\nA\n2\nB"), ()),
    ],
)
def test_a_here_document_is_the_shells_text_or_a_script(
    planned: Planner, text: str, argv: tuple[str, ...], files: tuple[tuple[str, str], ...]
) -> None:
    assert steps(planned(f"FROM a\n{text}\n")) == (Run(argv, files=files),)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("RUN  echo $A \\\n  $B", "RUN echo 1   $B"),
        ("RUN echo '$A'", "RUN echo '$A'"),
        ("RUN <<E\nfirst\nsecond\nE", "RUN <<E (first...)"),
        ("copy $A /", "COPY 1 /"),
        ("ENV X=$A", "ENV X=$A"),
    ],
)
def test_a_step_is_shown_as_its_words(planned: Planner, text: str, shown: str) -> None:
    plan = planned(f"FROM a\nENV A=1\n{text}\n")
    assert instruction(plan.stages[0].steps[-1]).text == shown


# arguments


def run(plan: Plan) -> Run:
    """The last RUN of the target."""
    return [step for step in plan.stage(plan.target).steps if isinstance(step, Run)][-1]


def test_a_run_sees_the_arguments_declared_above_it(planned: Planner) -> None:
    plan = planned("FROM a\nARG A=1\nARG B\nRUN x\nARG C=3", args={"B": "2"})
    assert run(plan).args == (("A", "1"), ("B", "2"))
    assert instruction(run(plan)).created_by == "RUN |2 A=1 B=2 /bin/sh -c x # buildkit"


def test_an_argument_without_a_value_is_in_history_only(planned: Planner) -> None:
    plan = planned("FROM a\nARG A\nRUN x")
    assert run(plan).args == ()
    assert instruction(run(plan)).created_by == "RUN |1 A= /bin/sh -c x # buildkit"


def test_a_build_argument_wins_over_the_default_and_is_not_expanded(planned: Planner) -> None:
    plan = planned("FROM a\nARG A=1\nENV B=$A", args={"A": "$PATH"})
    assert configured(plan).env == (("B", "$PATH"),)


def test_arguments_that_nobody_declares_are_not_seen(planned: Planner) -> None:
    plan = planned("FROM a\nRUN x\nENV B=$A", args={"A": "1"})
    assert run(plan).args == ()
    assert configured(plan).env == (("B", ""),)


def test_env_wins_over_an_argument_of_the_same_name(planned: Planner) -> None:
    plan = planned("FROM a\nARG V\nENV V=${V:-v1.0.0}\nRUN x", args={"V": "v2"})
    assert history(plan)[1:] == ["ENV V=v2", "RUN |1 V=v2 /bin/sh -c x # buildkit"]
    assert run(plan).args == ()


def test_a_default_may_use_earlier_variables(planned: Planner) -> None:
    plan = planned("FROM a\nENV X=1\nARG A=${X}2 B='c d'\nENV Y=$A$B")
    assert configured(plan).env == (("Y", "12c d"),)


def test_arguments_before_from_are_for_from_and_must_be_declared_again(planned: Planner) -> None:
    plan = planned("ARG V=1\nARG W=$V.2\nFROM a:$W\nENV X=$V\nARG V\nENV Y=$V")
    assert plan.stages[0].base == Base("a:1.2")
    assert [step.env for step in plan.stages[0].steps if isinstance(step, Configure)] == [
        (("X", ""),),
        (),
        (("Y", "1"),),
    ]


def test_a_stage_inherits_arguments_from_the_stage_that_it_starts_from(planned: Planner) -> None:
    plan = planned("FROM a AS b\nARG A=1\nENV E=2\nFROM b\nENV X=$A$E\nFROM a\nENV X=$A")
    assert [stage.steps[-1] for stage in planned("FROM a AS b\nARG A=1\nENV E=2\nFROM b\nENV X=$A$E").stages][-1] == (
        Configure(env=(("X", "12"),))
    )
    assert configured(plan).env == (("X", ""),)


def test_platforms_are_arguments(planned: Planner) -> None:
    options = DockerfileOptions("D", platform=Platform.parse("linux/arm/v7"), build_platform=AMD64)
    names = "BUILDPLATFORM BUILDOS BUILDARCH BUILDVARIANT TARGETPLATFORM TARGETOS TARGETARCH TARGETVARIANT TARGETSTAGE"
    said = "\n".join(f"ARG {name}" for name in names.split())
    plan = planned(f"FROM --platform=$BUILDPLATFORM a\n{said}\nRUN x", options)
    assert plan.stages[0].base == Base("a", platform=AMD64)
    assert plan.platform == Platform.parse("linux/arm/v7")
    assert dict(run(plan).args) == {
        "BUILDPLATFORM": "linux/amd64",
        "BUILDOS": "linux",
        "BUILDARCH": "amd64",
        "BUILDVARIANT": "",
        "TARGETPLATFORM": "linux/arm/v7",
        "TARGETOS": "linux",
        "TARGETARCH": "arm",
        "TARGETVARIANT": "v7",
        "TARGETSTAGE": "default",
    }


def test_proxies_reach_every_run_and_no_history(planned: Planner) -> None:
    plan = planned("FROM a\nRUN x", args={"http_proxy": "http://p", "NO_PROXY": "local"})
    assert dict(run(plan).proxies) == {
        "HTTP_PROXY": "http://p",
        "http_proxy": "http://p",
        "NO_PROXY": "local",
        "no_proxy": "local",
    }
    assert history(plan) == ["RUN /bin/sh -c x # buildkit"]


def test_source_date_epoch_clamps_times_and_is_set_in_run(planned: Planner) -> None:
    plan = planned("FROM a\nRUN x", DockerfileOptions("D", platform=AMD64, epoch=5))
    assert (plan.epoch, plan.times) == (5, "clamped")
    assert run(plan).args == (("SOURCE_DATE_EPOCH", "5"),)
    assert history(plan) == ["RUN /bin/sh -c x # buildkit"]


def test_a_build_argument_wins_over_the_environments_epoch(planned: Planner) -> None:
    options = DockerfileOptions("D", (("SOURCE_DATE_EPOCH", "7"),), platform=AMD64, epoch=5)
    plan = planned("FROM a\nARG SOURCE_DATE_EPOCH\nRUN x", options)
    assert (plan.epoch, run(plan).args) == (7, (("SOURCE_DATE_EPOCH", "7"),))
    assert planned("ARG SOURCE_DATE_EPOCH=9\nFROM a").epoch == 9


def test_labels_of_the_command_line_are_the_targets_last_ones(planned: Planner) -> None:
    plan = planned("FROM a AS x\nFROM x\nLABEL a=b", DockerfileOptions("D", platform=AMD64, labels=(("a", "c"),)))
    assert configured(plan).labels == (("a", "c"),)
    assert history(plan) == ["LABEL a=b"]


def test_the_builds_network_is_that_of_a_run_that_does_not_say(planned: Planner) -> None:
    plan = planned("FROM a\nRUN x\nRUN --network=default y", DockerfileOptions("D", platform=AMD64, network="none"))
    assert [step.network for step in steps(plan) if isinstance(step, Run)] == ["none", "default"]


def test_ignore_patterns_are_the_main_contexts(planned: Planner) -> None:
    plan = planned("FROM a\nCOPY a b", DockerfileOptions("D", platform=AMD64, ignore=("*.pyc",)))
    assert steps(plan) == (Copy(BuildContext(("*.pyc",)), ("a",), "/b"),)
