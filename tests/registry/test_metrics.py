"""Scores against values worked out by hand or by the libraries' own functions."""

import json
import math

import pytest
import sacrebleu
from rouge_score import rouge_scorer

from registry import scoring
from registry.scoring import Scorer, common_subsequence, score_file, tokens


def write(path, rows):
    path.write_text(
        "".join(
            json.dumps({"index": i, **row}, ensure_ascii=False) + "\n" for i, row in enumerate(rows)
        ),
        encoding="utf-8",
    )
    return path


def test_words_are_words_in_english_and_characters_in_chinese():
    assert tokens("The GPU's 24 GB, now!") == ["the", "gpu", "s", "24", "gb", "now"]
    assert tokens("实验室有 12 张Ａ卡。") == ["实", "验", "室", "有", "12", "张", "a", "卡"]


def test_common_subsequence_by_hand():
    assert common_subsequence("abcbdab", "bdcaba") == 4
    assert common_subsequence("", "abc") == 0
    assert common_subsequence("abc", "abc") == 3
    assert common_subsequence("abc", "xyz") == 0


@pytest.mark.parametrize(
    ("first", "second"),
    [("the cat sat on the mat", "the cat is on a mat"), ("a b a b c", "b a b a"), ("a", "b")],
)
def test_rouge_l_is_that_of_the_library(first, second):
    library = rouge_scorer.RougeScorer(["rougeL"]).score(first, second)["rougeL"].fmeasure
    assert scoring.rouge_l(first.split(), second.split()) == pytest.approx(library)


def test_english_scores_by_hand():
    found = Scorer("13a").row("the cat sat on the mat", "the cat is on the mat").values
    # 5 of 6 words are shared; in order, the longest common subsequence is 5 words as well.
    assert found["rouge1"] == pytest.approx(100 * 5 / 6)
    assert found["rougeL"] == pytest.approx(100 * 5 / 6)
    assert found["rouge2"] == pytest.approx(100 * 3 / 5)
    # Precisions 5/6, 3/5, 1/4 and, smoothed, 1/(2*3); equal lengths, so no penalty.
    bleu = 100 * math.exp(sum(map(math.log, (5 / 6, 3 / 5, 1 / 4, 1 / 6))) / 4)
    assert found["bleu"] == pytest.approx(bleu)
    assert found["exact_match"] == 0
    assert found["distinct1"] == pytest.approx(5 / 6)
    assert found["distinct2"] == pytest.approx(1)


def test_chinese_scores_by_hand():
    found = Scorer("zh").row("早上八点开门。", "早上九点开门。").values
    assert found["rouge1"] == pytest.approx(100 * 5 / 6)  # punctuation is no word
    assert found["rouge2"] == pytest.approx(100 * 3 / 5)
    assert found["rougeL"] == pytest.approx(100 * 5 / 6)
    # With the full stop 7 tokens: 6/7, 4/6, 2/5 and 1/4 of the runs are shared.
    bleu = 100 * math.exp(sum(map(math.log, (6 / 7, 4 / 6, 2 / 5, 1 / 4))) / 4)
    assert found["bleu"] == pytest.approx(bleu)


def test_exact_match_forgives_white_space_only():
    scorer = Scorer("13a")
    assert scorer.row("a  b\n", " a b").values["exact_match"] == 100
    assert scorer.row("a b", "A b").values["exact_match"] == 0


def test_an_empty_answer_scores_nothing():
    found = Scorer("zh").row("好的", "").values
    assert set(found.values()) == {0.0}


