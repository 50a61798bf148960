"""What holds for every experiment of the study."""

import ast
import dataclasses
from pathlib import Path

import pytest
from etils import epath

from codepretrain.config.averages import all_shares
from codepretrain.config.load import load_study
from codepretrain.config.parse import to_dict
from codepretrain.config.schema import AverageConfig, PhaseConfig, StudyConfig
from codepretrain.evals.averaged_scores import check_averaged_scores, full_scores
from codepretrain.evals.contrast_scores import check_contrast_scores, contrast_units
from codepretrain.evals.registry import check_evaluators
from codepretrain.files.atomic import write_json
from codepretrain.study.describe import check_caps
from codepretrain.study.source_sizes import SourceSize
from experiments.study.miniature import overrides, write
from tests.conftest import ROOT
from tests.experiments.plans import EXPERIMENTS, experiment, phases, prints

every_experiment = pytest.mark.parametrize("name", EXPERIMENTS)


@every_experiment
def test_the_file_says_what_it_asks_runs_costs_and_expects(name: str) -> None:
    source = (ROOT / "experiments" / f"{name}.py").read_text()
    head = ast.get_docstring(ast.parse(source))
    assert head is not None
    assert "§3." in head or "ladder" in head
    for title in ("Run:", "Cost:", "Expected:"):
        assert f"\n{title}" in head
    assert f"experiments/{name}.py" in head


@every_experiment
def test_scores_and_contrasts_are_those_of_its_evaluations(name: str) -> None:
    config = experiment(name)
    assert config.name == name
    check_evaluators(config)
    check_averaged_scores(config)
    check_contrast_scores(config)
    assert config.contrasts
    for key, contrast in config.contrasts.items():
        units = {unit for unit, _ in contrast_units(config, f"config.contrasts.{key}", contrast)}
        is_loss = contrast.metric.startswith("validation/")
        assert ("bits/byte" if is_loss else "fraction") in units
        assert contrast.margin is not None


@every_experiment
def test_every_arm_of_a_contrast_has_three_independent_replicates(name: str) -> None:
    config, found = experiment(name), prints(name)
    for contrast in config.contrasts.values():
        for arm in contrast.arms:
            roots = {
                found[phases(name)[f"{config.variants[arm]}{suffix}"].path[0].name]
                for suffix in ("", "-r1", "-r2")
            }
            assert len(roots) == 3


@every_experiment
def test_no_source_is_read_more_often_than_its_cap(name: str) -> None:
    config = experiment(name)
    sizes = {
        source: SourceSize(identity=source, num_rows=None, num_tokens=of.num_tokens)
        for source, of in config.data.sources.items()
    }
    check_caps(config, phases(name), source_sizes=sizes)


def test_miniatures_of_several_experiments_are_files_of_their_own(tmp_path: Path) -> None:
    names = ("ladder_30m", "ladder_470m")
    write([str(ROOT / "experiments" / f"{name}.py") for name in names], tmp_path)

    small = [load_study(tmp_path / f"{name}.json") for name in names]
    assert [one.name for one in small] == list(names)
    assert small[0].model.d_model < small[1].model.d_model
    assert [one.contrasts for one in small] == [experiment(name).contrasts for name in names]


@every_experiment
def test_a_miniature_has_the_same_graph(name: str) -> None:
    from codepretrain.study.graph import resolve

    small = load_study(ROOT / "experiments" / f"{name}.py", overrides(experiment(name)))
    large = phases(name)
    resolved = resolve(small)
    assert resolved.keys() == large.keys()
    for phase, of in resolved.items():
        assert [p.name for p in of.path] == [p.name for p in large[phase].path]
        drawn = {source for source, rows in of.rows_per_source().items() if rows}
        assert drawn == {source for source, rows in large[phase].rows_per_source().items() if rows}
    assert small.variants == experiment(name).variants
    assert small.contrasts == experiment(name).contrasts
    assert sum(phase.num_steps for phase in resolved.values()) < 5000
    check_contrast_scores(small)


