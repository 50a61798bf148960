"""A contrast that is added or changed after the results of its variants is told from others."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from etils import epath

from codepretrain.config.load import load_study
from codepretrain.config.schema import ContrastConfig
from codepretrain.errors import UserError
from codepretrain.study import registration
from codepretrain.study.registration import keep_contrasts, registrations
from codepretrain.study.report import report_study
from codepretrain.study.workspace import Workspace
from tests.conftest import TINY

CODE = ContrastConfig(
    variants=("branched", "annealed"),
    metric="validation/source/code/nats_per_token",
    direction="lower",
    margin=0.1,
)
LOOSER = replace(CODE, margin=0.2)


def opened(workdir: Path, overrides: list[str], **contrasts: ContrastConfig) -> Workspace:
    config = replace(
        load_study(str(TINY), overrides),
        variants={"branched": "branch", "annealed": "trunk"},
        contrasts=contrasts,
    )
    return Workspace(config, epath.Path(workdir))


def evaluate(workspace: Workspace, phase: str) -> None:
    """Records a result at the end of a phase."""
    path = workspace.run_dir(phase) / "evals.jsonl"
    path.parent.mkdir(parents=True)
    step = workspace.phases[phase].num_steps
    record = {"step": step, "tokens": step * 512, "evaluator": "validation", "digest": "1"}
    path.write_text(json.dumps({**record, "identity": {}, "metrics": {}, "num_items": 0}) + "\n")


def test_what_is_kept_before_the_results_stays_registered_and_what_is_changed_does_not(
    workdir: Path, tiny_overrides: list[str]
) -> None:
    study = opened(workdir, tiny_overrides, code=CODE)
    assert registrations(study) == {"code": "before"}
    keep_contrasts(study)
    evaluate(study, "branch")
    half = opened(workdir, tiny_overrides, code=LOOSER)
    assert registrations(half) == {"code": "before"}  # one of two arms says nothing of it
    evaluate(study, "trunk")

    changed = opened(
        workdir, tiny_overrides, code=LOOSER, opposite=replace(CODE, direction="higher")
    )
    expected = {"code": "after", "opposite": "after"}
    assert registrations(changed) == expected
    keep_contrasts(changed)
    assert registrations(changed) == expected
    assert registrations(study) == {"code": "before"}
    renamed = replace(CODE, question="Is it worth it?", family="other", published_effect=1.0)
    assert registrations(opened(workdir, tiny_overrides, other=renamed)) == {"other": "before"}

    longer = [*tiny_overrides, f"--config.phases.branch.tokens={20 * 512}"]
    assert registrations(opened(workdir, longer, code=LOOSER)) == {"code": "before"}


def test_of_runs_from_before_contrasts_were_kept_nothing_is_known(
    workdir: Path, tiny_overrides: list[str]
) -> None:
    study = opened(workdir, tiny_overrides, code=CODE)
    evaluate(study, "branch")
    evaluate(study, "trunk")
    assert registrations(study) == {"code": "unknown"}
    keep_contrasts(study)
    assert registrations(study) == {"code": "unknown"}
    assert registrations(opened(workdir, tiny_overrides, code=LOOSER)) == {"code": "after"}


@pytest.mark.parametrize("content", ["{}", '{"registered": 3}', "{", "[]", ""])
def test_a_damaged_record_is_one_clear_error(
    workdir: Path, tiny_overrides: list[str], content: str
) -> None:
    study = opened(workdir, tiny_overrides, code=CODE)
    keep_contrasts(study)
    (path,) = (p for p in (workdir / "contrasts").iterdir() if p.name != "kept.json")
    path.write_text(content)
    with pytest.raises(UserError, match=f"{path.name} is damaged: .*; restore or delete the file"):
        registrations(study)


def test_the_results_of_a_variant_of_several_contrasts_are_read_once(
    workdir: Path, tiny_overrides: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def read_none(run: epath.Path) -> list[object]:
        read.append(run.name)
        return []

    monkeypatch.setattr(registration, "read_results", read_none)
    opposite = replace(CODE, direction="higher")
    study = opened(workdir, tiny_overrides, code=CODE, looser=LOOSER, opposite=opposite)
    assert set(registrations(study).values()) == {"before"}
    assert len(read) == 1  # the first arm has no result, so the second need not be read


def test_the_report_of_a_trained_study_names_contrasts_that_were_added_later(
    trained_copy: Path, tiny_overrides: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    page = report_study(
        opened(trained_copy, tiny_overrides, more_code=CODE), command_line="codepretrain report"
    )
    line = "Not registered: “more code” was added or changed after the results of its variants"
    assert line in page.read_text()
    assert line in " ".join(capsys.readouterr().out.split())
    (one,) = json.loads((page.parent / "results.json").read_text())["contrasts"]
    assert one["registered"] == "after"
    assert "added or changed after the results" in (page.parent / "tables.tex").read_text()
