"""A small run of the experiment that calibrates statements of source."""

from __future__ import annotations

from harness.bench.source import check_result, render, render_goals
from harness.bench.source.experiment import Plan, run_experiment
from harness.bench.source.tables import check_posts
from harness.bench.source.world import Size

SMALL = Plan(
    posts=22,
    bursts=20,
    power=6,
    looks=2,
    worlds=1,
    processes=1,
    size=Size(customers=30_000, strata=40, candidates=0.2),
)


def test_experiment_depends_on_its_seed_alone() -> None:
    first = run_experiment(SMALL)
    assert run_experiment(SMALL) == first
    assert len(first.posts) == 22
    assert len({outcome.kind for outcome in first.posts}) == 11
    assert [run.kind for run in first.looks].count("leak") == 2
    assert not any(run.named for run in first.looks if run.kind != "leak")
    wrong = [o for o in (*first.posts, *first.bursts) if o.is_named and not o.is_right]
    assert wrong == []
    assert check_posts(first.posts)[0].value >= 0.9
    page = "\n".join([*render(first), *render_goals(check_result(first))])
    assert "| **all** | 22 |" in page