def test_a_miniature_averages_as_many_checkpoints(tmp_path: Path) -> None:
    """An interval of 5,000 steps leaves one checkpoint of a phase of 80: `plan` refused it."""
    from codepretrain.study.graph import resolve

    averages = {
        "newest": AverageConfig(members=("text_pretrain",), last_k=5),
        "moving": AverageConfig(members=("text_pretrain",), ema_decay=0.8),
        "soup": AverageConfig(members=("text_cooldown", "balanced_cooldown")),
    }
    study = experiment("initialization")
    phases = {n: PhaseConfig(kind="average", average=of) for n, of in averages.items()}
    study = dataclasses.replace(study, phases={**study.phases, **phases})
    write_json(epath.Path(tmp_path / "study.json"), to_dict(study))
    small = load_study(tmp_path / "study.json", overrides(study))
    large, resolved = resolve(study), resolve(small)
    for name in averages:
        assert len(resolved[name].origins) == len(large[name].origins) > 1
    assert small.checkpoint.permanent_interval_steps == 4  # 21B tokens at 5B a step
    alone = load_study(ROOT / "experiments" / "initialization.py", overrides(experiment("scale")))
    assert alone.checkpoint.permanent_interval_steps == 5000


def test_all_experiments_have_the_same_data_and_evaluations() -> None:
    """So their rows are the same, and phases can be shared."""

    def common(config: StudyConfig) -> tuple[object, ...]:
        return config.data, config.evals, config.averages, config.training, config.optimizer

    assert all(common(experiment(name)) == common(experiment("recipes")) for name in EXPERIMENTS)


def test_phases_of_the_paper_are_trained_once_across_experiments() -> None:
    """470M and without replicates: every phase that has equal settings somewhere has one print."""
    names = [name for name in EXPERIMENTS if name not in ("scale", "ladder_30m", "ladder_125m")]
    shared: dict[str, set[str]] = {}
    tokens: dict[str, int] = {}
    for name in names:
        for phase, fingerprint in prints(name).items():
            if not phases(name)[phase].replicate:
                shared.setdefault(fingerprint, set()).add(f"{name}/{phase}")
                tokens[fingerprint] = phases(name)[phase].tokens
    of = {where: fingerprint for fingerprint, places in shared.items() for where in places}
    for first, second in (
        ("proportion/code_init", "initialization/code_init"),
        ("proportion/balanced_init", "recipes/balanced_init"),
        ("proportion/text_init", "recipes/text_init"),
        ("proportion/balanced_pretrain", "initialization/balanced_pretrain"),
        ("code_properties/code_init", "initialization/code_init"),
        ("code_properties/balanced_text_continued", "initialization/balanced_text_continued"),
        ("code_properties/balanced_synthetic_init", "recipes/balanced_synthetic_init"),
        ("cooldown/balanced_text_cooldown", "initialization/balanced_text_cooldown"),
        ("cooldown/balanced_text_without_code", "recipes/code_code_text_cooldown"),
        ("ladder_470m/code_25_200b", "proportion/code_25_init"),
        ("ladder_470m/code_100_200b", "initialization/code_init"),
    ):
        assert of[first] == of[second], (first, second)
    initialization = set(prints("initialization").values())
    for name in ("cooldown", "recipes"):
        assert initialization <= set(prints(name).values())
    assert sum(tokens.values()) == pytest.approx(7.14e12, rel=0.001)


def test_the_papers_averages_are_those_of_its_categories() -> None:
    """Section 2.3 and Table 2: 2, 11 and 2 tasks; the total is the mean of three categories."""
    averages = full_scores(experiment("initialization"))
    sizes = {name: len(scores) for name, scores in averages.categories.items()}
    assert sizes == {"world_knowledge": 2, "reasoning": 11, "code": 2, "reasoning_9_tasks": 9}
    shares = all_shares(averages)
    assert shares["total"]["mbpp/pass_at_1"] == pytest.approx(1 / 6)
    assert shares["total"]["suite/boolq/accuracy"] == pytest.approx(1 / 33)
    assert shares["natural_language"]["suite/nq_open/score/exact_match"] == 1 / 4
    assert "human_eval/pass_at_1" not in shares["natural_language"]
    assert "suite/copa/accuracy" not in shares["reasoning_9_tasks"]
