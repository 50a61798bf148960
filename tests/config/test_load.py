"""Config: parsing, overrides and checks, each error by its message."""

import json
import textwrap
from pathlib import Path
from typing import Any

import pytest

from codepretrain.config.load import load_study, to_config_dict
from codepretrain.config.parse import parse, to_dict
from codepretrain.config.schema import StudyConfig
from codepretrain.config.validate import check
from codepretrain.errors import UserError
from codepretrain.study.fingerprint import fingerprints
from codepretrain.study.graph import resolve

SMALL: dict[str, Any] = {
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


def test_phases_and_variants_keep_the_order_of_the_file(tmp_path: Path) -> None:
    """A `ConfigDict` sorts its keys by default: code_100 stood before code_25 in every table."""
    names = ["code_0", "code_25", "code_100", "again"]
    phase = SMALL["phases"]["trunk"]
    values = {**SMALL, "phases": dict.fromkeys(names, phase), "variants": {n: n for n in names}}
    config = to_config_dict(parse(StudyConfig, values))
    assert list(config.to_dict()["phases"]) == list(config.variants) == names


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
            "the phases form a cycle: anneal → trunk → anneal",
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
        (
            "--config.training.batch_size.x=3",
            "config.training.batch_size is a value, it has no field",
        ),
        ("--confg.model.num_layers=4", "overrides have the form --config.model.num_layers=4"),
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


def test_a_study_made_of_another_one_may_add_dataclasses(tmp_path: Path) -> None:
    (tmp_path / "more.py").write_text(
        textwrap.dedent("""
        from codepretrain.config.schema import AverageConfig, PhaseConfig
        from tests.studies import tiny

        def get_config():
            config = tiny.get_config().unlock()
            members = tuple(config.phases)[:1]
            config.phases["newest"] = PhaseConfig(
                kind="average", average=AverageConfig(members=members, last_k=2)
            )
            config.checkpoint.permanent_interval_steps = 1
            return config
        """)
    )
    config = load_study(tmp_path / "more.py", ["--config.phases.newest.average.last_k=3"])
    average = config.phases["newest"].average
    assert average is not None
    assert average.last_k == 3


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


# A whole study whose name is what follows.
BASE = """
from ml_collections import config_dict
from tests.studies import tiny

def get_config():
    config = get_config.config = tiny.get_config().unlock()
    del config["name"]
    with config.ignore_type():
        config["name"] = value()
    return config

def value():
    return """
EXPERIMENTS = {
    "exits": ("import sys\nsys.exit(3)", "cannot be loaded (line 2): SystemExit: 3"),
    "exits_in_get_config": (
        "def get_config():\n    raise SystemExit",
        "get_config() failed (line 2): SystemExit",
    ),
    "raises_base": ("raise BaseException('b')", "cannot be loaded (line 1): BaseException: b"),
    "raises_generator_exit": ("raise GeneratorExit", "cannot be loaded (line 1): GeneratorExit"),
    "recurses": ("def f():\n    f()\nf()", "RecursionError: maximum recursion depth"),
    "needs_arguments": (
        "def get_config(name):\n    pass",
        "needs an argument: give --config.arguments.name=…",
    ),
    "is_no_function": ("get_config = 3", "does not define get_config()"),
    "returns_none": ("def get_config(): pass", "returned NoneType, expected a ConfigDict"),
    "broken_text": (
        "class E(Exception):\n    def __str__(self):\n        1 / 0\nraise E",
        "cannot be loaded (line 4): E",
    ),
    "two_lines": ("raise ValueError('a\\nb')", "ValueError: a"),
    "imports": ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
    "null_bytes": ("x = 1\0", "null bytes"),
    "empty_config": (
        "from ml_collections import ConfigDict\nget_config = ConfigDict",
        "config.name is missing: expected text",
    ),
    "placeholder": (
        BASE + "config_dict.placeholder(str)",
        "config.name: expected text, got None",
    ),
    "required_placeholder": (
        BASE + "config_dict.required_placeholder(str)",
        "the values of get_config() cannot be read: RequiredValueError",
    ),
    "reference": (
        BASE + "config_dict.FieldReference(3)",
        "config.name: expected text, got int 3",
    ),
    "contains_itself": (
        BASE + "get_config.config",
        "config.name: expected text, got dict",
    ),
    "keys_are_numbers": (
        BASE + "{3: 4}",
        "config.name: expected text, got dict {3: 4}",
    ),
    "holds_an_object": (
        BASE + "object()",
        "config.name: expected text, got object <object",
    ),
}


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_hostile_experiments(tmp_path: Path, name: str) -> None:
    text, message = EXPERIMENTS[name]
    path = tmp_path / f"{name}.py"
    path.write_text(text)
    with pytest.raises(UserError) as error:
        load_study(path)
    assert message in str(error.value)
    assert name in str(error.value) or "config." in str(error.value)


def test_paths_that_are_no_experiment(tmp_path: Path) -> None:
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "latin.py").write_bytes("x = 'caf\xe9'\n".encode("latin-1"))
    (tmp_path / "binary.py").write_bytes(bytes(range(256)))
    (tmp_path / "data.bin").write_bytes(b"1")
    (tmp_path / "loop.py").symlink_to(tmp_path / "loop.py")
    for name, message in {
        "folder.py": "folder.py is a folder, expected a Python file",
        "latin.py": "'utf-8' codec can't decode byte 0xe9",
        "binary.py": "binary.py",
        "data.bin": "expected a name ending in .py",
        "loop.py": "loop.py does not exist",
    }.items():
        with pytest.raises(UserError, match=message):
            load_study(tmp_path / name)


