"""What a network must beat, and the figures of ranked lists."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recommend_tables import APP, built, ragged, some, written
from sklearn.metrics import ndcg_score
from sklearn.metrics.pairwise import cosine_similarity

from apps.recommend import baselines
from apps.recommend.app import raw_of
from apps.recommend.histories import joined
from apps.recommend.report import RankingScorer, at_cut
from shared.evaluation.answering import answering
from shared.evaluation.score import score
from shared.training.fit import predict_with

# Baselines

def test_cosine_is_that_of_the_people_who_had_two_items():
    rng = np.random.default_rng(0)
    rows = [rng.permutation(8)[:rng.integers(2, 8)].tolist() for _ in range(30)]
    rows = [[item + 1 for item in row] for row in rows]
    had = np.zeros((30, 9))
    for person, row in enumerate(rows):
        had[person, row] = 1
    want = cosine_similarity(had.T)
    np.fill_diagonal(want, 0)
    np.testing.assert_allclose(baselines.table("cosine", ragged(rows), 8)[0], want, atol=1e-6)


def test_the_chain_counts_what_followed():
    rows = [[1, 2, 3], [2, 3, 1, 4]]
    counts, popular = np.zeros((5, 5)), np.bincount(sum(rows, []), minlength=5)
    for row in rows:
        for at, item in enumerate(row):
            for step, later in enumerate(row[at + 1:at + 6], 1):
                counts[item, later] += 1 / step
    want = counts / (counts.sum(1, keepdims=True) + 10) / np.sqrt(popular + 10)
    np.testing.assert_allclose(baselines.table("markov", ragged(rows), 4)[0], want, atol=1e-6)


@pytest.mark.parametrize("model,decay", [("markov", 0.7), ("cosine", 0.8), ("popularity", 0.0)])
def test_a_baseline_ranks_as_its_table_says(tmp_path, model, decay):
    made, network, _, _, dataset = built(written(tmp_path / "t.csv", some()), model=model, length=3)
    table, plain = baselines.table(model, joined(dataset.splits["train"]), len(dataset.labels))
    answer = answering(APP, predict_with(made, network), made.inputs, made.facts)
    history = [4, 2, 7]
    [given] = answer([raw_of(history)])
    scores = plain + sum(decay ** age * table[item] for age, item in enumerate(history[::-1]))
    scores[[0, *history]] = -np.inf
    items = given["items"][given["items"] > 0]
    assert len(items) == len(dataset.labels) - len(history)
    np.testing.assert_allclose(scores[items], np.sort(scores)[::-1][:len(items)], atol=1e-6)


@pytest.mark.parametrize("model", ["markov", "cosine", "popularity"])
def test_reports_of_runs_tell_what_each_baseline_would_find(tmp_path, model):
    made, network, _, _, dataset = built(written(tmp_path / "t.csv", some()), model=model, length=0)
    answer = answering(APP, predict_with(made, network), made.inputs, made.facts)
    report = score(answer, dataset.splits["test"], APP.scorer(made.facts), explain=True)
    rows = {row.pop("model"): row for row in report.tables["baselines"]}
    assert rows.keys() == {"this", "markov", "cosine", "popularity"}
    assert rows[model] == pytest.approx(rows["this"])
    assert rows["this"]["ndcg_at_10"] == pytest.approx(report.metrics["ndcg_at_10"])
    assert "baselines" not in score(answer, dataset.splits["test"], APP.scorer(APP.shipped(made.facts)),
                                    explain=True).tables


# Figures

@settings(deadline=None, max_examples=100)
@given(st.permutations(list(range(1, 13))), st.sets(st.integers(1, 12), min_size=1, max_size=6), st.integers(1, 12))
def test_figures_are_those_of_an_independent_count(order, targets, cut):
    made = at_cut(np.isin(order, list(targets)), len(targets), cut)
    right = [item in targets for item in order[:cut]]
    precisions = [sum(right[:place + 1]) / (place + 1) for place in range(cut) if right[place]]
    assert made["hit"] == any(right)
    assert made["precision"] == pytest.approx(sum(right) / cut)
    assert made["recall"] == pytest.approx(sum(right) / len(targets))
    assert made["map"] == pytest.approx(sum(precisions) / min(len(targets), cut))
    assert made["mrr"] == pytest.approx(1 / (right.index(True) + 1) if any(right) else 0)
    relevance = [[float(item in targets) for item in range(1, 13)]]
    scores = [[-order.index(item) for item in range(1, 13)]]
    assert made["ndcg"] == pytest.approx(ndcg_score(relevance, scores, k=cut))


def test_a_report_tells_of_popular_and_seldom_items_and_of_the_catalogue():
    scorer = RankingScorer(["A", "B", "C", "D"], np.array([6, 3, 1, 0]))
    meta = {"meta": {"user": "u"}}
    for target, items in ((1, [1, 2]), (3, [1, 3]), (4, [1, 2])):
        scorer.update({"history": np.array([2]), "targets": np.array([target]), "exclude": np.zeros(1, int), **meta},
                      {"items": np.array([*items, -1]), "scores": np.array([0.6, 0.4, 0.0])})
    report = scorer.report()
    assert report.metrics["hit_at_5"] == pytest.approx(2 / 3) and report.metrics["coverage_at_10"] == 3 / 4
    assert report.metrics["popularity_at_10"] == pytest.approx(3 / 6)
    assert {row["item"]: row["hit_at_10"] for row in report.tables["cold"]} == {"in training": 1,
                                                                                "never in training": 0}
    assert report.figures["found"].lines["found"][:3] == pytest.approx([1 / 3, 2 / 3, 2 / 3])
    assert report.tables["examples"][1] == {"person": "u", "had": "B", "recommended": "A; C", "next": "C", "place": 2}
