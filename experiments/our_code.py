"""What is our code worth? At which dose, and at what cost to everything else?

A checkpoint from the stable part of its training is annealed, the learning rate falling to 0 in a
line, several times: on its own mixture (`control`), with 5, 15 and 30% of your code in it (`own_05`
…), and with as much public code instead of yours (`public_30`). `own_soup` is the mean of the
models of all doses. They are judged by bits per byte on whole repositories that are held out, and
by those on general text and public code, which must not rise.

    trunk (yours, imported; or a small one of this study) ─┬─ control      × 3 orders of the data
                                                           ├─ own_05, own_15, own_30  likewise
                                                           └─ public_30               likewise
    own_soup: the mean of own_05, own_15 and own_30

Run:      codepretrain run --config experiments/our_code.py \\
              --config.arguments.repositories=~/src/one,~/src/two \\
              --config.arguments.held_out=~/src/three
          docs/our_code.md walks through it, with a checkpoint of your own too.
Cost:     docs/our_code.md. Each anneal has min(10% of the trunk, 4 × size / largest dose) tokens.
Expected: code like that of the held-out repositories lowers their bits per byte, and more so with
          the dose. If public code does as much, it is code that helps, not yours.

Not from the paper: all values are `# ours`.
"""

from collections.abc import Mapping

from ml_collections import ConfigDict

from codepretrain.config.load import to_config_dict
from codepretrain.config.schema import (
    AverageConfig,
    CheckpointConfig,
    DataConfig,
    EvaluatorConfig,
    ExecutionConfig,
    LoggingConfig,
    ModelConfig,
    OptimizerConfig,
    PhaseConfig,
    ReplicateConfig,
    ScheduleConfig,
    SourceConfig,
    StudyConfig,
    TokenizerConfig,
    TrainingConfig,
)
from codepretrain.errors import UserError
from experiments.study.our_code_checkpoint import checkpoint_settings
from experiments.study.our_code_contrasts import SOUP, contrasts
from experiments.study.our_code_repositories import Code, absolute, find_code
from experiments.study.our_code_size import (
    MAX_EPOCHS,
    anneal_tokens,
    check_numbers,
    own_shares,
    parse_doses,
)

BASE = {"text": 0.7, "public_code": 0.3}
LAPTOP_STEPS = 480  # of the trunk
LAPTOP_RATE = 5e-3
LAPTOP = ModelConfig(
    vocab_size=4096,
    d_model=128,
    num_layers=3,
    num_heads=4,
    num_kv_heads=4,
    head_dim=32,
    d_ff=352,
    compute_dtype="float32",  # CPUs have no bfloat16 units
)
LAPTOP_TOKENIZER = TokenizerConfig(
    vocab_size=LAPTOP.vocab_size, training_bytes_per_source=4_000_000
)


def anneal(tokens: int, mixture: dict[str, float], learning_rate: float | None) -> PhaseConfig:
    """Returns an anneal of the imported checkpoint from a rate, or of the trunk from its own."""
    is_imported = learning_rate is not None
    return PhaseConfig(
        parent=None if is_imported else "trunk",
        initial_checkpoint="base" if is_imported else None,
        tokens=tokens,
        mixture=mixture,
        schedule=ScheduleConfig(
            shape="linear", peak_learning_rate=learning_rate, end_learning_rate=0.0
        ),
    )


def mixed(dose: float, added: Mapping[str, float]) -> dict[str, float]:
    """Returns the base with a share of something else in its place."""
    mixture = {source: round((1 - dose) * share, 6) for source, share in BASE.items()}
    for source, share in added.items():
        mixture[source] = round(mixture.get(source, 0.0) + dose * share, 6)
    return mixture


def sources(code: Code, issues: str) -> dict[str, SourceConfig]:
    excluded = ",".join(code.packages)

    def of_git(paths: tuple[str, ...], split: str) -> SourceConfig:
        return SourceConfig(
            reader="git",
            kind="own_code",
            options={"path": paths, "languages": code.languages},
            num_tokens=code.num_tokens if split == "train" else None,
            max_epochs=float(MAX_EPOCHS),
            split=split,
        )

    found = {
        "text": SourceConfig(
            reader="python_prose",
            kind="text",
            options={"excluded": excluded, "max_bytes": 8_000_000},
        ),
        "public_code": SourceConfig(
            reader="python_code",
            kind="code",
            # With docstrings, as your code has them.
            options={"excluded": excluded, "strips_docstrings": False, "max_bytes": 12_000_000},
        ),
        "own_code": of_git(code.trained, "train"),
        "own_held_out": of_git(code.held_out, "held_out"),
    }
    if issues:
        found["own_issues"] = SourceConfig(
            reader="issues", kind="issues", options={"path": issues}, split="train"
        )
    return found