def test_ctrl_c_in_an_experiment_is_no_mistake(tmp_path: Path) -> None:
    (tmp_path / "stopped.py").write_text("raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        load_study(tmp_path / "stopped.py")


def test_an_experiment_may_define_dataclasses(tmp_path: Path) -> None:
    path = study_file(tmp_path, SMALL)
    text = "from __future__ import annotations\nimport dataclasses\n" + path.read_text()
    path.write_text(text + "\n@dataclasses.dataclass\nclass Choice:\n    width: int\n")
    assert load_study(path).name == "small"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["seed=1", "seed=2"], "--config.seed is given twice: '1' and '2'"),
        (
            ["phases.trunk.mixture.code=1", "phases.trunk.mixture={'text': 1}"],
            "--config.phases.trunk.mixture would undo --config.phases.trunk.mixture.code",
        ),
        (["seed"], "'--config.seed': overrides have the form --config.model.num_layers=4"),
        (["x" * 5000], "overrides have the form"),
        (["sée=1"], "overrides have the form"),
    ],
)
def test_overrides_that_contradict_each_other(
    tmp_path: Path, overrides: list[str], message: str
) -> None:
    with pytest.raises(UserError) as error:
        load_study(study_file(tmp_path, SMALL), [f"--config.{o}" for o in overrides])
    assert message in str(error.value)
    assert len(str(error.value)) < 300


def test_the_same_override_twice_is_fine(tmp_path: Path) -> None:
    path = study_file(tmp_path, SMALL)
    assert load_study(path, ["--config.seed=3", "--config.seed=3"]).seed == 3


def test_the_json_of_a_study_is_the_same_study(tmp_path: Path) -> None:
    """Every value survives, so every phase keeps its fingerprint."""
    config = load_study(
        study_file(tmp_path, SMALL), ["--config.optimizer.epsilon=1.0000000000000002e-8"]
    )
    path = tmp_path / "study.json"
    path.write_text(json.dumps(to_dict(config)))
    loaded = load_study(str(path))
    assert loaded == config
    assert list(loaded.phases) == list(config.phases)
    phases = resolve(config)
    identities = {"text": "a" * 64, "code": "b" * 64}
    assert fingerprints(loaded, resolve(loaded), rows=identities, imports={}) == fingerprints(
        config, phases, rows=identities, imports={}
    )


def test_the_json_of_a_study_is_overridden_and_checked(tmp_path: Path) -> None:
    path = tmp_path / "study.json"
    path.write_text(json.dumps(SMALL))
    assert load_study(path, ["--config.seed=3"]).seed == 3
    with pytest.raises(UserError, match=r"config\.model\.head_dim: expected an even number"):
        load_study(path, ["--config.model.head_dim=7"])
    path.write_text("[]")
    with pytest.raises(UserError, match=r"study\.json is damaged: expected a JSON object"):
        load_study(path)
    with pytest.raises(UserError, match=r"there is no file .*none\.json"):
        load_study(tmp_path / "none.json")


ARGUMENTS = """
def get_config(names: str, count: int = 3, rate: float = 0.5, *, is_small: bool = False):
    from codepretrain.errors import UserError
    if count == 13:
        raise UserError("config.arguments.count: expected another number")
    from ml_collections import ConfigDict
    values = %r
    values["name"] = f"{names}_{count}_{int(10 * rate)}_{is_small}".lower()
    return ConfigDict(values).lock()
"""


def with_arguments(folder: Path) -> Path:
    path = folder / "arguments.py"
    path.write_text(ARGUMENTS % SMALL)
    return path


def test_arguments_reach_get_config(tmp_path: Path) -> None:
    path = with_arguments(tmp_path)
    given = ["--config.arguments.names=a", "--config.model.d_model=8"]
    config = load_study(path, given)
    assert (config.name, config.model.d_model) == ("a_3_5_false", 8)
    more = ["--config.arguments.count=7", "--config.arguments.is_small=true"]
    assert load_study(path, [*given, *more, "--config.arguments.rate=1"]).name == "a_7_10_true"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], r"get_config\(\) of .*arguments.py needs an argument: give --config.arguments.names="),
        (
            ["names=a", "coun=1"],
            r"config.arguments.coun: .* has no such argument; did you mean count",
        ),
        (["names=a", "count=x"], "config.arguments.count: expected a whole number, got 'x'"),
        (["names=a", "count=13"], "^config.arguments.count: expected another number$"),
    ],
)
def test_wrong_arguments_are_named(tmp_path: Path, flags: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_study(with_arguments(tmp_path), [f"--config.arguments.{flag}" for flag in flags])


def test_a_study_without_arguments_takes_none(tmp_path: Path) -> None:
    flags = ["--config.arguments.count=1"]
    with pytest.raises(
        UserError, match=r"config.arguments.count: .* no such argument; it takes none"
    ):
        load_study(study_file(tmp_path, SMALL), flags)
    (tmp_path / "study.json").write_text(json.dumps(SMALL))
    with pytest.raises(UserError, match=r"config.arguments.count: .* takes no arguments"):
        load_study(tmp_path / "study.json", flags)
