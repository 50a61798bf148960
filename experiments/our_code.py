"""What is our code worth? At which dose, and at what cost to everything else?

A checkpoint from the stable part of its training is annealed, the learning rate falling to 0 in a
line, several times: on its own mixture (`control`), with 5, 15 and 30% of your code in it (`own_5`
…), and with as much public code instead of yours (`public_30`). Judged by bits per byte on whole
repositories that are held out, and by those on general text and public code, which must not rise.

    trunk (yours, imported; or a small one of this study) ─┬─ control      × 3 orders of the data
                                                           ├─ own_5, own_15, own_30   likewise
                                                           └─ public_30               likewise

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
from dataclasses import dataclass
from pathlib import Path

from ml_collections import ConfigDict

from codepretrain.config.load import to_config_dict
from codepretrain.config.schema import (
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
from codepretrain.data.readers.git_size import num_bytes, repositories
from codepretrain.errors import UserError
from codepretrain.interop.settings import from_cohere
from experiments.study.our_code_contrasts import contrasts

BASE = {"text": 0.7, "public_code": 0.3}
MAX_EPOCHS = 4  # of your code, in the largest dose
BYTES_PER_TOKEN = 4  # more than most tokenizers have, so that an estimate is not too large
LEAST_STEPS = 20  # of an anneal: fewer are a jump, not a schedule
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


@dataclass(frozen=True, kw_only=True)
class Code:
    """The user's repositories: paths or globs, and the tokens of those that are trained on."""

    trained: tuple[str, ...]
    held_out: tuple[str, ...]
    languages: str
    num_tokens: int


def find_code(trained: str, held_out: str, languages: str, num_tokens: int) -> Code:
    """Returns the user's code, its size estimated from the repositories unless it is given.

    Raises:
      UserError: a path matches no repository, or there is no code in them.
    """
    paths = {"repositories": _listed(trained), "held_out": _listed(held_out)}
    found = {}
    for name, given in paths.items():
        path = f"config.arguments.{name}"
        if not given:
            raise UserError(f"{path}: expected paths of git repositories, separated by commas")
        try:
            found[name] = repositories(given)
        except UserError as error:
            raise UserError(f"{path}: {error}") from error
    ours = {place: found["repositories"][place] for place in _without(found)}
    for name, chosen in (("repositories", ours), ("held_out", found["held_out"])):
        sizes = {place: num_bytes(git, languages=languages) for place, git in chosen.items()}
        if empty := [place for place, size in sizes.items() if size is None]:
            raise UserError(f"config.arguments.{name}: {empty[0]} has no commits")
        total = sum(size or 0 for size in sizes.values())
        if not total:
            where = ", ".join(sizes) or "what is left without config.arguments.held_out"
            raise UserError(
                f"config.arguments.{name}: no file of config.arguments.languages={languages} in "
                f"{where}"
            )
        if name == "repositories" and not num_tokens:
            num_tokens = total // BYTES_PER_TOKEN
    return Code(
        trained=paths["repositories"],
        held_out=paths["held_out"],
        languages=languages,
        num_tokens=num_tokens,
    )


