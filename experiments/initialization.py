"""Which model should pre-training start from? (§3.1, Table 2 of the paper, 470M parameters.)

"To Code, or Not To Code? Exploring Impact of Code in Pre-training", Aryabumi et al., 2024
(arXiv 2408.10914). Four variants, each with a cooldown:

    variant         pre-training                    continued            cooldown
    text_only       400B text                       -                    32B text + 8B code
    balanced_only   200B text + 200B code           -                    32B text + 8B code
    balanced_text   100B text + 100B code           180B text + 20B code 32B text + 8B code
    code_text       200B code (80% web, 20% markup) 180B text + 20B code 32B text + 8B code

Run:      codepretrain plan --config experiments/initialization.py
Cost:     the paper reports 4,736 chip-hours (TPU v5e) per 200B tokens at 470M and 1,024 per 40B
          cooldown: about 42,000 in total (our sum, not the paper's).
Expected: the paper's Table 2. Natural-language reasoning before cooldown 49.0 (text_only), 51.8
          (balanced_only), 53.0 (balanced_text), 53.3 (code_text).

Each value is marked: `# paper` is stated there, `# inferred` follows from what is stated there,
`# ours` is our choice where the paper does not say.
"""

from ml_collections import ConfigDict

from codepretrain.config.load import to_config_dict
from codepretrain.config.schema import (
    AveragesConfig,
    CheckpointConfig,
    DataConfig,
    DecontaminationConfig,
    EvaluatorConfig,
    ExecutionConfig,
    ModelConfig,
    OptimizerConfig,
    PhaseConfig,
    ScheduleConfig,
    SourceConfig,
    StudyConfig,
    TokenizerConfig,
    TrainingConfig,
)
from codepretrain.evals.harness.suite import CATEGORIES
from codepretrain.model.presets import preset
from experiments.filters import MARKUP as MARKUP_FILTERS
from experiments.filters import TEXT as TEXT_FILTERS
from experiments.filters import WEB_CODE as WEB_CODE_FILTERS

MODEL_470M = preset("470m")  # inferred: see model/presets.py

TEXT = {"text": 1.0}
CODE = {"web_code": 0.8, "markup": 0.2}  # paper, of the code initializer


def mixture(text: float, code: float) -> dict[str, float]:
    """Returns weights of text and code.

    Code is divided as in the code initializer (ours: not said of the other phases).
    """
    shares = {"text": text, **{source: code * share for source, share in CODE.items()}}
    return {source: round(share, 6) for source, share in shares.items() if share}


# paper: 20% code, and the kinds; ours: the weights of the others, and that the code is web code
COOLDOWN = {
    "text_quality": 0.50,
    "text_math": 0.15,
    "text_instruct": 0.15,
    "web_code": 0.20,
}

PRETRAIN_SCHEDULE = ScheduleConfig(
    shape="cosine",  # paper
    warmup_steps=1325,  # paper
    peak_learning_rate=1e-3,  # ours: a sister paper of the same group
    end_learning_rate=3e-4,  # ours: likewise
)


def pretrain(tokens: float, weights: dict[str, float]) -> PhaseConfig:
    return PhaseConfig(tokens=int(tokens), mixture=weights, schedule=PRETRAIN_SCHEDULE)


def continued(parent: str) -> PhaseConfig:
    """Continued pre-training: 180B text + 20B code, with a fresh schedule and optimizer."""
    return PhaseConfig(
        parent=parent,
        tokens=int(200e9),  # paper
        mixture=mixture(text=0.9, code=0.1),  # paper: 10% code is kept
        schedule=PRETRAIN_SCHEDULE,  # ours: the paper does not say whether the rate restarts
        carry_optimizer=False,  # ours: not said
        data_order="continue",  # ours: not said
    )


def cooldown(parent: str) -> PhaseConfig:
    return PhaseConfig(
        parent=parent,
        tokens=int(40e9),  # paper
        mixture=COOLDOWN,
        schedule=ScheduleConfig(
            shape="linear",  # paper
            peak_learning_rate=None,  # ours: anneals from the parent's rate
            end_learning_rate=1e-6,  # paper
        ),
        carry_optimizer=True,  # ours: not said
    )


# The evaluations that the training data must not contain: JSON lines with a field "text" for the
# question, the answer and the tests of each item. The last is of the win rates.
BENCHMARKS = (
    *("triviaqa", "nq_open"),
    *("boolq", "piqa", "sciq", "social_iqa", "quac", "cb", "copa", "storycloze"),
    *("hellaswag", "winogrande", "arc_easy"),
    *("humaneval", "mbpp"),
    "dolly_200",
)

# `codepretrain evaluate --download` fills this folder; StoryCloze is placed there by hand.
TASK_DATA = "corpora/tasks"


def suite() -> dict[str, EvaluatorConfig]:
    """Returns the paper's evaluations: 0-shot, greedy, at the end of each phase (ours: when)."""
    tasks = [*CATEGORIES["world_knowledge"], *CATEGORIES["reasoning"]]
    return {
        "suite": EvaluatorConfig(
            kind="harness",
            num_examples=100_000,  # all items
            options={"tasks": ",".join(CATEGORIES), "data": TASK_DATA},
            benchmarks=tuple("storycloze" if t == "storycloze_2016" else t for t in tasks),
        ),
        "human_eval": EvaluatorConfig(
            kind="code_generation",
            num_examples=164,
            options={"task": "human_eval", "data": TASK_DATA},
            benchmarks=("humaneval",),
        ),
        "mbpp": EvaluatorConfig(
            kind="code_generation",
            num_examples=500,
            options={"task": "mbpp", "num_fewshot": 0, "data": TASK_DATA},
            benchmarks=("mbpp",),
        ),
    }


