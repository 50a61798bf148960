"""A whole study on a laptop: how does code in the mixture affect prose, and prose affect code?

The initialization experiment of "To Code, or Not To Code?" (arXiv 2408.10914, §3.1 and §3.5) in
miniature, on corpora that every machine with Python has: the source of installed packages as code;
docstrings, the language reference and package descriptions as prose; problems with solutions that
are verified in the sandbox; the notebooks of installed packages, where there are any; and, in a
clone with its history, the commits of this repository.

    text_pretrain ────────────────────────────────────────────┬─ cooldown_without_code
    balanced_init ──── balanced_text_continued                ├─ cooldown_with_code
    code_init ──────── code_text_continued                    └─ cooldown_with_kinds_of_code

Run:      make demo        (or: codepretrain run --config experiments/demo.py)
Cost:     see the README's table of measured times.
Expected: with a larger share of code, the loss on code falls and the loss on prose rises. A model
          that starts from code and continues with 10% code keeps most of its code ability. A model
          this small says nothing about a large one: every value here is `# ours`.
"""

import shutil
import sysconfig
from pathlib import Path

from ml_collections import ConfigDict

from codepretrain.config.load import to_config_dict
from codepretrain.config.schema import (
    CheckpointConfig,
    DataConfig,
    DeduplicationConfig,
    EvaluatorConfig,
    ExecutionConfig,
    LoggingConfig,
    ModelConfig,
    OptimizerConfig,
    PhaseConfig,
    ScheduleConfig,
    SourceConfig,
    StudyConfig,
    TokenizerConfig,
    TrainingConfig,
)
from codepretrain.data.readers.git_objects import git_output

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGES = sysconfig.get_path("purelib")

MAX_SEQ_LEN = 256
BATCH_SIZE = 8
STEP_TOKENS = MAX_SEQ_LEN * BATCH_SIZE

PEAK = ScheduleConfig(
    shape="cosine", warmup_steps=20, peak_learning_rate=5e-3, end_learning_rate=1e-3
)
TEXT = {"text": 1.0}
CODE = {"code": 1.0}
BALANCED = {"text": 0.5, "code": 0.5}
CONTINUED = {"text": 0.9, "code": 0.1}


def has_history() -> bool:
    """Returns whether this is a clone with its history: neither a copy nor a shallow clone."""
    if shutil.which("git") is None or not (REPOSITORY / ".git").exists():
        return False
    count = git_output(str(REPOSITORY / ".git"), ["rev-list", "--count", "HEAD"])
    return int(count or 0) >= 100


def has_notebooks() -> bool:
    """Returns whether an installed package has notebooks; the reader leaves out hidden ones."""
    found = (path.relative_to(PACKAGES) for path in Path(PACKAGES).rglob("*.ipynb"))
    return any(not any(part.startswith(".") for part in path.parts) for path in found)


ADJACENT = ({"commits": 0.05} if has_history() else {}) | (
    {"notebooks": 0.02} if has_notebooks() else {}
)
KINDS_OF_CODE = {
    "text": 0.8,
    "code": round(0.1 - sum(ADJACENT.values()), 2),
    "synthetic_code": 0.1,
    **ADJACENT,
}


def pretrain(steps: int, mixture: dict[str, float]) -> PhaseConfig:
    return PhaseConfig(tokens=steps * STEP_TOKENS, mixture=mixture, schedule=PEAK)


def continued(parent: str, steps: int) -> PhaseConfig:
    return PhaseConfig(
        parent=parent,
        tokens=steps * STEP_TOKENS,
        mixture=CONTINUED,
        schedule=PEAK,
        carry_optimizer=False,
    )


def cooldown(mixture: dict[str, float]) -> PhaseConfig:
    """Anneals from the trunk's last rate. The cooldowns share the trunk, which is trained once."""
    return PhaseConfig(
        parent="text_pretrain",
        tokens=50 * STEP_TOKENS,
        mixture=mixture,
        schedule=ScheduleConfig(shape="linear", end_learning_rate=1e-6),
    )