def get_config(
    repositories: str,
    held_out: str,
    languages: str = "web_code",
    issues: str = "",
    issues_share: float = 0.2,
    doses: str = "5,15,30",
    checkpoint: str = "",
    learning_rate: float = 0.0,
    trunk_tokens: int = 0,
    max_seq_len: int = 256,
    batch_size: int = 8,
    code_tokens: int = 0,
    excluded_packages: str = "",
    worth: float = 0.02,
    cost: float = 0.02,
) -> ConfigDict:
    """Returns the study.

    Args:
      repositories: paths or globs of the git repositories to train on, separated by commas.
      held_out: those to be judged by, likewise; they are trained on in no phase.
      languages: "web_code", "markup", or names separated by commas.
      issues: an export of their issues (reader `issues`), which has `issues_share` of each dose.
      doses: percent of your code.
      checkpoint: folder of a `transformers` Cohere model to anneal, imported as "base"; with its
        `learning_rate` where it stopped and, if known, its `trunk_tokens`. Without it, the study
        trains a small trunk.
      code_tokens: of your code; without it, a quarter of its bytes.
      excluded_packages: installed packages that are no part of the base, beside those that are in
        your repositories or have their names.
      worth: smallest effect of interest on the held-out repositories, bits per byte.
      cost: largest tolerated rise of general loss, bits per byte.
    """
    checkpoint = absolute(checkpoint)
    shares = parse_doses(doses)
    own = own_shares(issues, issues_share)
    check_numbers(
        positive={
            "max_seq_len": max_seq_len,
            "batch_size": batch_size,
            "worth": worth,
            "cost": cost,
        },
        from_zero={
            "learning_rate": learning_rate,
            "trunk_tokens": trunk_tokens,
            "code_tokens": code_tokens,
        },
    )
    code = find_code(
        repositories,
        held_out,
        languages=languages,
        num_tokens=code_tokens,
        packages=excluded_packages,
    )
    step_tokens = max_seq_len * batch_size
    trunk = trunk_tokens if checkpoint else trunk_tokens or LAPTOP_STEPS * step_tokens
    tokens = anneal_tokens(code, shares, step_tokens, trunk)
    names = {dose: f"{100 * dose:04.1f}".removesuffix(".0").replace(".", "_") for dose in shares}
    mixtures = {
        "control": dict(BASE),
        **{f"own_{names[dose]}": mixed(dose, own) for dose in shares},
        f"public_{names[shares[-1]]}": mixed(shares[-1], {"public_code": 1}),
    }
    phases = {}
    if not checkpoint:
        phases["trunk"] = PhaseConfig(
            tokens=trunk,
            mixture=dict(BASE),
            schedule=ScheduleConfig(
                shape="constant",
                warmup_steps=20,
                peak_learning_rate=learning_rate or LAPTOP_RATE,
            ),
            is_replicated=False,  # the question is about this checkpoint
        )
    elif not learning_rate:
        raise UserError(
            "config.arguments.learning_rate is missing: expected the rate of the checkpoint's last "
            "steps, from which the anneals fall to 0"
        )
    rate = learning_rate if checkpoint else None
    phases |= {name: anneal(tokens, weights, rate) for name, weights in mixtures.items()}
    own_doses = dict(zip(list(mixtures)[1:-1], shares, strict=True))
    variants = {name: name for name in mixtures}
    if len(own_doses) > 1:
        soup = AverageConfig(members=tuple(own_doses))
        phases[SOUP] = PhaseConfig(kind="average", average=soup)
        variants[SOUP] = SOUP
    model, tokenizer = LAPTOP, LAPTOP_TOKENIZER
    if checkpoint:
        model, tokenizer = checkpoint_settings(checkpoint)
    return to_config_dict(
        StudyConfig(
            name="our_code",
            model=model,
            data=DataConfig(
                max_seq_len=max_seq_len,
                tokenizer=tokenizer,
                validation_fraction=0.05,
                sources=sources(code, absolute(issues)),
            ),
            training=TrainingConfig(batch_size=batch_size),
            optimizer=OptimizerConfig(weight_decay=0.1),
            execution=ExecutionConfig(remat_policy="save_attention"),
            checkpoint=CheckpointConfig(temporary_interval_s=30.0),
            logging=LoggingConfig(interval_steps=10),
            evals={
                "validation": EvaluatorConfig(
                    kind="validation_loss",
                    num_examples=100,
                    options={
                        "sources": "text, public_code, own_held_out",
                        "max_tokens_per_document": 2 * max_seq_len,
                    },
                )
            },
            phases=phases,
            variants=variants,
            baseline="control",
            replicates=tuple(
                ReplicateConfig(initialization_seed=0, data_order_seed=seed) for seed in range(3)
            ),
            contrasts=contrasts(
                own_doses,
                public=list(mixtures)[-1],
                worth=worth,
                cost=cost,
                num_held_out=code.num_held_out,
            ),
        )
    )
