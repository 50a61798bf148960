from pathlib import Path

from codepretrain.report.collect import collect
from codepretrain.report.unevaluated import unevaluated
from codepretrain.report.write import content_of
from tests.report.replicated import LOSS, QUIZ, STEP, replicated_study


def test_a_finished_run_without_an_evaluation_is_named(tmp_path: Path) -> None:
    study = replicated_study(tmp_path, {"text": (3.0, 3.1), "code": (2.9, 3.2)}, num_items=20)
    assert unevaluated(collect(study)) == []
    path = tmp_path / "runs" / "code-r1" / "evals.jsonl"
    kept = [line for line in path.read_text().splitlines(keepends=True) if f'"{QUIZ}"' in line]
    path.write_text("".join(kept))
    line = (
        f"code-r1: no result of {LOSS} at step {STEP}, so this run is left out of it: "
        "run `codepretrain evaluate --phase code-r1`"
    )
    assert line in content_of(collect(study)).results.problems


def test_what_no_run_has_is_not_asked_for(tmp_path: Path) -> None:
    study = replicated_study(tmp_path, {"text": (3.0,), "code": (2.9,)}, num_items=20)
    for name in ("text", "code"):
        (tmp_path / "runs" / name / "evals.jsonl").unlink()
    assert unevaluated(collect(study)) == []