def sources() -> dict[str, SourceConfig]:
    found = {
        "text": SourceConfig(reader="python_prose", kind="text", options={"max_bytes": 8_000_000}),
        "code": SourceConfig(reader="python_code", kind="code", options={"max_bytes": 12_000_000}),
        "synthetic_code": SourceConfig(
            reader="synthetic_code", kind="synthetic_code", options={"num_problems": 300}
        ),
    }
    if "commits" in ADJACENT:
        found["commits"] = SourceConfig(
            reader="git",
            kind="commits",
            options={
                "path": str(REPOSITORY),
                "contents": "commits",
                "max_files_per_commit": 20,
                "max_bytes": 4_000_000,
            },
        )
    if "notebooks" in ADJACENT:
        found["notebooks"] = SourceConfig(
            reader="notebooks",
            kind="notebooks",
            options={"path": f"{PACKAGES}/**/*.ipynb", "max_bytes": 4_000_000},
            max_epochs=100.0,  # there may be a single small one
        )
    return found


def get_config() -> ConfigDict:
    return to_config_dict(
        StudyConfig(
            name="demo",
            model=ModelConfig(
                vocab_size=4096,
                d_model=128,
                num_layers=3,
                num_heads=4,
                num_kv_heads=4,
                head_dim=32,
                d_ff=352,
                compute_dtype="float32",  # CPUs have no bfloat16 units
            ),
            data=DataConfig(
                max_seq_len=MAX_SEQ_LEN,
                tokenizer=TokenizerConfig(vocab_size=4096, training_bytes_per_source=4_000_000),
                packing="best_fit",
                validation_fraction=0.05,
                sources=sources(),
                deduplication=DeduplicationConfig(
                    keep_near=("commits",) if "commits" in ADJACENT else ()
                ),
            ),
            training=TrainingConfig(batch_size=BATCH_SIZE),
            optimizer=OptimizerConfig(weight_decay=0.1),
            execution=ExecutionConfig(remat_policy="save_attention", loss_vocab_block=4096),
            checkpoint=CheckpointConfig(temporary_interval_s=30.0),
            logging=LoggingConfig(interval_steps=10),
            evals={
                "validation": EvaluatorConfig(
                    kind="validation_loss",
                    interval_steps=60,
                    num_examples=64,
                    # The commits are of one repository and the notebooks few: none are held out.
                    options={
                        "sources": "text, code, synthetic_code",
                        "max_tokens_per_document": MAX_SEQ_LEN,
                    },
                ),
                "prose_continuation": EvaluatorConfig(
                    kind="multiple_choice", options={"task": "prose_continuation"}
                ),
                "code_continuation": EvaluatorConfig(
                    kind="multiple_choice", options={"task": "code_continuation"}
                ),
                "python_expression": EvaluatorConfig(
                    kind="python_expression", options={"task": "python_expression"}
                ),
                "pairs": EvaluatorConfig(
                    kind="harness",
                    options={
                        "tasks": "agreement,python_syntax",
                        "include_path": str(Path(__file__).with_name("tasks")),
                    },
                ),
            },
            phases={
                "text_pretrain": pretrain(240, TEXT),
                "cooldown_without_code": cooldown(TEXT),
                "cooldown_with_code": cooldown({"text": 0.8, "code": 0.2}),
                "cooldown_with_kinds_of_code": cooldown(KINDS_OF_CODE),
                "balanced_init": pretrain(120, BALANCED),
                "balanced_text_continued": continued("balanced_init", 120),
                "code_init": pretrain(120, CODE),
                "code_text_continued": continued("code_init", 120),
            },
            variants={
                "text_only": "text_pretrain",
                "text_cooldown": "cooldown_without_code",
                "text_cooldown_with_code": "cooldown_with_code",
                "text_cooldown_with_kinds": "cooldown_with_kinds_of_code",
                "balanced_text": "balanced_text_continued",
                "code_text": "code_text_continued",
            },
            baseline="text_only",
        )
    )