# paper: categories are means of tasks, and totals of categories. Its Table 2 has them.
AVERAGES = AveragesConfig(
    categories={
        "world_knowledge": tuple(
            f"suite/{task}/score/exact_match" for task in CATEGORIES["world_knowledge"]
        ),
        "reasoning": tuple(f"suite/{task}/accuracy" for task in CATEGORIES["reasoning"]),
        "code": ("human_eval/pass_at_1", "mbpp/pass_at_1"),
    },
    totals={
        "natural_language": ("reasoning", "world_knowledge"),
        "total": ("reasoning", "world_knowledge", "code"),
    },
    # ours: none. The paper leaves out tasks on which not all models beat chance, unnamed.
    excluded=(),
)

SOURCES = {
    "text": SourceConfig(
        reader="slimpajama",
        kind="text",
        options={
            "path": "corpora/slimpajama/train/*/*.jsonl.zst",
            "drop_sets": "RedPajamaGithub, RedPajamaStackExchange",  # paper
        },
        filters=TEXT_FILTERS,
        num_tokens=int(503e9),  # paper: SlimPajama without GitHub and StackExchange
        max_epochs=2.0,  # ours
    ),
    "web_code": SourceConfig(
        reader="the_stack",
        kind="code",
        options={
            # inferred: The Stack after "StarCoder's deduplication" is Stack-dedup.
            "path": "corpora/the_stack_dedup/data/*/*.parquet",
            "languages": "web_code",  # paper: 25 languages
        },
        filters=WEB_CODE_FILTERS,
        num_tokens=int(139e9),  # paper: The Stack, 25 languages, filtered
        max_epochs=2.0,  # ours: 160B of the code initializer's 200B are web code, 1.15 epochs
    ),
    "markup": SourceConfig(
        reader="the_stack",
        kind="code",
        options={
            "path": "corpora/the_stack_dedup/data/*/*.parquet",
            "languages": "markup",  # paper: 10 languages
        },
        filters=MARKUP_FILTERS,
        num_tokens=int(180e9),  # paper
        max_epochs=2.0,  # ours
    ),
    # The sizes of the cooldown's sources are not published; they are counted when prepared.
    # Which texts and which mathematics is ours: the paper names the kinds only.
    "text_quality": SourceConfig(
        reader="slimpajama",
        kind="text",
        options={
            "path": "corpora/slimpajama/train/*/*.jsonl.zst",
            "keep_sets": "RedPajamaWikipedia, RedPajamaBook, RedPajamaArXiv",  # also in `text`
        },
    ),
    "text_math": SourceConfig(
        reader="records",
        kind="text",
        options={"path": "corpora/open_web_math/data/*.parquet", "page_field": "url"},
    ),
    "text_instruct": SourceConfig(
        reader="instruct",
        kind="text",
        options={
            "path": "corpora/dolly/databricks-dolly-15k.jsonl",
            # ours: the cooldown must not contain the prompts of the win rates (paper: Dolly-200).
            "excluded_prompts": "corpora/dolly/evaluation_prompts.jsonl",
            "license": "CC-BY-SA-3.0",
        },
    ),
}


def study(name: str, model: ModelConfig) -> StudyConfig:
    """Returns Table 2's phases for a model of any size (`experiments/scale.py` reuses it)."""
    return StudyConfig(
        name=name,
        model=model,
        data=DataConfig(
            max_seq_len=8192,  # paper
            tokenizer=TokenizerConfig(vocab_size=256_000),  # paper
            packing="concatenate",  # ours: not said
            # ours: `deduplication` and `validation_fraction` keep their defaults.
            decontamination=DecontaminationConfig(  # ours: not said
                benchmarks={name: f"corpora/benchmarks/{name}.jsonl" for name in BENCHMARKS}
            ),
            sources=SOURCES,
        ),
        training=TrainingConfig(batch_size=512),  # paper
        optimizer=OptimizerConfig(  # paper: AdamW; its values are ours
            beta1=0.9, beta2=0.95, weight_decay=0.1, max_gradient_norm=1.0
        ),
        execution=ExecutionConfig(loss_vocab_block=8192),
        checkpoint=CheckpointConfig(permanent_interval_steps=5000),
        evals={
            "validation": EvaluatorConfig(
                kind="validation_loss", interval_steps=5000, num_examples=2048
            ),
            **suite(),
            "dolly_200": EvaluatorConfig(  # for `codepretrain judge`: docs/win_rates.md
                kind="completions",
                num_examples=200,  # paper
                options={
                    "prompts": "corpora/dolly/evaluation_prompts.jsonl",
                    "max_new_tokens": 512,  # ours: neither the length nor the sampling is said
                },
                benchmarks=("dolly_200",),
            ),
        },
        averages=AVERAGES,
        phases={
            "text_pretrain": pretrain(400e9, TEXT),  # paper
            "text_cooldown": cooldown("text_pretrain"),
            "balanced_pretrain": pretrain(400e9, mixture(text=0.5, code=0.5)),  # paper
            "balanced_cooldown": cooldown("balanced_pretrain"),
            "balanced_init": pretrain(200e9, mixture(text=0.5, code=0.5)),  # paper
            "balanced_text_continued": continued("balanced_init"),
            "balanced_text_cooldown": cooldown("balanced_text_continued"),
            "code_init": pretrain(200e9, CODE),  # paper
            "code_text_continued": continued("code_init"),
            "code_text_cooldown": cooldown("code_text_continued"),
        },
        variants={
            "text_only": "text_cooldown",
            "balanced_only": "balanced_cooldown",
            "balanced_text": "balanced_text_cooldown",
            "code_text": "code_text_cooldown",
        },
        baseline="text_only",
    )


def get_config() -> ConfigDict:
    return to_config_dict(study("initialization", MODEL_470M))
