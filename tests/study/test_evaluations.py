"""Whose evaluations the results in a shared run are."""

import dataclasses
import json
from pathlib import Path

import pytest
from etils import epath

from codepretrain.config.schema import EvaluatorConfig, StudyConfig
from codepretrain.evals import validation_loss
from codepretrain.evals.identity import spec_digest
from codepretrain.evals.registry import evaluator_request
from codepretrain.study.evaluations import keep_identities, kept_identities
from codepretrain.study.report import report_study
from codepretrain.study.run import evaluate_phases, train_phases
from codepretrain.study.workspace import Workspace
from tests.configs import small_study


def with_evals(config: StudyConfig, name: str, **evals: EvaluatorConfig) -> StudyConfig:
    return dataclasses.replace(config, name=name, evals=evals)


LOSS = EvaluatorConfig(kind="validation_loss", num_examples=3)


def spec(config: EvaluatorConfig) -> str:
    return spec_digest(*evaluator_request("x", config))


@pytest.fixture(params=["local", "memory"])
def workdir(request: pytest.FixtureRequest, tmp_path: Path) -> epath.Path:
    if request.param == "local":
        return epath.Path(tmp_path)
    return epath.Path(f"memory://bucket/{tmp_path.name}")


def test_an_identity_is_kept_for_each_specification_data_and_model(workdir: epath.Path) -> None:
    study = with_evals(small_study(), "a", loss=LOSS)
    workspace = Workspace(study, workdir)
    assert kept_identities(workspace) == {"loss": {"spec": spec(LOSS)}}
    identity = {"spec": spec(LOSS), "items": "i"}
    keep_identities(workspace, {"loss": identity})
    assert kept_identities(workspace) == {"loss": identity}

    other_name = with_evals(study, "b", held_out=LOSS)
    assert kept_identities(Workspace(other_name, workdir)) == {"held_out": identity}
    more = dataclasses.replace(LOSS, num_examples=4)
    assert kept_identities(Workspace(with_evals(study, "a", loss=more), workdir)) == {
        "loss": {"spec": spec(more)}
    }
    data = dataclasses.replace(study.data, validation_fraction=0.5)
    model = dataclasses.replace(study.model, num_layers=3)
    for other in ({"data": data}, {"model": model}):
        elsewhere = Workspace(dataclasses.replace(study, **other), workdir)
        assert kept_identities(elsewhere) == {"loss": {"spec": spec(LOSS)}}

    keep_identities(workspace, {"loss": identity | {"items": "j"}})
    assert kept_identities(workspace)["loss"]["items"] == "j"


def benchmark(data: str) -> EvaluatorConfig:
    return EvaluatorConfig(
        kind="code_generation", options={"task": "human_eval", "data": data, "max_new_tokens": 8}
    )


def test_evaluations_that_differ_in_the_place_of_their_data_keep_an_identity_each(
    workdir: epath.Path,
) -> None:
    """Within one study, and in two studies that share runs: the last one built is not all."""
    study = with_evals(small_study(), "a", plain=benchmark("a.jsonl"), plus=benchmark("b.jsonl"))
    workspace = Workspace(study, workdir)
    one = spec(benchmark("a.jsonl"))
    assert spec(benchmark("b.jsonl")) == one
    identities = {"plain": {"spec": one, "items": "a"}, "plus": {"spec": one, "items": "b"}}
    keep_identities(workspace, identities)
    assert kept_identities(workspace) == identities

    other = Workspace(with_evals(study, "b", plain=benchmark("c.jsonl")), workdir)
    assert kept_identities(other) == {"plain": identities["plus"]}  # never built: the newest
    keep_identities(other, {"plain": {"spec": one, "items": "c"}})
    assert kept_identities(other) == {"plain": {"spec": one, "items": "c"}}
    assert kept_identities(workspace) == identities


def reported(workspace: Workspace) -> dict[tuple[str, str], int]:
    """Returns (evaluator, metric) → number of clusters of the cells of a study's report."""
    page = report_study(workspace, command_line="a test")
    numbers = json.loads((page.parent / "results.json").read_text())
    assert numbers["problems"] == []
    return {
        (cell["evaluator"], cell["name"]): cell["metric"]["count"]
        for cell in numbers["comparison"]["cells"]
        if cell["is_primary"]
    }


def records(workspace: Workspace, phase: str) -> list[dict]:
    path = workspace.run_dir(phase) / "evals.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_two_studies_that_share_their_runs_each_report_their_own(
    trained_copy: Path, config: StudyConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second has other rows under the first one's name, and an evaluator of its own."""
    first = Workspace(config, trained_copy)
    assert first.config.evals["validation"].num_examples != 3
    before = reported(first)
    second = Workspace(
        with_evals(
            config,
            "second",
            validation=LOSS,
            text=dataclasses.replace(LOSS, options={"sources": "text"}),
        ),
        trained_copy,
    )
    kept = {phase: records(first, phase) for phase in ("trunk", "branch")}
    train_phases(second, only=list(kept), command_line="a test")
    output = capsys.readouterr().out
    assert "a result of validation that differs in options or num_examples and items" in output
    for phase, earlier in kept.items():
        found = records(second, phase)
        assert found[: len(earlier)] == earlier
        assert [r["evaluator"] for r in found[len(earlier) :]] == ["validation", "text"]
    theirs = reported(second)
    assert {evaluator for evaluator, _ in theirs} == {"validation", "text"}
    assert theirs["validation", "source/text/nats_per_token"] == 3
    assert reported(first) == before

    evaluate_phases(first, only=list(kept))
    assert "every evaluation of step 40 is recorded already" in capsys.readouterr().out
    train_phases(second, only=list(kept), command_line="a test")
    assert "trunk: trained already" in capsys.readouterr().out


def test_a_change_of_the_grading_code_evaluates_again_and_supersedes(
    trained_copy: Path, config: StudyConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = Workspace(config, trained_copy)
    before = records(workspace, "trunk")
    monkeypatch.setattr(validation_loss, "GRADER", "next")
    evaluate_phases(workspace, only=["trunk"])
    found = records(workspace, "trunk")
    assert found[:-1] == before
    assert found[-1]["identity"]["grader"] == "next"
    assert found[-1]["metrics"] == before[-1]["metrics"]
    spec = kept_identities(workspace)["validation"]
    assert spec["grader"] == "next"
