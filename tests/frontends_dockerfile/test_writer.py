"""A project's Plan as a Dockerfile: what it says, read again by the frontend that reads Dockerfiles."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wherry.errors import UsageError
from wherry.frontends.dockerfile import DockerfileOptions, plan
from wherry.frontends.dockerfile.writer import Written, pinnable, write
from wherry.frontends.python import ProjectOptions
from wherry.frontends.python.planner import plan as project_plan
from wherry.image import ImageConfig, RuntimeConfig
from wherry.image.platform import Platform
from wherry.plan import (
    Base,
    BuildContext,
    BuildWheels,
    Configure,
    Copy,
    Indexes,
    Install,
    Plan,
    Requirements,
    RequirementsKind,
    Stage,
    StageRef,
    Virtualenv,
)
from wherry.sources.ignore import parse

if TYPE_CHECKING:
    from tests.frontends_dockerfile.conftest import Planner

Project = Callable[..., Plan]

AMD64 = Platform("linux", "amd64")
DIGEST = f"sha256:{'1' * 64}"
SIMPLE = {"requirements.txt": "six\n", "main.py": ""}
PACKAGE = """
[build-system]
requires = ["hatchling"]
[project]
name = "greeter"
version = "1"
optional-dependencies = {more = []}
[dependency-groups]
dev = []
[project.scripts]
greet = "greeter:main"
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """The Plan of a project of the given files."""

    def make(files: Mapping[str, str], options: ProjectOptions | None = None) -> Plan:
        for name, text in files.items():
            path = tmp_path / "project" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return project_plan(tmp_path / "project", options)

    return make


def written(made: Plan, digests: Mapping[str, str] | None = None) -> Written:
    return write(made, digests or {}, uv="1.2.3")


def stage(text: str, name: str) -> str:
    """The lines of one stage."""
    _, _, rest = text.partition(f" AS {name}\n")
    return rest.partition("\nFROM ")[0]


def installing(text: str) -> list[str]:
    """The commands that uv runs."""
    return [line.strip(" \\&") for line in text.split("\n") if "/bin/uv " in line]


# -- the whole -------------------------------------------------------------------------------------


def test_the_stages_are_those_of_the_plan_over_one_base(project: Project, planned: Planner) -> None:
    made = planned(written(project(SIMPLE)).dockerfile)
    base, *others = made.stages
    assert isinstance(base.base, Base)
    assert base.base.source == "debian:trixie-slim"
    assert [(one.name, one.base) for one in others] == [("compile", StageRef("base")), ("runtime", StageRef("base"))]
    assert made.target == "runtime"


def test_the_environment_and_the_application_go_to_the_last_stage_as_layers_of_their_own(
    project: Project, planned: Planner
) -> None:
    made = planned(written(project(SIMPLE)).dockerfile)
    venv, application = (step for step in made.stage("runtime").steps if isinstance(step, Copy))
    assert (venv.origin, venv.sources, venv.destination) == (StageRef("compile"), ("/opt/venv",), "/opt/venv")
    assert (application.sources, application.destination) == ((".",), "/usr/src/app/")
    assert venv.link
    assert application.link
    assert application.mode == "u=rwX,go=rX"


def test_the_config_is_the_plans(project: Project, planned: Planner) -> None:
    settings = """
    cmd = ["--help", "it's", "$HOME"]
    entrypoint = ["python", "main.py", "a \\"b\\" \\\\"]
    ports = [80, "53/udp"]
    workdir = "/srv/a b"
    user = "1000:50"
    env = {A = "1", B = 'c "d" $e \\'}
    labels = {"org.example.x" = "a quay"}
    """
    before = project({**SIMPLE, "wherry.toml": settings})
    assert config(planned(written(before).dockerfile)) == config(before)


texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8)


@given(
    env=st.dictionaries(st.from_regex(r"[A-Za-z_][A-Za-z0-9_.-]{0,5}", fullmatch=True), texts, max_size=3),
    labels=st.dictionaries(st.from_regex(r"[a-z][a-z0-9.-]{0,5}", fullmatch=True), texts, max_size=3),
    words=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), min_size=1, max_size=3),
    folder=st.text("ab c$'\"\\{}#.[]é", min_size=1, max_size=6).filter(lambda name: name.strip() == name),
)
def test_every_value_comes_back_as_it_was(
    env: dict[str, str], labels: dict[str, str], words: list[str], folder: str
) -> None:
    set_ = Configure(
        env=tuple(env.items()),
        labels=tuple(labels.items()),
        entrypoint=tuple(words),
        cmd=tuple(words),
        workdir=f"/srv/x{folder}x",
        user="1",
    )
    text = written(bare(set_)).dockerfile
    assert config(plan(text.encode(), DOCKERFILE, Known())) == config(bare(set_))