def anneal_tokens(code: Code, doses: tuple[float, ...], step_tokens: int, trunk: int) -> int:
    """Returns min(10% of the trunk, 4 × size / largest dose), in whole steps.

    Raises:
      UserError: that is too short.
    """
    by_code = int(MAX_EPOCHS * code.num_tokens / max(doses))
    tokens = min(by_code, trunk // 10) if trunk else by_code
    steps = tokens // step_tokens
    if steps < LEAST_STEPS:
        least = LEAST_STEPS * step_tokens
        enough = -(-least * max(doses) // MAX_EPOCHS)
        cause = (
            f"your code has about {code.num_tokens:,} tokens, read {MAX_EPOCHS} times at most: at "
            f"{max(doses):.0%} that is an anneal of {by_code:,}"
            if by_code <= (trunk // 10 or by_code)
            else f"10% of a trunk of {trunk:,} tokens are {trunk // 10:,}"
        )
        raise UserError(
            f"too short: {cause}, but one of {LEAST_STEPS} steps has {least:,}; give more "
            f"repositories ({enough:,.0f} tokens), lower config.arguments.doses, a longer trunk, "
            "or smaller batches (config.arguments.batch_size)"
        )
    return steps * step_tokens


def anneal(parent: Mapping[str, str], tokens: int, mixture: dict[str, float], rate: float | None):
    return PhaseConfig(
        **parent,
        tokens=tokens,
        mixture=mixture,
        schedule=ScheduleConfig(shape="linear", peak_learning_rate=rate, end_learning_rate=0.0),
    )


def mixed(dose: float, added: Mapping[str, float]) -> dict[str, float]:
    """Returns the base with a share of something else in its place."""
    mixture = {source: round((1 - dose) * share, 6) for source, share in BASE.items()}
    for source, share in added.items():
        mixture[source] = round(mixture.get(source, 0.0) + dose * share, 6)
    return mixture


def sources(code: Code, issues: str, excluded: str) -> dict[str, SourceConfig]:
    def of_git(paths: tuple[str, ...], split: str) -> SourceConfig:
        return SourceConfig(
            reader="git",
            kind="own_code",
            options={"path": paths, "languages": code.languages},
            num_tokens=code.num_tokens if split == "train" else None,
            max_epochs=float(MAX_EPOCHS),
            split=split,
        )

    public = {"excluded": excluded, "strips_docstrings": False, "max_bytes": 12_000_000}
    found = {
        "text": SourceConfig(
            reader="python_prose",
            kind="text",
            options={"excluded": excluded, "max_bytes": 8_000_000},
        ),
        "public_code": SourceConfig(reader="python_code", kind="code", options=public),
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
    worth: float = 0.01,
    cost: float = 0.01,
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
      excluded_packages: installed packages that are no base; your repositories' names are none.
      worth: smallest effect of interest on the held-out repositories, bits per byte.
      cost: largest tolerated rise of general loss, bits per byte.
    """
    code = find_code(repositories, held_out, languages, code_tokens)
    shares = _doses(doses)
    step_tokens = max_seq_len * batch_size
    trunk = trunk_tokens if checkpoint else trunk_tokens or LAPTOP_STEPS * step_tokens
    tokens = anneal_tokens(code, shares, step_tokens, trunk)
    own = {"own_code": 1 - issues_share, "own_issues": issues_share} if issues else {"own_code": 1}
    names = {dose: f"{100 * dose:g}".replace(".", "_") for dose in shares}
    mixtures = {
        "control": dict(BASE),
        **{f"own_{names[dose]}": mixed(dose, own) for dose in shares},
        f"public_{names[shares[-1]]}": mixed(shares[-1], {"public_code": 1}),
    }
    phases, parent, rate = {}, {"initial_checkpoint": "base"}, learning_rate
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
        parent, rate = {"parent": "trunk"}, None
    elif not learning_rate:
        raise UserError(
            "config.arguments.learning_rate is missing: expected the rate of the checkpoint's last "
            "steps, from which the anneals fall to 0"
        )
    phases |= {name: anneal(parent, tokens, weights, rate) for name, weights in mixtures.items()}
    excluded = excluded_packages or ",".join(
        Path(path.rstrip("/*")).name for path in (*code.trained, *code.held_out)
    )
    return to_config_dict(
        StudyConfig(
            name="our_code",
            model=LAPTOP
            if not checkpoint
            else ModelConfig(**from_cohere(checkpoint), compute_dtype="float32"),
            data=DataConfig(
                max_seq_len=max_seq_len,
                tokenizer=TokenizerConfig(
                    path=f"{checkpoint}/tokenizer.json" if checkpoint else None,
                    vocab_size=LAPTOP.vocab_size,
                    training_bytes_per_source=4_000_000,
                ),
                validation_fraction=0.05,
                sources=sources(code, issues, excluded),
            ),
            training=TrainingConfig(batch_size=batch_size),
            optimizer=OptimizerConfig(weight_decay=0.1),
            execution=ExecutionConfig(remat_policy="save_attention", loss_vocab_block=4096),
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
            variants={name: name for name in mixtures},
            baseline="control",
            replicates=tuple(
                ReplicateConfig(initialization_seed=0, data_order_seed=seed) for seed in range(3)
            ),
            contrasts=contrasts(
                dict(zip(list(mixtures)[1:-1], shares, strict=True)),
                public=list(mixtures)[-1],
                worth=worth,
                cost=cost,
            ),
        )
    )


def _listed(paths: str) -> tuple[str, ...]:
    return tuple(path.strip() for path in paths.split(",") if path.strip())


def _without(found: Mapping[str, Mapping[str, str]]) -> list[str]:
    return [place for place in found["repositories"] if place not in found["held_out"]]


def _doses(text: str) -> tuple[float, ...]:
    try:
        doses = tuple(sorted(float(dose) / 100 for dose in text.split(",")))
    except ValueError:
        doses = ()
    if len(set(doses)) < 2 or not 0 < doses[0] <= doses[-1] <= 0.9:
        raise UserError(
            "config.arguments.doses: expected two or more percentages up to 90, separated by "
            f"commas, found {text!r}"
        )
    return doses
