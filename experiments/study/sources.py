"""The study's sources and what is made of them. No study of its own.

All experiments have all sources, those of the others included: which documents are held out, and
the tokenizer, depend on all sources. So the rows are the same, and phases with equal fingerprints
are trained once across experiments. Without the corpora of some experiments, take out their
sources; then the tokenizer and the phases are other ones.

    the study's      text, web_code, markup, issues, stackexchange, notebooks, synthetic_code
    of cooldowns     text_quality, text_math, text_instruct
    of controls      scrambled_web_code, scrambled_markup, web_python, web_code_sample

Values are marked: `# paper` is stated in arXiv 2408.10914, `# inferred` follows from what is stated
there, `# ours` is our choice where the paper does not say.
"""

from typing import Any

from codepretrain.config.schema import (
    DataConfig,
    DecontaminationConfig,
    SourceConfig,
    TokenizerConfig,
)
from experiments import filters
from experiments.study.evaluations import BENCHMARKS

SLIMPAJAMA = "corpora/slimpajama/train/*/*.jsonl.zst"
# inferred: The Stack after "StarCoder's deduplication" is Stack-dedup.
STACK = "corpora/the_stack_dedup/data/*/*.parquet"


def the_stack(languages: str, **fields: Any) -> SourceConfig:
    """Returns a source of languages of The Stack: "web_code", "markup" or a single one.

    Args:
      fields: of `SourceConfig`.
    """
    options = {"path": STACK, "languages": languages}
    return SourceConfig(reader="the_stack", options=options, **fields)


TEXT = {
    "text": SourceConfig(
        reader="slimpajama",
        kind="text",
        options={"path": SLIMPAJAMA, "drop_sets": "RedPajamaGithub, RedPajamaStackExchange"},
        filters=filters.TEXT,
        num_tokens=int(503e9),  # paper: SlimPajama without GitHub and StackExchange
        max_epochs=2.0,  # ours
    ),
}

CODE = {
    "web_code": the_stack(
        "web_code",  # paper: 25 languages
        kind="code",
        filters=filters.WEB_CODE,
        num_tokens=int(139e9),  # paper
        max_epochs=2.0,  # ours: 200B of web code alone are 1.44 epochs
    ),
    "markup": the_stack(
        "markup",  # paper: 10 languages
        kind="code",
        filters=filters.MARKUP,
        num_tokens=int(180e9),  # paper
        max_epochs=2.0,  # ours
    ),
    "synthetic_code": SourceConfig(
        # The paper's is proprietary. `codepretrain ask-teacher` writes candidate solutions, of
        # which the reader keeps those that pass their tests.
        reader="synthetic_code",
        kind="synthetic_code",
        options={"candidates": "corpora/synthetic_code/*.jsonl"},
        num_tokens=int(3.2e9),  # paper
        max_epochs=6.3,  # inferred: 10% of 200B are 6.25 epochs
    ),
}

# paper: 21.4B tokens together, commits included, which no mixture of the paper has. How many of
# them are of which kind is not said, so `plan` counts their epochs only once they are prepared.
ADJACENT = {
    "issues": SourceConfig(
        reader="issues",
        kind="issues",
        options={"path": "corpora/the_stack_issues/data/*.parquet"},
    ),
    "stackexchange": SourceConfig(
        reader="slimpajama",
        kind="stackexchange",
        options={"path": SLIMPAJAMA, "keep_sets": "RedPajamaStackExchange"},  # paper
    ),
    "notebooks": SourceConfig(
        reader="notebooks",
        kind="notebooks",
        options={"path": "corpora/the_stack_notebooks/data/*.parquet"},
    ),
}

# Which texts and which mathematics is ours: the paper names the kinds only. The sizes are those of
# the corpora's authors, in the tokens of their tokenizers.
OF_COOLDOWNS = {
    "text_quality": SourceConfig(
        reader="slimpajama",
        kind="text",
        options={
            "path": SLIMPAJAMA,
            "keep_sets": "RedPajamaWikipedia, RedPajamaBook, RedPajamaArXiv",  # also in `text`
        },
        num_tokens=int(79e9),  # ours: 3.8%, 4.2% and 4.6% of SlimPajama's 627B
    ),
    "text_math": SourceConfig(
        reader="records",
        kind="text",
        options={"path": "corpora/open_web_math/data/*.parquet", "page_field": "url"},
        num_tokens=int(14.7e9),  # ours
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
        num_tokens=int(3e6),  # ours: 15,000 prompts and answers of about 200 tokens
    ),
}

# ours: the paper has none of these. Their documents are also in `web_code` and `markup`.
OF_CONTROLS = {
    "scrambled_web_code": the_stack(
        "web_code",
        kind="scrambled_code",
        filters=filters.SCRAMBLED_CODE,
        num_tokens=int(139e9),
    ),
    "scrambled_markup": the_stack(
        "markup",
        kind="scrambled_code",
        filters=filters.SCRAMBLED_MARKUP,
        num_tokens=int(180e9),
    ),
    "web_python": the_stack(
        "python",
        kind="code",
        filters=filters.WEB_CODE,
        num_tokens=int(13.3e9),  # inferred: 9.6% of 139B, its share of the documents
    ),
    "web_code_sample": the_stack(
        "web_code",
        kind="code",
        filters=filters.CODE_SAMPLE,
        num_tokens=int(3.2e9),  # as large as the synthetic code
        max_epochs=6.3,  # and as often read
    ),
}

SOURCES = {**TEXT, **CODE, **ADJACENT, **OF_COOLDOWNS, **OF_CONTROLS}

DATA = DataConfig(
    max_seq_len=8192,  # paper
    tokenizer=TokenizerConfig(
        vocab_size=256_000,  # paper
        training_weights=dict.fromkeys(OF_CONTROLS, 0.0),  # ours
    ),
    packing="concatenate",  # ours: not said
    # ours: `deduplication` and `validation_fraction` keep their defaults.
    decontamination=DecontaminationConfig(  # ours: not said
        benchmarks={name: f"corpora/benchmarks/{name}.jsonl" for name in BENCHMARKS}
    ),
    sources=SOURCES,
)
