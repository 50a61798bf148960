"""A study that is exported, and another that starts from what was exported."""

import json
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

from codepretrain.cli.main import main
from tests.conftest import TINY

FROM_BASE = "--config.phases.trunk.initial_checkpoint=base"


def succeeds(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    code = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    assert code == 0, captured.err
    return captured.out


def fails(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    assert main([str(argument) for argument in arguments]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1, error
    return error


def planned(capsys: pytest.CaptureFixture[str], *where: str | Path) -> dict:
    return json.loads(succeeds(capsys, "plan", "--json", *where))["phases"][0]


def first_loss(run: Path) -> float:
    return json.loads((run / "metrics.jsonl").read_text().splitlines()[0])["loss"]


def check_card(folder: Path, weights_sha256: str) -> None:
    """Checks the card with the Hub's own reader, and its values with what the run recorded."""
    text = (folder / "README.md").read_text()
    data: Any = ModelCard(text).data
    assert (data.library_name, data.license) == ("transformers", None)
    (loss,) = [r for r in data.eval_results if r.metric_type == "source/code/nats_per_token"]
    assert loss.dataset_type == "validation"
    low, high = loss.metric_args["interval"]
    assert low < loss.metric_value < high
    assert f"| {loss.metric_value:.3f} | {low:.3f} – {high:.3f} |" in text
    for line in (
        f"| weights, sha256 | `{weights_sha256}` |",
        "| trunk | random parameters (seed 0) | 40 |",
        "- No evaluation set was sought in the training data (no decontamination).",
        "- The recipe was trained once: how much other seeds change is not known.",
        "`codepretrain train --phase trunk --config ",
        "`codepretrain export --phase trunk --output ",
    ):
        assert line in text, line


def test_export_import_and_train_from_it(
    capsys: pytest.CaptureFixture[str], workdir: Path, tiny_overrides: list[str], tmp_path: Path
) -> None:
    where: list[str | Path] = ["--config", TINY, "--workdir", workdir, *tiny_overrides]
    exported = tmp_path / "exported"
    line = fails(capsys, "export", "--phase", "trunk", "--output", exported, *where)
    assert "no checkpoint at step 40" in line
    succeeds(capsys, "train", "--phase", "trunk", *where)
    line = fails(capsys, "export", "--phase", "trunk", "--step", "7", "--output", exported, *where)
    assert "available steps: 20, 40" in line
    succeeds(capsys, "export", "--phase", "trunk", "--output", exported, *where)
    provenance = json.loads((exported / "codepretrain.json").read_text())
    assert (provenance["path"], provenance["step"]) == (["trunk"], 40)
    assert provenance["tokens"] == 40 * 8 * 64
    check_card(exported, provenance["weights_sha256"])
    assert "exists already" in fails(
        capsys, "export", "--phase", "trunk", "--output", exported, *where
    )
    [trained] = (workdir / "runs").iterdir()

    before = planned(capsys, FROM_BASE, *where)
    assert before["initial_checkpoint"] == "base"
    assert before["fingerprint_is_provisional"]
    line = fails(capsys, "train", "--phase", "trunk", FROM_BASE, *where)
    assert "there is no 'base' in" in line
    assert "codepretrain import --name base" in line
    imported: list[str | Path] = ["import", "--model", exported, "--name", "base", *where]
    assert provenance["weights_sha256"][:12] in succeeds(capsys, *imported)
    assert "already imported" in succeeds(capsys, *imported)

    after = planned(capsys, FROM_BASE, *where)
    assert not after["fingerprint_is_provisional"]
    assert after["fingerprint"] not in (
        before["fingerprint"],
        planned(capsys, *where)["fingerprint"],
    )
    assert "from imported base" in succeeds(capsys, "plan", FROM_BASE, *where)
    succeeds(capsys, "train", "--phase", "trunk", FROM_BASE, *where)
    [continued] = set((workdir / "runs").iterdir()) - {trained}
    assert continued.name.endswith(after["fingerprint"][:12])
    assert first_loss(continued) < 0.7 * first_loss(trained)
    assert json.loads((continued / "run.json").read_text())["initial_checkpoint"] == "base"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config.phases.branch.initial_checkpoint=base"], "both a parent and an initial_checkp"),
        (["--config.phases.trunk.initial_checkpoint=A/b"], "a name of lower-case letters"),
    ],
)
def test_mistakes_in_the_config(
    capsys: pytest.CaptureFixture[str],
    tiny_overrides: list[str],
    arguments: list[str],
    message: str,
) -> None:
    assert message in fails(capsys, "plan", "--config", TINY, *tiny_overrides, *arguments)
