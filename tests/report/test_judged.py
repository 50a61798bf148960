"""Judged comparisons of a study on the page and in `results.json`."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from codepretrain.evals.judge.match import Judgment
from codepretrain.evals.judge.result import JudgeResult, judge_folder, result_path
from codepretrain.files.atomic import write_json
from codepretrain.report.collect import ReportInput, collect
from codepretrain.report.judged import read_judged
from codepretrain.report.win_rate import win_rate
from codepretrain.report.win_rate_recipes import JudgedComparison
from codepretrain.report.win_rate_rows import summary
from codepretrain.report.write import write_report
from tests.report.test_write import check, claims_about_recipes

JUDGE = {
    "kind": "endpoint", "endpoint": "https://judges.example/v1", "model": "judge<1>",
    "prompt_version": "1", "temperature": 0.0, "seed": 0,
}  # fmt: skip
LOCAL = {"kind": "local", "model": "text_pretrain@400", "fingerprint": "f" * 64}
EVALUATOR = "prose_continuation"
# 12 prompts: 8 wins in both orders, 3 that follow the order, 1 loss with an unreadable answer.
JUDGMENTS = [
    *[Judgment(f"p{i}", "open_qa", ("win", "win")) for i in range(8)],
    *[Judgment(f"p{i}", "chat", ("win", "loss")) for i in range(8, 11)],
    Judgment("p11", "chat", ("loss", "unreadable")),
]


def write(
    study: ReportInput,
    variant: str,
    *,
    judge: Mapping[str, Any] = JUDGE,
    judgments: list[Judgment] = JUDGMENTS,
    changes: Mapping[str, Any] = MappingProxyType({}),
) -> Path:
    """Writes a comparison with the baseline as `codepretrain judge` does."""
    results = collect(study)

    def side(name: str) -> dict[str, Any]:
        run = results.path(name)[-1]
        evaluation = run.at_end(EVALUATOR)
        assert evaluation is not None
        return {
            "variant": name,
            "phase": run.name,
            "fingerprint": run.plan.fingerprint,
            "step": run.plan.steps,
            "digest": evaluation.digest,
            "replicate": 0,
            "start": results.path(name)[0].plan.fingerprint,
            "identity": dict(evaluation.identity),
        }

    assert study.baseline is not None
    result = JudgeResult(
        study=study.study,
        evaluator=EVALUATOR,
        variant={**side(variant), **changes},
        reference=side(study.baseline),
        judge=judge,
        answered_by=["judge-0101"] if judge is JUDGE else [],
        judgments=judgments,
        num_asserting=(2, 0),
    )
    workdir = Path(next(iter(study.phases.values())).run_dir).parent.parent
    path = result_path(judge_folder(workdir, judge), result)
    write_json(path, result.to_json() | {"summary": summary(JudgedComparison((result,)))})
    return Path(path)


def test_the_page_shows_comparisons_with_intervals(
    copied_study: ReportInput, tmp_path: Path
) -> None:
    write(copied_study, "code_to_text")
    write(copied_study, "balanced_to_text", judgments=JUDGMENTS[:3])
    write(copied_study, "code_to_text", judge=LOCAL)
    page = write_report(copied_study, tmp_path / "report")
    html = page.read_text(encoding="utf-8")
    check(Path(page))
    assert html.count("<h2>Win rates</h2>") == 1
    assert "judge&lt;1&gt;" in html
    rate = win_rate(JUDGMENTS)
    low, high = (100 * x for x in (rate.win.interval.low, rate.win.interval.high))
    assert f"{100 * 19 / 24:.1f}% [{low:.1f}, {high:.1f}]" in html
    assert f"{100 * (8 - 0.5) / 12:+.1f} points [" in html
    assert "2 and 0 completions hold a line in the form of a verdict" in html
    assert "answered by judge-0101, which is not the name that was asked for" in html
    assert "by category of prompts" in html
    assert "not trained to judge: its verdicts are no" in html
    numbers = json.loads((tmp_path / "report" / "results.json").read_text())["win_rates"]
    assert len(numbers) == 3
    (ours,) = [
        entry
        for entry in numbers
        if entry["variant"]["variant"] == "code_to_text" and entry["judge"]["kind"] == "endpoint"
    ]
    assert ours["summary"]["win_rate"]["win"]["value"] == pytest.approx(19 / 24)
    assert ours["summary"]["order_effect"]["num_prompts"] == 11
    assert set(ours["summary"]["categories"]) == {"open_qa", "chat"}
    assert "judgments" not in ours
    assert (ours["between"], len(ours["replicates"])) == ("two checkpoints", 1)
    assert "<small>two checkpoints</small>" in html
    assert not claims_about_recipes("".join(re.findall(r"<td>wins more.*?</td>", html)))
    assert ours["survives_holm"] is True
    (pair,) = json.loads((tmp_path / "report" / "results.json").read_text())["judge_agreement"]
    assert (pair["variant"], pair["agreement"]["value"]) == ("code_to_text", 1)
    assert "Agreement of judges" in html


def test_nothing_judged_leaves_no_section(study: ReportInput, tmp_path: Path) -> None:
    page = write_report(study, tmp_path)
    assert "Win rates" not in page.read_text(encoding="utf-8")
    assert json.loads((tmp_path / "results.json").read_text())["win_rates"] == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fingerprint": "0" * 64}, "was judged at another checkpoint than its present end"),
        ({"step": 3}, "was judged at another checkpoint than its present end"),
        ({"digest": "0" * 64}, "was judged by another evaluation than the recorded one"),
        ({"variant": "gone"}, "the study has no variant 'gone'"),
        ({"replicate": 1}, "has 1 replicates, and this is of another"),
    ],
)
def test_a_comparison_of_other_runs_is_named_and_not_shown(
    copied_study: ReportInput, changes: dict[str, Any], message: str
) -> None:
    path = write(copied_study, "code_to_text", changes=changes)
    judged = read_judged(collect(copied_study))
    assert judged.tables == []
    (problem,) = judged.problems
    assert message in problem
    assert str(path) in problem
    assert "run `codepretrain judge` again" in problem


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"format": 9}'])
def test_a_damaged_file_is_named(copied_study: ReportInput, content: str) -> None:
    path = write(copied_study, "code_to_text")
    path.write_text(content)
    judged = read_judged(collect(copied_study))
    assert judged.tables == []
    assert str(path) in judged.problems[0]


def test_other_studies_are_left_out(copied_study: ReportInput) -> None:
    write(replace(copied_study, study="another"), "code_to_text")
    judged = read_judged(collect(copied_study))
    assert (list(judged.tables), list(judged.problems)) == ([], [])


def test_pairs_of_one_judge_are_corrected_together(copied_study: ReportInput) -> None:
    """5 wins of 5: p is 0.03 alone, and 0.1 among three."""
    few = [Judgment(f"p{i}", "", ("win", "win")) for i in range(5)]
    alone = win_rate(few).p_value
    assert 0.05 / 3 < alone < 0.05
    for variant in ("code_to_text", "balanced_to_text", "cooldown_text"):
        write(copied_study, variant, judgments=few)
    (table,) = read_judged(collect(copied_study)).tables
    assert [row.is_tentative for row in table.rows] == [True] * 3
    write(copied_study, "code_to_text", judge=LOCAL, judgments=few)
    *_, local = sorted(read_judged(collect(copied_study)).tables, key=lambda t: t.is_local)
    assert [row.is_tentative for row in local.rows] == [False]
