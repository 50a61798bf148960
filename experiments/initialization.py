"""Which model should pre-training start from? (§3.1, Table 2 of the paper, 470M parameters.)

"To Code, or Not To Code? Exploring Impact of Code in Pre-training", Aryabumi et al., 2024
(arXiv 2408.10914). Four variants, each with a cooldown:

    variant         pre-training                    continued            cooldown
    text_only       400B text                       -                    32B text + 8B code
    balanced_only   200B text + 200B code           -                    32B text + 8B code
    balanced_text   100B text + 100B code           180B text + 20B code 32B text + 8B code
    code_text       200B code (80% web, 20% markup) 180B text + 20B code 32B text + 8B code

and the same before the cooldown (`…_trunk`), where §3.1 compares them.

Run:      codepretrain plan --config experiments/initialization.py [--power]
Cost:     the paper reports 4,736 chip-hours (TPU v5e) per 200B tokens at 470M and 1,024 per 40B
          cooldown: about 42,000 in total, once (our sum, not the paper's). Three replicates cost
          three times that; `--config.replicates=1` is what the paper did.
Expected: the paper's Table 2. Natural-language reasoning before cooldown 49.0 (text_only), 51.8
          (balanced_only), 53.0 (balanced_text), 53.3 (code_text); after it 54.1, 53.2, 54.9, 52.1.
          Where its text says something else than its table, the contrasts have the table's numbers.

Each value is marked: `# paper` is stated there, `# inferred` follows from what is stated there,
`# ours` is our choice where the paper does not say. Those of all experiments are in
`experiments/study`.
"""

from ml_collections import ConfigDict

from codepretrain.config.load import to_config_dict
from codepretrain.config.schema import ContrastConfig, ModelConfig, StudyConfig
from experiments.study.contrasts import from_table
from experiments.study.phases import COOLED, TRUNKS, shared
from experiments.study.study import MODEL_470M, make_study

VARIANTS = {**COOLED, **{f"{name}_trunk": phase for name, phase in TRUNKS.items()}}


def contrasts() -> dict[str, ContrastConfig]:
    """Returns what §3.1 claims, before the cooldown, and what Table 2 has after it."""
    found = {}
    for name in ("code_text", "balanced_text", "balanced_only"):
        before, after = (f"{name}_trunk", "text_only_trunk"), (name, "text_only")
        found[f"reasoning_{name}"] = from_table(
            VARIANTS, before, "reasoning", "higher", family="reasoning"
        )
        found[f"code_{name}"] = from_table(VARIANTS, before, "code", "higher", family="code")
        found[f"cooled_natural_language_{name}"] = from_table(
            VARIANTS, after, "natural_language", "different", family="cooled"
        )
    for other in ("text_only", "code_text"):
        found[f"knowledge_balanced_text_{other}"] = from_table(
            VARIANTS,
            ("balanced_text_trunk", f"{other}_trunk"),
            "world_knowledge",
            "higher",
            family="knowledge",
        )
    return found


def study(name: str, model: ModelConfig) -> StudyConfig:
    """Returns Table 2's phases for a model of any size (`experiments/scale.py` reuses it)."""
    return make_study(
        name,
        model=model,
        phases=shared(*COOLED.values()),
        variants=VARIANTS,
        baseline="text_only",
        contrasts=contrasts(),
    )


def get_config() -> ConfigDict:
    return to_config_dict(study("initialization", MODEL_470M))