def test_the_whole_set_is_scored_as_the_libraries_do(tmp_path):
    references = ["the cat sat on the mat", "a dog barks at night", "hello there my friend"]
    predictions = ["the cat is on the mat", "a dog barks at night", "good bye my friend"]
    rows = [
        {"reference": r, "prediction": p, "loss": loss, "tokens": count}
        for r, p, loss, count in zip(
            references, predictions, (1.0, 2.0, 4.0), (6, 5, 1), strict=True
        )
    ]
    scored = score_file(write(tmp_path / "p.jsonl", rows), tmp_path / "s.jsonl")
    assert scored.rows == 3
    assert scored.tokenize == "13a"
    assert scored.scores["loss"] == pytest.approx((6 * 1 + 5 * 2 + 1 * 4) / 12, abs=1e-5)
    assert scored.scores["perplexity"] == pytest.approx(math.exp(20 / 12), abs=1e-4)
    assert scored.scores["exact_match"] == pytest.approx(100 / 3, abs=1e-5)
    corpus = sacrebleu.corpus_bleu(predictions, [references]).score
    assert scored.scores["bleu"] == pytest.approx(corpus, abs=1e-5)
    corpus = sacrebleu.corpus_chrf(predictions, [references]).score
    assert scored.scores["chrf"] == pytest.approx(corpus, abs=1e-5)
    words = [word for text in predictions for word in text.split()]
    assert scored.scores["distinct1"] == pytest.approx(len(set(words)) / len(words), abs=1e-5)
    lines = [json.loads(line) for line in (tmp_path / "s.jsonl").read_text().splitlines()]
    assert [line["index"] for line in lines] == [0, 1, 2]
    assert lines[1]["exact_match"] == 100


def test_chinese_references_choose_the_chinese_tokenizer(tmp_path):
    rows = [
        {"reference": "显卡在三楼", "prediction": "显卡在三楼"},
        {"reference": "GPU", "prediction": ""},
    ]
    scored = score_file(write(tmp_path / "p.jsonl", rows), tmp_path / "s.jsonl")
    assert scored.tokenize == "zh"
    assert "loss" not in scored.scores  # rows without one have none


def test_intervals_hold_the_score_and_are_repeatable(tmp_path):
    rows = [
        {"reference": f"word{i} common", "prediction": "word0 common", "loss": i / 10, "tokens": 3}
        for i in range(12)
    ]
    path = write(tmp_path / "p.jsonl", rows)
    first = score_file(path, tmp_path / "s.jsonl")
    second = score_file(path, tmp_path / "s.jsonl")
    assert first == second
    for key in ("loss", "rougeL", "exact_match", "chrf"):
        low, high = first.intervals[key]
        assert low <= first.scores[key] <= high
        assert low < high
    assert "distinct1" not in first.intervals


def test_comparison_counts_rows_and_says_what_is_clear():
    base = dict.fromkeys(range(20), 10.0)
    better = scoring.compare(dict.fromkeys(range(20), 30.0), base)
    assert better["clear"]
    assert (better["better"], better["worse"], better["equal"]) == (20, 0, 0)
    mixed = scoring.compare({i: 10.0 + (-1) ** i for i in range(20)}, base)
    assert not mixed["clear"]
    assert (mixed["better"], mixed["worse"]) == (10, 10)
    loss = scoring.compare({0: 1.0}, {0: 2.0}, lower_is_better=True)
    assert (loss["better"], loss["difference"]) == (1, -1.0)
    assert scoring.compare({1: 1.0}, {2: 1.0}) == {}


@pytest.mark.parametrize(
    "line",
    [
        "not json",
        "[1]",
        '{"reference": "a"}',
        '{"reference": "a", "prediction": "b", "tokens": "x"}',
    ],
)
def test_a_line_that_is_no_answer_is_named(tmp_path, line):
    path = tmp_path / "p.jsonl"
    path.write_text('{"index": 0, "reference": "a", "prediction": "a"}\n' + line + "\n")
    with pytest.raises(scoring.BadPredictions, match="line 2"):
        score_file(path, tmp_path / "s.jsonl")


def test_an_empty_file_is_refused(tmp_path):
    (tmp_path / "p.jsonl").write_text("\n")
    with pytest.raises(scoring.BadPredictions):
        score_file(tmp_path / "p.jsonl", tmp_path / "s.jsonl")


def test_a_long_answer_is_scored_in_no_time(tmp_path):
    text = " ".join(f"word{i % 700}" for i in range(4000))
    row = {"reference": text, "prediction": text[5000:], "loss": 1.0, "tokens": 4000}
    scored = score_file(write(tmp_path / "p.jsonl", [row]), tmp_path / "s.jsonl")
    assert 0 < scored.scores["rougeL"] < 100
