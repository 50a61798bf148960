"""Mistakes in fields of the study that the command line overrides (`mistakes.py`)."""

import pytest

from tests.cli import test_mistakes_in_flags, test_mistakes_in_places
from tests.cli.mistakes import LONG, check

OVERRIDES = [
    ("seed", "'--config.seed' has no value: write --config.seed=VALUE"),
    ("seed 3", "'--config.seed' has no value: write --config.seed=3"),
    ("sed=3", "config.sed: no such field; did you mean seed?"),
    ("=3", "overrides have the form --config.model.num_layers=4"),
    (".=3", "config.: no such field"),
    ("a..b=3", "config.a: no such field"),
    ("model.num_layers.=3", "config.model.num_layers is a value, it has no field ''"),
    ("modl.num_layers=3", "config.modl: no such field; did you mean model?"),
    ("model.num-layers=3", "overrides have the form"),
    ("model['num_layers']=3", "overrides have the form"),
    (f"{LONG}=3", "config.xxx"),
    (f"model.num_layers={LONG}", "config.model.num_layers: expected a whole number, got 'xxx"),
    (
        f"model.compute_dtype={LONG}",
        "config.model.compute_dtype: expected at most 4,096 printable characters",
    ),
    ("seed=1 --config.seed=2", "--config.seed is given twice: '1' and '2'"),
    ("model.d_ff=8 --config.model={}", "--config.model would undo --config.model.d_ff"),
    ("seed=10**400", "config.seed: expected a whole number, got '10**400'"),
    (f"seed={10**400}", "config.seed: expected a number below 2**63"),
    (f"seed={'9' * 5000}", "config.seed: expected a whole number"),
    ("seed=-1", "config.seed: expected"),
    ("seed=1.5", "config.seed: expected a whole number"),
    ("seed=nan", "config.seed: expected a whole number, got 'nan'"),
    ("seed=1e999", "config.seed: expected a finite number, got inf"),
    ("seed=None", "config.seed: expected a whole number, got None"),
    ("seed=True", "config.seed: expected a whole number, got bool True"),
    ("name=", "config.name: expected a name"),
    ("name=A/b", "config.name: expected a name"),
    ("baseline=none-such", "config.baseline: there is no variant 'none-such'"),
    ("model=3", "config.model: expected the fields of ModelConfig, got int 3"),
    ("model=None", "config.model: expected the fields of ModelConfig, got None"),
    ("model=\"{'d_ff':3}\"", "is missing: expected a whole number"),
    ("model.num_layers=0", "config.model.num_layers: expected a whole number from 1"),
    ("model.num_heads=3", "config.model.num_"),
    ("model.head_dim=7", "config.model.head_dim: expected an even number from 2 to 65,536, got 7"),
    ("model.rope_base=inf", "config.model.rope_base: expected a number, got 'inf'"),
    ("model.rope_base=1e999", "config.model.rope_base: expected a finite number, got inf"),
    ("model.logit_scale=-1", "config.model.logit_scale: expected"),
    ("model.tie_embeddings=maybe", "config.model.tie_embeddings: expected True or False"),
    ("model.vocab_size=16", "config.data.tokenizer.vocab_size = 512 exceeds"),
    ("data={}", "is missing"),
    ("data.sources={}", "config.data.sources"),
    ("data.sources.new.reader=jsonl", "config.data.sources.new: no such field"),
    ("data.sources.text.reader=jsonll", "did you mean jsonl?"),
    ("data.sources.text.reader=", "reader"),
    ("data.sources.text.options.pth=x", "pth"),
    ("data.sources.text.options.path=3", "path"),
    ("data.sources.text.options={}", "path"),
    ("data.sources.text.options.a.b=1", "is a value, it has no field 'b'"),
    ("data.sources.text.filters=\"[{'name':'licens'}]\"", "'licens'; did you mean licenses?"),
    ("data.sources.text.max_epochs=nan", "config.data.sources.text.max_epochs: expected a number"),
    ("data.sources.text.max_epochs=1e999", "max_epochs: expected a finite number, got inf"),
    ("data.packing=best", "config.data.packing: expected one of best_fit, concatenate"),
    ("data.validation_fraction=1", "config.data.validation_fraction: expected a number in [0, 1)"),
    ("data.validation_fraction=-0.1", "config.data.validation_fraction: expected"),
    ("data.validation_fraction=0", "config.evals.validation needs held-out documents, and config."),
    ("training.batch_size=0", "config.training.batch_size: expected a whole number from 1"),
    ("training.batch_size=eight", "config.training.batch_size: expected a whole number"),
    ("training.spike_factor=0", "config.training.spike_factor: expected a number above 1"),
    ("optimizer.beta1=1", "config.optimizer.beta1: expected a number in [0, 1), got 1.0"),
    ("optimizer.beta2=x", "config.optimizer.beta2: expected a number, got 'x'"),
    ("optimizer.first_moment_dtype=float16", "config.optimizer.first_moment_dtype: expected one o"),
    ("execution.num_microbatches=3", "config.execution.num_microbatches = 3"),
    ("execution.mesh.data=x", "config.execution.mesh.data: expected"),
    ("execution.mesh.tensr=2", "config.execution.mesh.tensr: no such field; did you mean tensor?"),
    ("execution.attention_block_q=0", "config.execution.attention_block_q: expected"),
    ("checkpoint.temporary_interval_s=0", "config.checkpoint.temporary_interval_s: expected a pos"),
    ("checkpoint.permanent_interval_steps=0", "config.checkpoint.permanent_interval_steps: expect"),
    ("logging.interval_steps=0", "config.logging.interval_steps: expected a whole number from 1"),
    ("logging.write_tensorboard=2", "config.logging.write_tensorboard: expected True or False"),
    ("cost.mfu=2", "config.cost.mfu: expected a number in (0, 1], got 2.0"),
    ("cost.price_per_chip_hour=-1", "config.cost.price_per_chip_hour: expected a number from 0"),
    ("evals.validation.kind=loss", "kind"),
    ("evals.validation.num_examples=0", "config.evals.validation.num_examples: expected"),
    ("evals.validation.options.x=1", "x"),
    ("evals.validation.interval_tokens=0", "config.evals.validation.interval_tokens: expected"),
    ("evals.validation.on_failure=go", "config.evals.validation.on_failure: expected one of"),
    ("evals.new.kind=validation_loss", "config.evals.new: no such field; expected one of: valid"),
    ("phases={}", "config.phases: expected at least one entry"),
    ("phases.trunk.tokens=0", "config.phases.trunk.tokens: expected a whole number from 1"),
    ("phases.trunk.tokens=-5", "config.phases.trunk.tokens: expected a whole number from 1"),
    ("phases.trunk.tokens=1e300", "config.phases.trunk.tokens: expected a number below 2**63"),
    ("phases.trunk.mixture={}", "config.phases.trunk.mixture"),
    ("phases.trunk.mixture=[1]", "config.phases.trunk.mixture: expected a mapping, got list [1]"),
    ("phases.trunk.mixture.text=nan", "mixture.text: expected a number, got 'nan'"),
    ("phases.trunk.mixture.txt=1", "there is no source 'txt'; did you mean text?"),
    ("phases.trunk.mixture.text=-1", "expected a weight of 0, or from 1e-9 to 1e15, got -1"),
    ("phases.trunk.mixture.a.b=1", "config.phases.trunk.mixture.a is a value, it has no field 'b'"),
    ("phases.trunk.schedule.shape=sine", "sine"),
    ("phases.trunk.schedule.warmup_steps=-1", "warmup_steps"),
    ("phases.trunk.schedule.warmup_steps=1000", "warmup"),
    ("phases.trunk.schedule.peak_learning_rate=fast", "peak_learning_rate: expected"),
    ("phases.trunk.parent=trunk", "the phases form a cycle"),
    ("phases.trunk.parent=branch", "the phases form a cycle"),
    ("phases.branch.parent=trnk", "there is no phase 'trnk'; did you mean trunk?"),
    ("phases.branch.parent_tokens=1e12", "exceeds config.phases.trunk.tokens = 20,480"),
    ("phases.branch.data_order=replay", "config.phases.branch.data_order: expected"),
    ("phases.trunk.mixture_changes=[{}]", "mixture_changes[0].at_tokens is missing"),
    ("phases.trunk.mixture_changes=3", "config.phases.trunk.mixture_changes: expected a list"),
    ("variants.annealed=cool", "config.variants.annealed: there is no phase 'cool'"),
    ("variants={}", "config.variants: expected at least one entry"),
    ("seed='\\ud800'", "config.seed: expected a whole number"),
]
CASES = [
    *((f"plan {{c}} --config.{override}", message) for override, message in OVERRIDES),
    *((f"run {{c}} --config.{override}", message) for override, message in OVERRIDES[::5]),
]


def test_there_are_enough() -> None:
    cases = [*test_mistakes_in_flags.CASES, *test_mistakes_in_places.CASES, *CASES]
    assert len(cases) >= 200
    assert len(dict(cases)) == len(cases)


@pytest.mark.parametrize("number", range(len(CASES)), ids=lambda i: CASES[i][0][:60].strip())
def test_one_line_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], hostile: dict[str, str], number: int
) -> None:
    check(capsys, hostile, *CASES[number])
