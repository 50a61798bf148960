"""The pairs of variants that a command line asks for, replicate by replicate."""

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from codepretrain.config.schema import (
    AverageConfig,
    EvaluatorConfig,
    PhaseConfig,
    ReplicateConfig,
    StudyConfig,
)
from codepretrain.errors import UserError
from codepretrain.evals.judge.recorded import Checkpoint
from codepretrain.study import win_rates
from codepretrain.study.graph import resolve
from codepretrain.study.replicates import last_phases
from codepretrain.study.win_rates import read_pairs, variant_pairs
from tests.configs import small_study
from tests.evals.judge.test_recorded import IDENTITY, record


def names(pairs: str | None, *, baseline: str | None = "a") -> list[tuple[str, str]]:
    study = small_study()
    phase = study.variants["annealed"]
    variants = dict.fromkeys("abc", phase)
    return variant_pairs(dataclasses.replace(study, variants=variants, baseline=baseline), pairs)


def test_every_variant_against_the_baseline() -> None:
    assert names(None) == [("b", "a"), ("c", "a")]


def test_chosen_pairs_are_taken_once() -> None:
    assert names("a:b, c : b,a:b") == [("a", "b"), ("c", "b")]


def test_without_a_baseline_pairs_are_needed() -> None:
    with pytest.raises(UserError, match=r"--pairs: config.baseline names no variant to compare"):
        names(None, baseline=None)
    assert names("c:a", baseline=None) == [("c", "a")]


@pytest.mark.parametrize("pairs", ["a", "a:a", "a:b:c", "", "a:", "a:b,"])
def test_texts_that_are_no_pairs(pairs: str) -> None:
    with pytest.raises(UserError, match=r"--pairs: (expected two different|there is no variant)"):
        names(pairs)


def test_a_study_with_its_baseline_alone() -> None:
    study = small_study()
    alone = dataclasses.replace(study, baseline="annealed")
    with pytest.raises(UserError, match="no variant beside its baseline"):
        variant_pairs(alone, None)


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A study of two variants with three replicates, of which the last one was not evaluated.

    The checkpoints are folders with completions, and no phases of the study.
    """
    study = small_study()
    phase = study.variants["annealed"]
    seeds = tuple(ReplicateConfig(initialization_seed=k, data_order_seed=k) for k in range(3))
    config = dataclasses.replace(
        study,
        variants={"a": phase, "b": phase},
        baseline="b",
        replicates=seeds,
        evals={"dolly": EvaluatorConfig(kind="completions")},
    )

    def checkpoint(_: Any, variant: str, phase: str, replicate: int) -> Checkpoint:
        folder = tmp_path / f"{variant}{replicate}"
        if replicate < 2 and not folder.exists():
            record(folder, {"x": f"{variant}{replicate}", "y": "same"})
        return Checkpoint(
            variant=variant,
            phase=phase,
            fingerprint=f"{variant}{replicate}",
            step=7,
            run_dir=str(folder),
            replicate=replicate,
            start=f"trunk{replicate}",
        )

    monkeypatch.setattr(win_rates, "_checkpoint", checkpoint)
    monkeypatch.setattr(win_rates, "kept_identities", lambda _: {"dolly": IDENTITY})
    return SimpleNamespace(config=config)


def test_replicates_are_paired_and_those_without_completions_are_named(recorded: Any) -> None:
    lines: list[str] = []
    pairs = read_pairs(recorded, evaluator="dolly", pairs=None, announce=lines.append)
    found = [(pair.ours.replicate, pair.ours.start, pair.reference.phase) for pair in pairs]
    phase = recorded.config.variants["b"]
    assert found == [(0, "trunk0", phase), (1, "trunk1", f"{phase}-r1")]
    assert [pair.matches[0].completions for pair in pairs] == [("a0", "b0"), ("a1", "b1")]
    (line,) = lines
    assert line.startswith("left out: variant 'a': ")
    assert f"run `codepretrain evaluate --phase {phase}-r2` first" in line


def test_replicates_that_end_in_the_same_runs_are_one(
    recorded: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = win_rates._checkpoint

    def same(*arguments: Any) -> Checkpoint:
        return dataclasses.replace(original(*arguments), fingerprint="f")

    monkeypatch.setattr(win_rates, "_checkpoint", same)
    assert len(read_pairs(recorded, evaluator="dolly", pairs=None)) == 1


def starts(config: StudyConfig) -> list[tuple[str, ...]]:
    """Returns the phases, or models, that the replicates of each variant start from."""
    phases = resolve(config)
    workspace: Any = SimpleNamespace(
        phases=phases, fingerprint=lambda name: name, run_dir=lambda name: f"runs/{name}"
    )
    return [
        tuple(
            win_rates._checkpoint(workspace, variant, name, k).start
            for k, name in enumerate(last_phases(config, variant))
        )
        for variant in config.variants
    ]


def test_replicates_start_from_the_last_that_they_share() -> None:
    """Those of "long" have what "middle" happened to be in common, and not with "short"."""
    small = small_study()
    trunk = dataclasses.replace(small.phases["trunk"], is_replicated=False)
    anneal = small.phases["anneal"]
    middle = dataclasses.replace(anneal, is_replicated=False)
    end = dataclasses.replace(anneal, parent="middle")
    two = AverageConfig(members=("anneal", "middle"))
    config = dataclasses.replace(
        small,
        phases={
            "trunk": trunk,
            "anneal": anneal,
            "middle": middle,
            "end": end,
            "soup": PhaseConfig(kind="average", average=two),
        },
        variants={"short": "anneal", "long": "end", "soup": "soup"},
        replicates=tuple(ReplicateConfig(initialization_seed=k, data_order_seed=k) for k in (0, 1)),
    )
    assert starts(config) == [("trunk",) * 2, ("middle",) * 2, ("middle",) * 2]
    phases = {**config.phases, "trunk": dataclasses.replace(trunk, is_replicated=True)}
    del phases["middle"], phases["end"], phases["soup"]
    own = dataclasses.replace(config, phases=phases, variants={"short": "anneal"})
    assert starts(own) == [("trunk", "trunk-r1")]
    phases["trunk"] = dataclasses.replace(phases["trunk"], initial_checkpoint="model")
    assert starts(dataclasses.replace(own, phases=phases)) == [("model", "model")]
