"""A study whose answer is known: code teaches to answer from bindings, scrambled code does not.

Documents of a small language (`codepretrain/data/controlled_language.py`): pages of facts, filler
and rare stories in which names get values; programs in which the same bindings happen in code; and
the same programs with random values printed, which have the words of code and nothing to learn.

    text                                          text alone
    code_trunk ──┬─ cooldown_with_code            25% code to the end: variant code
                 └─ cooldown_without_code         text alone at the end: variant code_then_text
    scrambled_code                                25% scrambled code to the end

All variants have equally many tokens and one schedule: warmup, stable, a linear decay to 0.

Run:      codepretrain run --config experiments/controlled.py     (make demo runs it as well)
Cost:     96 s on two cores (docs/controlled.md).
Expected: stories are answered with fewer bits after code than after text alone, also if the
          cooldown has no code; scrambled code is equivalent to text alone; code in the cooldown
          helps code and costs facts. docs/controlled.md says what was seen.
          All values are `# ours`.
"""

from ml_collections import ConfigDict

from codepretrain.config.load import to_config_dict
from codepretrain.config.schema import (
    CheckpointConfig,
    ContrastConfig,
    DataConfig,
    DeduplicationConfig,
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

MAX_SEQ_LEN = 64  # the longest page has 64 tokens
BATCH_SIZE = 8
STEP_TOKENS = MAX_SEQ_LEN * BATCH_SIZE
TRUNK_STEPS, COOLDOWN_STEPS, WARMUP_STEPS = 280, 200, 20
NUM_STEPS = TRUNK_STEPS + COOLDOWN_STEPS
PEAK_LEARNING_RATE = 5e-3
NUM_REPLICATES = 4
EQUIVALENT_BITS = 0.5  # a guess among the 12 values takes 3.58 bits

STABLE = ScheduleConfig(
    shape="constant", warmup_steps=WARMUP_STEPS, peak_learning_rate=PEAK_LEARNING_RATE
)
COOLDOWN = ScheduleConfig(shape="linear", end_learning_rate=0.0)
# The schedule of a trunk and its cooldown in one phase.
WHOLE = ScheduleConfig(
    shape="linear",
    warmup_steps=WARMUP_STEPS,
    peak_learning_rate=PEAK_LEARNING_RATE,
    end_learning_rate=0.0,
    decay_fraction=(COOLDOWN_STEPS - 1) / (NUM_STEPS - 1 - WARMUP_STEPS),
)
TEXT = {"text": 1.0}
WITH_CODE = {"text": 0.75, "code": 0.25}
WITH_SCRAMBLED_CODE = {"text": 0.75, "scrambled_code": 0.25}


def source(contents: str, num_documents: int) -> SourceConfig:
    return SourceConfig(
        reader="controlled",
        kind=f"controlled_{contents}",
        options={"contents": contents, "num_documents": num_documents},
    )


def whole(mixture: dict[str, float]) -> PhaseConfig:
    return PhaseConfig(tokens=NUM_STEPS * STEP_TOKENS, mixture=mixture, schedule=WHOLE)


def cooldown(mixture: dict[str, float]) -> PhaseConfig:
    """Anneals from the trunk's last rate. Both cooldowns share the trunk of their replicate."""
    return PhaseConfig(
        parent="code_trunk", tokens=COOLDOWN_STEPS * STEP_TOKENS, mixture=mixture, schedule=COOLDOWN
    )


def answers(task: str) -> EvaluatorConfig:
    return EvaluatorConfig(kind="multiple_choice", num_examples=320, options={"task": task})


def contrasts() -> dict[str, ContrastConfig]:
    """The planted truths, registered before anything is trained."""
    bits = "story/bits_per_answer"
    return {
        "code_helps": ContrastConfig(variants=("code", "text"), metric=bits, direction="lower"),
        "scrambled_code_does_not": ContrastConfig(
            variants=("scrambled_code", "text"),
            metric=bits,
            direction="equivalent",
            margin=EQUIVALENT_BITS,
            is_control=True,
        ),
        "early_code_helps": ContrastConfig(
            variants=("code_then_text", "text"), metric=bits, direction="lower"
        ),
        # Both cooldowns of a replicate have one trunk: the differences per trunk are independent.
        "code_in_the_cooldown_helps_code": ContrastConfig(
            variants=("code", "code_then_text"),
            metric="code/bits_per_answer",
            direction="lower",
            is_paired=True,
        ),
        # It replaces a quarter of the text, so facts are stated less often.
        "code_in_the_cooldown_costs_facts": ContrastConfig(
            variants=("code", "code_then_text"),
            metric="fact/bits_per_answer",
            direction="higher",
            is_paired=True,
        ),
    }


def get_config() -> ConfigDict:
    return to_config_dict(
        StudyConfig(
            name="controlled",
            model=ModelConfig(
                vocab_size=384,  # a token for every word of the language, and the bytes
                d_model=64,
                num_layers=2,
                num_heads=4,
                num_kv_heads=4,
                head_dim=16,
                d_ff=128,
                compute_dtype="float32",  # CPUs have no bfloat16 units
            ),
            data=DataConfig(
                max_seq_len=MAX_SEQ_LEN,
                tokenizer=TokenizerConfig(vocab_size=384, training_bytes_per_source=500_000),
                validation_fraction=0.3,
                # Any two programs are similar: similar texts are what the language consists of.
                deduplication=DeduplicationConfig(near="ignore"),
                sources={
                    "text": source("text", 16_000),
                    "code": source("code", 6_000),
                    "scrambled_code": source("scrambled_code", 6_000),
                },
            ),
            training=TrainingConfig(batch_size=BATCH_SIZE),
            optimizer=OptimizerConfig(weight_decay=0.1),
            execution=ExecutionConfig(
                remat_policy="none", unroll_layers=True, loss_vocab_block=384
            ),
            checkpoint=CheckpointConfig(temporary_interval_s=60.0),
            logging=LoggingConfig(interval_steps=20, write_tensorboard=False),
            evals={
                "validation": EvaluatorConfig(kind="validation_loss", num_examples=256),
                "story": answers("controlled_story"),
                "fact": answers("controlled_fact"),
                "code": answers("controlled_code"),
            },
            phases={
                "text": whole(TEXT),
                "code_trunk": PhaseConfig(
                    tokens=TRUNK_STEPS * STEP_TOKENS, mixture=WITH_CODE, schedule=STABLE
                ),
                "cooldown_with_code": cooldown(WITH_CODE),
                "cooldown_without_code": cooldown(TEXT),
                "scrambled_code": whole(WITH_SCRAMBLED_CODE),
            },
            variants={
                "text": "text",
                "code": "cooldown_with_code",
                "code_then_text": "cooldown_without_code",
                "scrambled_code": "scrambled_code",
            },
            baseline="text",
            replicates=tuple(
                ReplicateConfig(initialization_seed=seed, data_order_seed=seed)
                for seed in range(NUM_REPLICATES)
            ),
            contrasts=contrasts(),
            # Code teaches to answer stories, and costs facts.
            pareto=("fact/bits_per_answer", "story/bits_per_answer"),
        )
    )