def test_a_project_that_compiles_gets_a_compiler(project: Project) -> None:
    made = project({"requirements.txt": "idna\n", "main.py": ""})
    assert "gcc" not in written(made).dockerfile
    assert "gcc" in stage(write(made, {}, uv="1.2.3", compiles=True).dockerfile, "compile")


def test_a_project_that_docker_does_not_see_is_refused(project: Project, tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "setup.py").write_text("")
    files = {"requirements.txt": "../lib\n", "main.py": "", "wherry.toml": 'outside = ["../lib"]\n'}
    with pytest.raises(UsageError, match=r"\.\./lib lies outside of the project"):
        written(project(files))


def test_a_value_of_two_lines_is_refused() -> None:
    with pytest.raises(UsageError, match="ENV A cannot be written"):
        written(bare(Configure(env=(("A", "1\n2"),), user="1")))


# -- bases -----------------------------------------------------------------------------------------


def test_a_debian_base_is_debians_own_image_with_python_and_nonroot(project: Project) -> None:
    options = ProjectOptions(base="debian://bookworm?include=curl&shell=1")
    result = written(project(SIMPLE, options))
    base = stage(result.dockerfile, "base")
    assert "FROM debian:bookworm-slim AS base\n" in result.dockerfile
    assert " ca-certificates curl " in base
    assert "useradd --uid 65532 --gid nonroot" in base
    assert "not pinned" in result.dockerfile
    assert any("without a digest" in note for note in result.notes)


def test_a_digest_is_written_behind_the_name(project: Project) -> None:
    made = project(SIMPLE, ProjectOptions(base="python:3.13-slim"))
    result = written(made, {"python:3.13-slim": DIGEST})
    assert [base.source for base in pinnable(made)] == ["python:3.13-slim"]
    assert f"FROM python:3.13-slim@{DIGEST} AS base\n" in result.dockerfile
    assert result.notes == ()


def test_without_a_digest_the_file_and_a_note_say_so(project: Project) -> None:
    result = written(project(SIMPLE, ProjectOptions(base="compile")))
    # With a tag it is no stage.
    assert "# Its digest could not be had here: it is not pinned.\nFROM compile:latest AS base\n" in result.dockerfile
    assert result.notes == ("compile is written without a digest: none could be had",)


def test_a_base_that_has_its_digest_keeps_it(project: Project) -> None:
    made = project(SIMPLE, ProjectOptions(base=f"python@{DIGEST}"))
    assert pinnable(made) == ()
    assert f"FROM python@{DIGEST} AS base\n" in written(made).dockerfile


@pytest.mark.parametrize("base", ["oci:layout", "docker-archive:image.tar", "scratch"])
def test_a_base_without_a_name_is_refused(project: Project, base: str) -> None:
    with pytest.raises(UsageError, match="docker has no name for the base"):
        written(project(SIMPLE, ProjectOptions(base=base)))


def test_a_dockerfiles_plan_is_refused(planned: Planner) -> None:
    with pytest.raises(UsageError, match="only the Plan of a project"):
        written(planned("FROM x\nRUN true\n"))


# -- Debian packages -------------------------------------------------------------------------------


def test_packages_stay_in_the_stage_that_needs_them(project: Project) -> None:
    made = building(project(SIMPLE, ProjectOptions(packages=("libpq5",))), packages=("libpq-dev",))
    text = written(made).dockerfile
    assert "gcc g++ libc6-dev python3-dev libpq-dev" in stage(text, "compile")
    assert " libpq5" in stage(text, "runtime")
    assert "libpq5" not in stage(text, "compile")
    assert "gcc" not in stage(text, "runtime") + stage(text, "base")


def test_there_is_a_compiler_where_no_wheels_are_wanted(project: Project) -> None:
    text = written(project(SIMPLE, ProjectOptions(no_binary=("six",)))).dockerfile
    assert "gcc g++ libc6-dev python3-dev" in stage(text, "compile")


def test_there_is_no_compiler_where_nothing_is_said_of_compiling(project: Project) -> None:
    assert "gcc" not in written(project(SIMPLE)).dockerfile


def test_a_base_to_build_in_is_that_of_the_first_stage(project: Project) -> None:
    made = building(project(SIMPLE, ProjectOptions(base="python:3.13-slim")), base=Base("python:3.13"))
    text = written(made).dockerfile
    assert "FROM python:3.13 AS build-base\n" in text
    assert "FROM build-base AS compile\n" in text
    assert "FROM base AS runtime\n" in text


