"""A corpus of two small sources and a study that prepares it."""

import dataclasses
import io
import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from codepretrain.config import (
    DataConfig,
    ModelConfig,
    PhaseConfig,
    ScheduleConfig,
    SourceConfig,
    StudyConfig,
    TokenizerConfig,
    TrainingConfig,
)
from codepretrain.data.prepare import prepare
from codepretrain.data.prepared import PreparedData

_WORDS = ["the", "quick", "brown", "fox", "jumps", "over", "naïve", "—", "東京", "files", "read"]
_CODE = """import os

LIMITS = [{a}, {b}, {c}]
NAMES = ("x{a}", "y{b}")


def f{a}(x):
    y = x + {b}
    return sorted([{c}, {a}, {b}])


SIZE{a} = {b} * ({c} + 2)
TABLE = dict(a={a}, b=[{b}])
"""


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 prose documents in prose.jsonl and 60 code files in code/."""
    root = tmp_path_factory.mktemp("corpus")
    rng = random.Random(0)
    lines = [
        {"text": " ".join(rng.choices(_WORDS, k=rng.randint(20, 120))), "licence": "CC0-1.0"}
        for _ in range(120)
    ]
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    (root / "prose.jsonl").write_text(text, encoding="utf-8")
    (root / "code").mkdir()
    for number in range(60):
        a, b, c = rng.sample(range(1000), 3)
        code = "\n".join(_CODE.format(a=a, b=b, c=c) for _ in range(rng.randint(1, 4)))
        (root / "code" / f"m{number:02}.py").write_text(code)
    return root


@pytest.fixture
def make_study(corpus: Path) -> Callable[..., StudyConfig]:
    """A function that gives the study, with fields of its `data` and tokenizer changed."""

    def build(*, tokenizer: dict | None = None, **changes: object) -> StudyConfig:
        return study(corpus, tokenizer=tokenizer, **changes)

    return build


def study(corpus: Path, *, tokenizer: dict | None = None, **changes: object) -> StudyConfig:
    text = SourceConfig(
        reader="jsonl",
        kind="text",
        options={"path": str(corpus / "prose.jsonl"), "licence_field": "licence"},
    )
    code = SourceConfig(
        reader="folder",
        kind="code",
        options={"path": str(corpus / "code"), "pattern": "*.py", "language": "python"},
    )
    data = DataConfig(
        sources={"text": text, "code": code},
        max_seq_len=64,
        tokenizer=TokenizerConfig(**{"vocab_size": 400, **(tokenizer or {})}),
        validation_fraction=0.2,
        rows_per_shard=100,
    )
    constant = ScheduleConfig(shape="constant", peak_learning_rate=1e-3)
    return StudyConfig(
        name="tiny",
        model=ModelConfig(
            vocab_size=512,
            d_model=8,
            num_layers=1,
            num_heads=2,
            num_kv_heads=2,
            head_dim=4,
            d_ff=16,
        ),
        data=dataclasses.replace(data, **changes),
        training=TrainingConfig(batch_size=2),
        phases={
            "pretrain": PhaseConfig(
                tokens=1024, mixture={"text": 0.75, "code": 0.25}, schedule=constant
            ),
            "continued": PhaseConfig(tokens=1024, mixture={"text": 1.0}, schedule=constant),
        },
        variants={"only": "pretrain"},
    )


@pytest.fixture
def quiet() -> Console:
    return Console(file=io.StringIO(), width=120)


@dataclasses.dataclass(frozen=True)
class Prepared:
    config: StudyConfig
    data_dir: Path
    data: PreparedData
    printed: str


@pytest.fixture(scope="session")
def prepared(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """The study's data, prepared once. Not to be written to."""
    config, data_dir = study(corpus), tmp_path_factory.mktemp("prepared") / "data"
    console = Console(file=io.StringIO(), width=120)
    data = prepare(config, data_dir, num_workers=1, console=console)
    return Prepared(config, data_dir, data, console.file.getvalue())
