import json
from dataclasses import replace
from pathlib import Path

import pytest
from etils import epath

from codepretrain.cli.main import main
from codepretrain.errors import UserError
from codepretrain.report.checkpoints import compare_checkpoints, find_checkpoint
from codepretrain.report.collect import collect
from codepretrain.report.compare import compare_to_baseline
from tests.report.replicated import LOSS, QUIZ, STEP, replicated_study

LEVELS = {"plain": (3.0, 3.1), "coded": (2.5, 2.6)}


def found(text, root):
    return find_checkpoint(text, epath.Path(root))


def test_two_checkpoints_differ_as_in_the_report_of_their_study(tmp_path):
    study = replicated_study(tmp_path, LEVELS)
    comparison = compare_checkpoints(found("coded", tmp_path), found("plain", tmp_path))
    assert comparison.variants == (f"plain@{STEP}", f"coded@{STEP}")
    expected = compare_to_baseline(collect(replace(study, replicates={})))
    assert {row.evaluator for row in comparison.rows} == {LOSS, QUIZ}
    for row in comparison.rows:
        ours = comparison.cells[row, f"coded@{STEP}"]
        assert ours.difference == expected.cells[row, "coded"].difference
        assert ours.difference is not None
        assert ours.difference.between.text == "two checkpoints"


def test_a_run_is_named_by_its_phase_its_folder_or_its_path(tmp_path):
    replicated_study(tmp_path, LEVELS)
    runs = tmp_path / "runs"
    (runs / "plain").rename(runs / "plain-0123456789ab")
    (runs / "coded").rename(tmp_path / "elsewhere")
    for text in ("plain", "plain-0123456789ab", f"plain@{STEP}"):
        assert found(text, tmp_path).folder == epath.Path(runs / "plain-0123456789ab")
    other = found(f"{tmp_path}/elsewhere@{STEP}", tmp_path)
    assert other.name == f"elsewhere@{STEP}"
    assert compare_checkpoints(found("plain", tmp_path), other).headline_differences


def test_many_runs_are_not_all_named(tmp_path):
    for number in range(20):
        (tmp_path / "runs" / f"run{number:02}-0123456789ab").mkdir(parents=True)
    with pytest.raises(UserError, match=r"; there are run00-0123456789ab, .* and \d+ more$"):
        found("plain", tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("plane", "there is no run 'plane' in .*; there are coded, coded-r1, plain, plain-r1"),
        ("plain@7", "no evaluation at step 7; expected one of 20"),
        ("plain@x", "there is no run 'plain@x' in .*; a step is a whole number: PHASE@STEP"),
        ("/nowhere/at/all", "there is no run '/nowhere/at/all'"),
    ],
)
def test_a_checkpoint_that_is_not_there_is_told_with_those_that_are(tmp_path, text, message):
    replicated_study(tmp_path, LEVELS)
    with pytest.raises(UserError, match=message):
        found(text, tmp_path)


def test_two_runs_of_one_phase_are_told_apart(tmp_path):
    replicated_study(tmp_path, LEVELS)
    runs = tmp_path / "runs"
    (runs / "plain").rename(runs / "plain-0123456789ab")
    (runs / "coded").rename(runs / "plain-ba9876543210")
    with pytest.raises(UserError, match="has plain-0123456789ab, plain-ba9876543210: name one"):
        found("plain", tmp_path)
    pair = [found(name, tmp_path) for name in ("plain-0123456789ab", "plain-ba9876543210")]
    assert compare_checkpoints(*pair).variants == (
        "plain-ba9876543210@20",
        "plain-0123456789ab@20",
    )


def of_another_grader(path: Path, evaluators):
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        if line["evaluator"] in evaluators:
            line["identity"]["grader"] = "0"
            line["digest"] = "f" * 64
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_results_of_other_evaluations_are_not_compared(tmp_path):
    replicated_study(tmp_path, LEVELS)
    path = tmp_path / "runs" / "coded" / "evals.jsonl"
    of_another_grader(path, [QUIZ])
    comparison = compare_checkpoints(found("coded", tmp_path), found("plain", tmp_path))
    assert {row.evaluator for row in comparison.rows} == {LOSS}
    (problem,) = comparison.problems
    assert problem == "quiz of coded@20 differs from plain@20 in grader, so they are not compared"
    of_another_grader(path, [LOSS])
    with pytest.raises(UserError, match=r"no evaluation in common: .*differs from plain@20 in"):
        compare_checkpoints(found("coded", tmp_path), found("plain", tmp_path))


def test_the_command_says_what_is_known_of_these_checkpoints(tmp_path, capsys):
    replicated_study(tmp_path, LEVELS)
    assert main(["compare", "plain", "coded", "--workdir", str(tmp_path)]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "differences from the checkpoint of plain@20 are distinguishable" in text
    assert "between two checkpoints, not between two recipes" in text
    for word in ("better", "worse"):
        assert word not in text
    assert main(["compare", "plain", "coded", "--json", "--workdir", str(tmp_path)]) == 0
    cells = json.loads(capsys.readouterr().out)["cells"]
    assert {cell["between"] for cell in cells} == {None, "two checkpoints"}
    assert {cell["verdict"] for cell in cells} <= {None, "lower", "higher", "not distinguishable"}


def test_a_mistake_is_one_line(tmp_path, capsys):
    assert main(["compare", "plain", "coded", "--workdir", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_run_of_another_working_directory_is_told_by_its_folder(tmp_path):
    for place, seed in (("one", 0), ("two", 1)):
        replicated_study(tmp_path / place, LEVELS, seed=seed)
    pair = [found("plain", tmp_path / place) for place in ("one", "two")]
    names = compare_checkpoints(*pair).variants
    assert names == tuple(f"{tmp_path}/{place}/runs/plain@20" for place in ("two", "one"))
    with pytest.raises(UserError, match="expected two checkpoints, found plain@20 twice"):
        compare_checkpoints(pair[0], pair[0])