# -- installing ------------------------------------------------------------------------------------


def test_requirements_are_mounted_with_all_that_they_name(project: Project) -> None:
    text = written(project({"requirements.txt": "-r more/other.txt\n", "more/other.txt": "", "main.py": ""})).dockerfile
    assert installing(text) == ["/opt/uv/bin/uv pip install --no-editable --requirements requirements.txt"]
    for path in ("requirements.txt", "more/other.txt"):
        assert f"--mount=type=bind,source={path},target=/src/{path} " in text
    assert "COPY requirements" not in text


def test_a_lock_is_installed_as_it_is_locked(project: Project) -> None:
    lock = 'version = 1\n[[package]]\nname = "greeter"\nsource = { editable = "." }\n'
    options = ProjectOptions(extras=("more",), groups=("dev",))
    text = written(project({"pyproject.toml": PACKAGE, "uv.lock": lock, "greeter.py": ""}, options)).dockerfile
    chosen = "--no-default-groups --no-editable"
    assert installing(text) == [
        f"/opt/uv/bin/uv sync --frozen {chosen} --no-install-project --extra=more --group=dev",
        f"/opt/uv/bin/uv sync --locked {chosen} --extra=more --group=dev",
    ]
    assert "UV_PROJECT_ENVIRONMENT=/opt/venv" in text


def test_a_package_is_installed_with_its_extras_from_the_whole_project(project: Project) -> None:
    options = ProjectOptions(extras=("more",), groups=("dev",))
    text = written(project({"pyproject.toml": PACKAGE, "greeter.py": ""}, options)).dockerfile
    assert installing(text) == ["/opt/uv/bin/uv pip install --no-editable '.[more]' --group=dev"]
    assert "--mount=type=bind,target=/src,rw " in text


def test_a_project_that_is_no_package_gives_its_dependencies(project: Project) -> None:
    pyproject = PACKAGE.replace("[build-system]\n", "[tool.x]\n")
    text = written(
        project({"pyproject.toml": pyproject, "greeter.py": ""}, ProjectOptions(extras=("more",)))
    ).dockerfile
    assert installing(text) == ["/opt/uv/bin/uv pip install --no-editable --requirements pyproject.toml --extra=more"]


def test_a_package_with_requirements_of_their_own_is_installed_after_them(project: Project) -> None:
    text = written(project({"pyproject.toml": PACKAGE, "requirements.txt": "six\n", "greeter.py": ""})).dockerfile
    assert installing(text) == [
        "/opt/uv/bin/uv pip install --no-editable --requirements requirements.txt",
        "/opt/uv/bin/uv pip install --no-editable --no-deps .",
    ]


def test_a_path_that_no_mount_can_name_brings_the_whole_project(project: Project) -> None:
    options = ProjectOptions(requirements="my needs.txt")
    text = written(project({"my needs.txt": "six\n", "main.py": ""}, options)).dockerfile
    assert "--mount=type=bind,target=/src,rw " in text
    assert installing(text) == ["/opt/uv/bin/uv pip install --no-editable --requirements 'my needs.txt'"]


def test_what_is_said_of_indexes_and_builds_is_passed_on_without_secrets(project: Project) -> None:
    indexes = Indexes("https://me:secret@index.example/simple", ("https://more.example/",), no_index=False)
    made = building(
        project(SIMPLE, ProjectOptions(indexes=indexes, no_binary=("six",))),
        env=(("CFLAGS", "-O2 -g"),),
        config_settings=(("six", "x", ("1",)), ("", "y", ("2",))),
        constraints=("setuptools<80",),
    )
    result = written(made)
    (command,) = installing(result.dockerfile)
    assert command.startswith("CFLAGS='-O2 -g' /opt/uv/bin/uv pip install ")
    for option in (
        "--no-binary=six",
        "--default-index=https://index.example/simple",
        "--index=https://more.example/",
        "--config-settings-package=six:x=1",
        "--config-setting=y=2",
        "--build-constraints=/tmp/build-constraints.txt",
    ):
        assert option in command
    assert "'setuptools<80' > /tmp/build-constraints.txt" in result.dockerfile
    assert "secret" not in result.dockerfile
    assert any("passwords of indexes are left out" in note for note in result.notes)


def test_a_variable_of_two_lines_is_refused(project: Project) -> None:
    with pytest.raises(UsageError, match="two lines"):
        written(building(project(SIMPLE), env=(("A", "1\n2"),)))


