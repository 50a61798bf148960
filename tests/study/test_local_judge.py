"""Completions by trained checkpoints, judged by a checkpoint and by an exported model."""

import dataclasses
import json
import shutil
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from etils import epath
from rich.console import Console

from codepretrain.cli.main import main
from codepretrain.config.schema import EvaluatorConfig, StudyConfig
from codepretrain.errors import UserError
from codepretrain.interop.export import ExportOptions
from codepretrain.study.exchange import export_phase
from codepretrain.study.local_judge import judge_locally
from codepretrain.study.run import evaluate_phases
from codepretrain.study.win_rates import read_pairs
from codepretrain.study.workspace import Workspace
from tests.cli.test_judge import Study


@pytest.fixture(scope="module")
def evaluated(
    tmp_path_factory: pytest.TempPathFactory, trained: Path, config: StudyConfig
) -> Workspace:
    """The trained study with completions of two variants."""
    workdir = Path(shutil.copytree(trained, tmp_path_factory.mktemp("judged") / "workdir"))
    prompts = workdir.parent / "prompts.jsonl"
    lines = [{"instruction": f"Write about river {i}.", "context": "stone"} for i in range(5)]
    prompts.write_text("".join(json.dumps(line) + "\n" for line in lines))
    dolly = EvaluatorConfig(
        kind="completions", options={"prompts": str(prompts), "max_new_tokens": 12}
    )
    study = dataclasses.replace(
        config,
        evals={"dolly": dolly},
        variants={"branched": "branch", "base": "trunk"},
        baseline="base",
    )
    evaluate_phases(Workspace(study, epath.Path(workdir)), only=["branch", "trunk"])
    return Workspace(study, epath.Path(workdir))


def judge(workspace: Workspace, name: str) -> tuple[dict[str, Any], str]:
    pairs = read_pairs(workspace, evaluator="dolly", pairs=None)
    console = Console(file=StringIO(), width=200)
    written = judge_locally(
        workspace, evaluator="dolly", pairs=pairs, local_name=name, console=console
    )
    (path,) = written
    assert isinstance(console.file, StringIO)
    return json.loads(path.read_text()), console.file.getvalue()


def test_completions_are_recorded_with_their_prompts(evaluated: Workspace) -> None:
    (pair,) = read_pairs(evaluated, evaluator="dolly", pairs=None)
    assert [match.prompt for match in pair.matches] == [
        f"Write about river {i}.\n\nstone\n\n" for i in range(5)
    ]
    assert any(not match.is_identical for match in pair.matches), "two checkpoints, two texts"
    assert pair.ours.digest == pair.reference.digest
    assert set(pair.ours.identity) == {"spec", "items", "prompts", "grader", "settings"}


def test_completions_of_other_options_than_the_studys_are_not_judged(evaluated: Workspace) -> None:
    longer = EvaluatorConfig(
        kind="completions",
        options={**evaluated.config.evals["dolly"].options, "max_new_tokens": 13},
    )
    changed = dataclasses.replace(evaluated.config, evals={"dolly": longer})
    with pytest.raises(UserError, match=r"differ from this study's evaluation in options or num_e"):
        read_pairs(Workspace(changed, evaluated.workdir), evaluator="dolly", pairs=None)


def test_a_checkpoint_and_its_export_give_the_same_verdicts(evaluated: Workspace) -> None:
    ours, printed = judge(evaluated, "trunk")
    assert ours["judge"]["kind"] == "local"
    assert ours["judge"]["model"] == "trunk@40"
    assert ours["judge"]["fingerprint"] == evaluated.fingerprint("trunk")
    assert "matches do not fit config.data.max_seq_len = 64" in printed
    rates = ours["summary"]["win_rate"]
    assert (rates["num_prompts"], rates["num_missing"]) == (5, 0)
    assert ours["summary"]["win_rate"] == judge(evaluated, "trunk@40")[0]["summary"]["win_rate"]

    folder = epath.Path(evaluated.workdir).parent / "exported"
    options = ExportOptions()
    export_phase(
        evaluated, name="trunk", step=None, output=folder, options=options, command_line="export"
    )
    exported, _ = judge(evaluated, str(folder))
    assert exported["judge"]["model"] == "exported"
    assert len(exported["judge"]["weights_sha256"]) == 64
    assert exported["judgments"] == ours["judgments"]


def test_the_command_judges_locally(
    evaluated: Workspace,
    tmp_path: Path,
    tiny_overrides: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    workdir = Path(evaluated.workdir)
    prompts = str(workdir.parent / "prompts.jsonl")
    study = Study(tmp_path, tiny_overrides, workdir, prompts=prompts, max_new_tokens=12)
    flags = ["--evaluator", "dolly", "--pairs", "branched:trunk_only", "--local", "trunk"]
    assert main(["judge", *study.flags, *flags, "--dry-run"]) == 0
    assert "1 pairs of runs, 5 matches, nothing to pay" in capsys.readouterr().err
    assert main(["judge", *study.flags, *flags]) == 0
    printed = capsys.readouterr().out
    assert "branched against trunk_only" in printed
    assert "same verdict in both orders" in printed
    (path,) = Path(evaluated.workdir).glob("judge/trunk_40-*/tiny/dolly-branched-trunk_only.json")
    assert f"result: {path}" in printed
    assert main(["judge", *study.flags, *flags[:-1], "trnk"]) == 2
    assert "--local: there is no phase 'trnk'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("trnk", "--local: there is no phase 'trnk'; did you mean trunk?, and no folder"),
        ("trunk@7", "phase 'trunk' has no complete checkpoint at step 7; available steps"),
        ("cooldown", "phase 'cooldown' is not trained yet"),
        ("/no/such/folder", "--local: there is no phase and no folder /no/such/folder"),
    ],
)
def test_judges_that_are_missing(evaluated: Workspace, name: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        judge(evaluated, name)
    assert message in str(caught.value)
