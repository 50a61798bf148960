"""Prints overrides that make a study of seconds on CPUs of one of these experiments.

The graph, the variants, the replicates' seeds and the contrasts stay; sizes, budgets, corpora and
evaluations are replaced. Its scores say nothing: it shows that the study runs, and its report.

    python -m experiments.study.miniature experiments/recipes.py > flags.txt
    xargs -d '\\n' codepretrain run --config experiments/recipes.py --workdir /tmp/mini < flags.txt

Flags are of all files of a command. For several files, `--write` makes a study file of each:

    python -m experiments.study.miniature --write /tmp/small experiments/ladder_*.py
    codepretrain report --config /tmp/small/ladder_*.json --workdir /tmp/mini

Corpora are the packages of this Python, evaluations the tasks of `experiments/tasks`.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from etils import epath

from codepretrain.config.load import load_study
from codepretrain.config.parse import to_dict
from codepretrain.config.schema import PhaseConfig, SourceConfig, StudyConfig
from codepretrain.files.atomic import write_json

MAX_SEQ_LEN, BATCH_SIZE, VOCAB_SIZE = 64, 4, 512
STEP_TOKENS = MAX_SEQ_LEN * BATCH_SIZE
TOKENS_PER_STEP = 5e9  # of the study, for each step of the miniature
LEAST_STEPS = 3  # a warm-up, a peak and an end
LEAST_WEIGHT = 0.1  # of sources so rare that they would have no row
MAX_BYTES = 200_000  # of each source
_TASKS = str(Path(__file__).parents[1] / "tasks")
D_MODEL = 32  # of models of 1024 dimensions; others in proportion


def overrides(config: StudyConfig) -> list[str]:
    """Returns flags of the command line."""
    sources = {name: _source(source) for name, source in config.data.sources.items()}
    values: dict[str, object] = {
        **{f"model.{name}": value for name, value in _model(config.model.d_model).items()},
        "model.vocab_size": VOCAB_SIZE,
        "model.compute_dtype": "float32",
        "training.batch_size": BATCH_SIZE,
        "data.max_seq_len": MAX_SEQ_LEN,
        "data.tokenizer.vocab_size": VOCAB_SIZE,
        "data.tokenizer.training_bytes_per_source": MAX_BYTES,
        "data.validation_fraction": 0.2,
        "data.sources": sources,
        "data.decontamination.benchmarks": {},
        "execution.loss_vocab_block": VOCAB_SIZE,
        "execution.remat_policy": "none",
        "logging.write_tensorboard": False,
        **_evaluations(),
    }
    if interval := _permanent_interval(config):
        values["checkpoint.permanent_interval_steps"] = interval
    for name, phase in config.phases.items():
        if phase.kind == "average":  # its members are averaged, however long they are
            continue
        values |= {f"phases.{name}.{field}": value for field, value in _phase(phase).items()}
    return [f"--config.{name}={value}" for name, value in values.items()]


def _model(d_model: int) -> dict[str, int]:
    """Returns one layer, narrower for smaller models: the sizes of a ladder stay distinct."""
    width = 4 * max(1, round(D_MODEL * d_model / 1024 / 4))
    heads = {"num_heads": 2, "num_kv_heads": 2, "head_dim": width // 2}
    return {"d_model": width, "num_layers": 1, **heads, "d_ff": 2 * width}


def _source(source: SourceConfig) -> dict[str, object]:
    """Returns a source of the same kind and filters, read from installed packages."""
    reader = "python_code" if "code" in source.kind else "python_prose"
    return {
        "reader": reader,
        "kind": source.kind,
        "options": {"max_bytes": MAX_BYTES},
        "filters": [to_dict(one) for one in source.filters if one.name != "subsample"],
        "max_epochs": 100.0,
    }


def _evaluations() -> dict[str, object]:
    agreement, syntax = "pairs/agreement/accuracy", "pairs/python_syntax/accuracy"
    return {
        "evals": {
            "validation": {
                "kind": "validation_loss",
                "num_examples": 16,
                "options": {"sources": "text, web_code"},
            },
            "pairs": {
                "kind": "harness",
                "options": {"tasks": "agreement,python_syntax", "include_path": _TASKS},
            },
        },
        "averages.categories": {
            "reasoning": [agreement, syntax],
            "reasoning_9_tasks": [agreement],
            "world_knowledge": [agreement],
            "code": [syntax],
        },
    }


def _phase(phase: PhaseConfig) -> dict[str, object]:
    assert phase.tokens is not None
    assert phase.schedule is not None
    values: dict[str, object] = {
        "tokens": _tokens(phase.tokens),
        "mixture": _common(phase.mixture),
    }
    if phase.parent_tokens is not None:
        values["parent_tokens"] = _tokens(phase.parent_tokens)
    if phase.schedule.warmup_steps:
        values["schedule.warmup_steps"] = 1
    if phase.mixture_changes:
        values["mixture_changes"] = [
            {"at_tokens": _tokens(change.at_tokens), "weights": _common(change.weights)}
            for change in phase.mixture_changes
        ]
    return values


def _permanent_interval(config: StudyConfig) -> int | None:
    """Returns steps between permanent checkpoints, as many of them along a phase as in the study.

    None if no phase averages them: nothing else needs so many.
    """
    averages = [phase.average for phase in config.phases.values() if phase.average is not None]
    steps = config.checkpoint.permanent_interval_steps
    if steps is None or not any(one.last_k or one.ema_decay for one in averages):
        return None
    tokens = steps * config.training.batch_size * config.data.max_seq_len
    return max(1, int(tokens / TOKENS_PER_STEP))


def _tokens(tokens: int) -> int:
    return max(LEAST_STEPS, round(tokens / TOKENS_PER_STEP)) * STEP_TOKENS


def _common(mixture: Mapping[str, float]) -> dict[str, float]:
    """Returns the weights, with more of what would have less than a row of the shortest phase."""
    return {name: max(weight, LEAST_WEIGHT) for name, weight in mixture.items()}


def write(paths: Sequence[str], folder: Path) -> None:
    """Writes the miniatures of experiments as study files, `<experiment>.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in paths:
        small = load_study(path, overrides(load_study(path)))
        write_json(epath.Path(folder) / f"{Path(path).stem}.json", to_dict(small))


def main() -> None:
    parser = argparse.ArgumentParser(description="Miniatures of experiments: flags, or files.")
    parser.add_argument("--write", metavar="FOLDER", type=Path, help="write study files there")
    parser.add_argument("experiments", nargs="+", metavar="FILE")
    given = parser.parse_args()
    if given.write:
        write(given.experiments, given.write)
        return
    for path in given.experiments:
        print("\n".join(overrides(load_study(path))))


if __name__ == "__main__":
    main()