@pytest.mark.parametrize(
    ("kind", "hint"), [("poetry.lock", "poetry export"), ("pdm.lock", "pdm export"), ("Pipfile.lock", "pipenv req")]
)
def test_a_lock_that_uv_does_not_read_is_refused_with_a_way_out(kind: RequirementsKind, hint: str) -> None:
    made = bare(Configure(user="1"))
    first = replace(made.stages[0], steps=(Virtualenv(), Install(Requirements(kind, kind))))
    with pytest.raises(UsageError, match=f"{kind} cannot be installed by a Dockerfile") as raised:
        written(replace(made, stages=(first, made.stages[1])))
    assert hint in str(raised.value.hint)


def test_nothing_is_installed_where_nothing_is_required(project: Project) -> None:
    text = written(project({"main.py": ""})).dockerfile
    assert "uv" not in text.replace("# uv", "")
    assert "-m venv --without-pip /opt/venv" in text


def test_bytecode_is_made_only_where_it_is_wanted(project: Project) -> None:
    with_it, without = (written(project(SIMPLE, ProjectOptions(bytecode=one))).dockerfile for one in (True, False))
    assert "compileall -q -f --invalidation-mode unchecked-hash /opt/venv/lib" in with_it
    assert "compileall" not in without


# -- what stays out --------------------------------------------------------------------------------


def test_the_ignore_file_says_what_the_plan_says(project: Project) -> None:
    made = project({**SIMPLE, ".dockerignore": "docs\n!docs/index.md\n\\#odd\n", "wherry.toml": 'exclude = ["*.log"]'})
    assert parse(written(made).ignore) == ignored(made)


def test_what_installing_needs_and_the_image_does_not_is_left_out_by_the_copy_alone(
    project: Project, planned: Planner
) -> None:
    made = project({**SIMPLE, ".dockerignore": "requirements.txt\na\\ b'*\n[x]$y\n"})
    result = written(made)
    (copy,) = (step for step in planned(result.dockerfile).stages[-1].steps if isinstance(step, Copy) and step.exclude)
    assert copy.exclude == ignored(made)
    assert "requirements.txt" not in parse(result.ignore)


def test_a_package_needs_no_copy_of_its_files(project: Project, planned: Planner) -> None:
    result = written(project({"pyproject.toml": PACKAGE, "greeter.py": "", ".dockerignore": "greeter.py\n"}))
    copies = [step for step in planned(result.dockerfile).stages[-1].steps if isinstance(step, Copy)]
    assert [copy.origin for copy in copies] == [StageRef("compile")]
    assert "greeter.py" not in parse(result.ignore)


# -- what the tests share --------------------------------------------------------------------------

DOCKERFILE = DockerfileOptions("Dockerfile", platform=AMD64, build_platform=AMD64)


class Known:
    """Every base is a small one."""

    def config(self, base: Base) -> ImageConfig:
        return ImageConfig(AMD64, RuntimeConfig())


def bare(configure: Configure) -> Plan:
    """A Plan of a project that needs nothing."""
    base = Base("debian://trixie")
    steps = (Copy(BuildContext(), (".",), configure.workdir or "/x"), configure)
    return Plan((Stage("compile", base, (Virtualenv(),)), Stage("runtime", base, steps)), "runtime", AMD64)


def building(made: Plan, **changes: object) -> Plan:
    """``made`` with other settings of its BuildWheels."""
    first, last = made.stages
    steps = tuple(
        replace(step, **changes) if isinstance(step, BuildWheels) else step  # type: ignore[arg-type]
        for step in first.steps
    )
    return replace(made, stages=(replace(first, steps=steps), last))


def ignored(made: Plan) -> tuple[str, ...]:
    origin = next(
        step.origin for step in made.stage("runtime").steps if isinstance(step, Copy) and step.sources == (".",)
    )
    assert isinstance(origin, BuildContext)
    return origin.ignore


def config(made: Plan) -> Configure:
    """All that the last stage sets, in one step."""
    total = Configure()
    for step in made.stages[-1].steps:
        if isinstance(step, Configure):
            total = replace(
                total,
                env=(*total.env, *step.env),
                labels=(*total.labels, *step.labels),
                ports=tuple(sorted({*total.ports, *step.ports})),
                entrypoint=total.entrypoint if step.entrypoint is None else step.entrypoint,
                cmd=total.cmd if step.cmd is None else step.cmd,
                user=step.user or total.user,
                workdir=step.workdir or total.workdir,
            )
        elif type(step).__name__ == "Workdir":
            total = replace(total, workdir=step.path)  # type: ignore[union-attr]
    return total
