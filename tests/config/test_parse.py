"""Values and overrides of every wrong kind: each named by its full path, in one line."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import pytest

from codepretrain.config.load import load_study
from codepretrain.config.parse import apply_override, parse, suggestion, to_dict
from codepretrain.config.schema import StudyConfig
from codepretrain.errors import UserError
from tests.conftest import TINY


def overridden(*overrides: str) -> StudyConfig:
    return load_study(TINY, [f"--config.{override}" for override in overrides])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.z_loss_coefficient=1e999", "config.training.z_loss_coefficient: expected a fin"),
        ("optimizer.beta1=nan", "config.optimizer.beta1: expected a number, got 'nan'"),
        ("optimizer.beta1=-1e999", "expected a finite number, got -inf"),
        ("phases.trunk.mixture.text=1e999", "config.phases.trunk.mixture.text: expected a finite"),
        (
            "phases.trunk.tokens=10**400",
            "config.phases.trunk.tokens: expected a whole number or None, got",
        ),
        ("phases.trunk.tokens=1" + "0" * 400, "expected a number below 2**63, got 1000"),
        ("phases.trunk.tokens=" + "9" * 5000, "expected a whole number or None, got '999"),
        ("phases.trunk.tokens=1e300", "config.phases.trunk.tokens: expected a number below 2**63"),
        ("optimizer.beta1=1" + "0" * 400, "config.optimizer.beta1: expected a number below 2**63"),
        ("data.sources.text.options.n=1" + "0" * 30, "options.n: expected a number below 2**63"),
        ("data.sources.text.options.n=1e999", "options.n: expected a finite number"),
        ("data.sources.text.options.a.b=1", "config.data.sources.text.options.a is a value, it ha"),
        ("data.sources.text.options.a=[1]", "text.options.a[0]: expected text, got int 1"),
        ("data.sources.text.options.a={}", "expected text or a whole number or a number or True"),
        ("model.num_layers=True", "config.model.num_layers: expected a whole number, got bool Tru"),
        ("model.num_layers=None", "config.model.num_layers: expected a whole number, got None"),
        ("model.num_layers=", "config.model.num_layers: expected a whole number, got ''"),
        ("model.num_layers=[4]", "config.model.num_layers: expected a whole number, got list [4]"),
        ("model.num_layers={[]: 1}", "config.model.num_layers: expected a whole number, got '{[]"),
        ("model.num_layers=" + "[" * 5000, "config.model.num_layers: expected a whole number, got"),
        ("model.num_layers=" + "-" * 9000 + "1", "expected a whole number, got '---"),
        ("model.num_layers=1j", "config.model.num_layers: expected a whole number, got complex 1j"),
        ("model.num_layers=__import__('os')", 'expected a whole number, got "__import__'),
        ("model={}", "config.model.vocab_size is missing: expected a whole number"),
        ("model=[]", "config.model: expected the fields of ModelConfig, got list []"),
        ("model.x.y.z=1", "config.model.x: no such field"),
        ("model..x=1", "config.model.: no such field"),
        (".model=1", "config.: no such field"),
        ("phases.trunk.mixture=text", "config.phases.trunk.mixture: expected"),
        ("phases.trunk.mixture_changes=[1]", "mixture_changes[0]: expected the fields of Mixture"),
        ("phases.trunk.schedule.shape.x=1", "config.phases.trunk.schedule.shape is a value, it ha"),
        ("training.mask_documents=yes", "training.mask_documents: expected True or False, got 'ye"),
        ("training.mask_documents=1", "training.mask_documents: expected True or False, got int 1"),
    ],
)
def test_wrong_values(override: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        overridden(override)
    assert message in str(error.value)
    assert len(str(error.value)) < 400


def test_text_is_taken_as_given() -> None:
    config = overridden(
        "data.tokenizer.path=123",
        "name=true",
        "logging.wandb_project=None",
        r"data.sources.text.options.path='\d'",
    )
    assert config.data.tokenizer.path == "123"
    assert config.name == "true"
    assert config.logging.wandb_project is None
    assert config.data.sources["text"].options["path"] == r"\d"


def test_values_that_are_nested_deeply() -> None:
    values = to_dict(overridden())
    deep: list[Any] = []
    values["phases"]["trunk"]["mixture"]["text"] = deep
    for _ in range(100_000):
        deep.append([])
        deep = deep[0]
    with pytest.raises(UserError, match="text: expected a number, got list"):
        parse(StudyConfig, values)


def test_an_override_adds_an_option_but_no_phase() -> None:
    values = to_dict(overridden())
    apply_override(StudyConfig, values, ["data", "sources", "text", "options", "new"], "3")
    assert values["data"]["sources"]["text"]["options"]["new"] == 3
    with pytest.raises(
        UserError, match=r"config.phases.new: no such field; expected one of: trunk, branch"
    ):
        apply_override(StudyConfig, values, ["phases", "new", "tokens"], "3")


def test_suggestions_stay_short() -> None:
    assert suggestion("num_layer", ["num_layers", "d_ff"]) == "; did you mean num_layers?"
    many = [f"name_{i}" for i in range(500)]
    assert suggestion("zzz", many).endswith("name_19 and 480 more")
    assert suggestion("x" * 100_000, many).endswith("more")
    assert suggestion("x", []) == ""


def test_a_value_of_any_type_is_taken_as_it_is() -> None:
    @dataclasses.dataclass(frozen=True)
    class Report:
        counts: Mapping[str, Any]

    counts = {"a": {"b": [1, None, "c"]}, "d": 1.5}
    assert parse(Report, {"counts": counts}) == Report(counts=counts)


def test_numbers_separated_by_commas_are_text_where_no_list_is_expected() -> None:
    """As the `k` of an evaluation of programs: its options are no lists."""
    config = overridden("data.sources.text.options.k=1,10", "data.sources.text.options.n=3")
    assert dict(config.data.sources["text"].options) | {"path": ""} == {
        "path": "",
        "k": "1,10",
        "n": 3,
    }
