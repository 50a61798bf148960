"""Config: parsing, overrides and checks, each error by its message."""

import textwrap
from pathlib import Path

import pytest

from codepretrain.config.load import load_study, to_config_dict
from codepretrain.config.parse import parse, to_dict
from codepretrain.config.schema import StudyConfig
from codepretrain.config.validate import check
from codepretrain.errors import UserError

SMALL = {
    "name": "small",
    "model": {
        "vocab_size": 512,
        "d_model": 16,
        "num_layers": 2,
        "num_heads": 2,
        "num_kv_heads": 1,
        "head_dim": 8,
        "d_ff": 32,
    },
    "data": {
        "max_seq_len": 64,
        "tokenizer": {"vocab_size": 512},
        "sources": {
            "text": {"reader": "python_prose", "kind": "text"},
            "code": {"reader": "python_code", "kind": "code"},
        },
    },
    "training": {"batch_size": 4},
    "phases": {
        "trunk": {
            "tokens": 25_600,
            "mixture": {"text": 1.0},
            "schedule": {"shape": "constant", "peak_learning_rate": 1e-3},
        },
        "anneal": {
            "parent": "trunk",
            "tokens": 2_560,
            "mixture": {"text": 0.8, "code": 0.2},
            "schedule": {"shape": "linear", "end_learning_rate": 1e-6},
        },
    },
    "variants": {"annealed": "anneal"},
}


def study_file(folder: Path, values: dict) -> Path:
    path = folder / "study.py"
    path.write_text(
        textwrap.dedent(f"""
        from ml_collections import ConfigDict

        def get_config():
            return ConfigDict({values!r})
        """)
    )
    return path


def test_parse_and_to_dict_are_inverse() -> None:
    config = parse(StudyConfig, SMALL)
    assert config.phases["anneal"].mixture == {"text": 0.8, "code": 0.2}
    assert parse(StudyConfig, to_dict(config)) == config
    assert parse(StudyConfig, to_config_dict(config).to_dict()) == config


def test_overrides_reach_nested_fields(tmp_path: Path) -> None:
    config = load_study(
        study_file(tmp_path, SMALL),
        [
            "--config.model.num_layers=4",
            "--config.phases.trunk.tokens=512e2",
            "--config.phases.trunk.mixture.code=0.5",
            "--config.data.tokenizer.path=some/tokenizer.json",
            "--config.baseline=annealed",
            "--config.execution.mesh.tensor=2",
        ],
    )
    assert config.model.num_layers == 4
    assert config.phases["trunk"].tokens == 51_200
    assert config.phases["trunk"].mixture == {"text": 1.0, "code": 0.5}
    assert config.data.tokenizer.path == "some/tokenizer.json"
    assert config.baseline == "annealed"
    assert config.execution.mesh.tensor == 2


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("--config.model.num_layer=4", "config.model.num_layer: no such field; did you mean num_l"),
        ("--config.model.num_layers=four", "config.model.num_layers: expected a whole number, got"),
        ("--config.model.num_layers=4.5", "config.model.num_layers: expected a whole number, got"),
        ("--config.model.num_layers=-4", "config.model.num_layers: expected a whole number from 1"),
        ("--config.model.head_dim=7", "config.model.head_dim: expected an even number from 2"),
        ("--config.model.num_kv_heads=3", "is not divisible by config.model.num_kv_heads = 3"),
        ("--config.phases.trunk.mixture.cod=1", "there is no source 'cod'; did you mean code?"),
        (
            "--config.phases.trunk.mixture.code=-1",
            "expected a weight of 0, or from 1e-9 to 1e15, got -1",
        ),
        ("--config.phases.trunk.mixture.text=0", "expected at least one positive weight"),
        ("--config.phases.trnk.tokens=1e6", "config.phases.trnk: no such field; did you mean tru"),
        ("--config.phases.trunk.tokens=10", "less than one step of 256 tokens"),
        ("--config.phases.anneal.parent=trunc", "there is no phase 'trunc'; did you mean trunk?"),
        (
            "--config.phases.trunk.parent=anneal",
            "the phases form a circle: anneal → trunk → anneal",
        ),
        ("--config.phases.anneal.parent_tokens=99e9", "exceeds config.phases.trunk.tokens"),
        ("--config.variants.annealed=aneal", "there is no phase 'aneal'; did you mean anneal?"),
        ("--config.baseline=trunk", "config.baseline: there is no variant 'trunk'"),
        ("--config.data.packing=bestfit", "did you mean best_fit?"),
        ("--config.data.tokenizer.vocab_size=1024", "the model would lack embeddings"),
        (
            "--config.execution.num_microbatches=3",
            "config.training.batch_size = 4 is not divisible by",
        ),
        ("--config.training.batch_size.x=3", "is a value, it has no field 'x'"),
        ("--confg.model.num_layers=4", "overrides look like --config.model.num_layers=4"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, override: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        load_study(study_file(tmp_path, SMALL), [override])
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_missing_field_is_told_from_unknown_field() -> None:
    values = {**SMALL, "model": {k: v for k, v in SMALL["model"].items() if k != "d_ff"}}
    with pytest.raises(UserError, match=r"config.model.d_ff is missing: expected a whole number"):
        parse(StudyConfig, values)


def test_mixture_changes_must_lie_in_order() -> None:
    changes = [{"at_tokens": 5_120, "weights": {"code": 1}}] * 2
    trunk = {**SMALL["phases"]["trunk"], "mixture_changes": changes}
    config = parse(StudyConfig, {**SMALL, "phases": {**SMALL["phases"], "trunk": trunk}})
    with pytest.raises(UserError, match="expected a position after 5,120 and before"):
        check(config)


def test_files_that_cannot_be_loaded(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("def get_config(:\n")
    (tmp_path / "raises.py").write_text("def get_config():\n    return 1 / 0\n")
    (tmp_path / "empty.py").write_text("")
    (tmp_path / "wrong.py").write_text("def get_config():\n    return 3\n")
    for name, message in {
        "broken": r"broken.py, line 1: ",
        "raises": r"raises.py: get_config\(\) failed \(line 2\): ZeroDivisionError",
        "empty": r"does not define get_config\(\)",
        "wrong": r"returned int, expected a ConfigDict",
        "absent": r"absent.py does not exist; .* holds broken.py, empty.py",
    }.items():
        with pytest.raises(UserError, match=message):
            load_study(tmp_path / f"{name}.py")
