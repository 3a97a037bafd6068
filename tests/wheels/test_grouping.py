"""Which distributions share a layer."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from wherry.fetch import Download
from wherry.wheels.distribution import Distribution
from wherry.wheels.grouping import BUCKETS, LARGE, MOST_LARGE, Group, group


def distribution(name: str, size: int | None, version: str = "1.0") -> Distribution:
    return Distribution(name, version, Download(f"file:///{name}", {"sha256": "0" * 64}, size, f"{name}.whl"))


names = st.text("abcdefghij-", min_size=1, max_size=6)
sizes = st.one_of(st.none(), st.integers(0, 4 * LARGE))
environments = st.dictionaries(names, sizes, max_size=120).map(
    lambda found: [distribution(name, size) for name, size in found.items()]
)
crowds = st.integers(MOST_LARGE - 2, MOST_LARGE + 20).flatmap(
    lambda count: st.lists(st.integers(LARGE, 3 * LARGE), min_size=count, max_size=count).map(
        lambda found: [distribution(f"large-{number}", size) for number, size in enumerate(found)]
    )
)


def members(groups: tuple[Group, ...]) -> set[tuple[str, ...]]:
    return {tuple(f"{one.name} {one.version}" for one in group.distributions) for group in groups}


@given(environments)
def test_every_distribution_is_in_one_group(distributions: list[Distribution]) -> None:
    found = [one.name for part in group(distributions) for one in part.distributions]
    assert sorted(found) == sorted(one.name for one in distributions)


@given(st.one_of(environments, crowds))
def test_there_are_never_too_many_groups(distributions: list[Distribution]) -> None:
    assert len(group(distributions)) <= MOST_LARGE + BUCKETS <= 56


@given(environments, st.randoms())
def test_order_does_not_matter(distributions: list[Distribution], random: object) -> None:
    shuffled = list(distributions)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert group(shuffled) == group(distributions)


@given(environments, names)
def test_a_small_one_that_comes_or_goes_changes_one_group(distributions: list[Distribution], name: str) -> None:
    without = [one for one in distributions if one.name != name]
    before, after = members(group(without)), members(group([*without, distribution(name, 1000)]))
    assert len(after - before) == 1
    assert len(before - after) <= 1


@given(environments.filter(bool), st.data())
def test_a_new_version_of_one_changes_one_group(distributions: list[Distribution], data: st.DataObject) -> None:
    chosen = data.draw(st.sampled_from(distributions))
    changed = [one if one is not chosen else distribution(one.name, one.wheel.size, "2.0") for one in distributions]
    before, after = members(group(distributions)), members(group(changed))
    assert len(after - before) == len(before - after) == 1


@given(crowds, st.integers(LARGE, 3 * LARGE))
def test_a_large_one_among_too_many_moves_at_most_one_other(distributions: list[Distribution], size: int) -> None:
    before, after = members(group(distributions)), members(group([*distributions, distribution("new", size)]))
    assert len(after - before) <= 2
    assert len(before - after) <= 2


def test_large_ones_are_alone_and_first() -> None:
    found = group([distribution("zlib", LARGE), distribution("tiny", 10), distribution("numpy", 5 * LARGE)])
    assert [part.name for part in found[:2]] == ["numpy", "zlib"]
    assert [one.name for one in found[2].distributions] == ["tiny"]


def test_the_smallest_of_too_many_large_ones_share() -> None:
    crowd = [distribution(f"large-{number}", LARGE + number) for number in range(MOST_LARGE + 1)]
    alone = {part.name for part in group(crowd) if not part.name.startswith("shared")}
    assert alone == {f"large-{number}" for number in range(1, MOST_LARGE + 1)}


def test_the_rule_does_not_change_unnoticed() -> None:
    found = group([distribution(name, 10) for name in ("click", "h11", "idna", "requests", "urllib3")])
    assert {one.name: part.name for part in found for one in part.distributions} == {
        "click": "shared 5",
        "h11": "shared 5",
        "idna": "shared 4",
        "requests": "shared 7",
        "urllib3": "shared 8",
    }
