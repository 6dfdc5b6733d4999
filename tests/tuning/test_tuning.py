"""How `tune` measures: in rounds over all engines, and with doubt."""

import pytest

from tangodistill.tuning import tune as tuning
from tangodistill.tuning.tuned import Timing, fastest_alone

ONE, TWO, OTHER = (2, "torch-fp32", 1), (2, "torch-fp32", 2), (1, "torch-fp32", 1)


@pytest.fixture
def visits(monkeypatch):
    """Job -> what each visit finds: one text at a time, in batches, and whether under load."""
    found, seen = {}, []

    def visit(texts, tier, key, threads, seconds, between):
        job = tier, key, threads
        single, batched, *loaded = found[job][min(seen.count(job), len(found[job]) - 1)]
        seen.append(job)
        return Timing(tier, key, threads, 4, single, batched, *loaded)

    monkeypatch.setattr(tuning, "_time", visit)
    return found, seen


def test_engines_are_measured_in_turns(visits, capsys):
    found, seen = visits
    found |= {ONE: [(200, 400), (220, 380)], OTHER: [(1000, 4000)]}
    rows = tuning._measure(None, [ONE, OTHER], 8.0)
    assert seen == [ONE, OTHER, ONE, OTHER]
    assert [(row.throughput_batch1_per_s, row.throughput_best_batch_per_s) for row in rows] == [
        (210, 390),
        (1000, 4000),
    ]
    assert not any(row.unsteady or row.under_load for row in rows)
    assert "Warning" not in capsys.readouterr().out


def test_two_threads_that_crawl_beside_one_are_measured_again_and_marked(visits, capsys):
    found, seen = visits
    found |= {ONE: [(235, 400)], TWO: [(18, 30)]}
    one, two = tuning._measure(None, [ONE, TWO], 8.0)
    assert seen == [ONE, TWO, ONE, TWO, TWO]
    assert two.unsteady and not one.unsteady
    assert "so marked speeds are not to be trusted. Tune at rest." in capsys.readouterr().out


def test_a_third_visit_settles_what_two_disagree_on(visits, capsys):
    found, seen = visits
    found |= {ONE: [(235, 400)], TWO: [(18, 30), (300, 700), (310, 710)]}
    two = tuning._measure(None, [ONE, TWO], 8.0)[1]
    assert len(seen) == 5 and not two.unsteady
    assert (two.throughput_batch1_per_s, two.throughput_best_batch_per_s) == (300, 700)
    assert "Warning" not in capsys.readouterr().out


@pytest.mark.parametrize(("third", "marked"), [((210, 400, False), False), ((90, 200, True), True)])
def test_what_was_measured_under_load_is_measured_again(visits, third, marked):
    found, seen = visits
    found |= {ONE: [(100, 210, True), (100, 210, True), third]}
    (row,) = tuning._measure(None, [ONE], 8.0)
    assert len(seen) == 3 and row.under_load == marked
    assert row.throughput_batch1_per_s == (100 if marked else 210)  # a quiet visit alone counts


def test_the_reference_is_the_fastest_for_each_way_of_use():
    rows = [Timing(1, "a", 1, 1, 9e9, 9e9), Timing(2, "b", 1, 4, 169, 300), Timing(2, "c", 2, 8, 115, 500)]
    assert {way: row.key for way, row in fastest_alone(rows).items()} == {"batch1": "b", "best_batch": "c"}
