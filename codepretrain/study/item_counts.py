"""How many independent items a score of the study is over, before anything is evaluated."""

from collections.abc import Mapping
from dataclasses import dataclass

from etils import epath

from codepretrain.config.schema import EvaluatorConfig, StudyConfig
from codepretrain.evals.harness.suite import TASKS
from codepretrain.evals.loss_groups import loss_groups
from codepretrain.evals.registry import evaluator_request
from codepretrain.rows.eval_items import has_items, load_items_manifest
from codepretrain.rows.manifest import has_rows, load_manifest, rows_directories

PREPARED, PUBLISHED, CONFIGURED = "prepared data", "published size", "config"
# Problems of the split that is used.
_BENCHMARKS: Mapping[str, int] = {"human_eval": 164, "mbpp": 500}


@dataclass(frozen=True)
class ItemCount:
    """Items, or clusters of them where their number is known; source: where it is from."""

    count: int
    source: str


def item_count(config: StudyConfig, data_dir: epath.Path, score: str) -> ItemCount | None:
    """Returns the items of a score, `<evaluation>/<metric>`: at most `num_examples`.

    None for an evaluation's own average over tasks; `config.averages` has others.

    Raises:
      UserError: a manifest of the prepared data is damaged.
    """
    evaluation, _, metric = score.partition("/")
    evaluator = config.evals[evaluation]
    most = ItemCount(evaluator.num_examples, CONFIGURED)
    if evaluator.kind == "harness":
        name = metric.partition("/")[0]
        if name in ("average", "unfiltered_average", "average_bits_per_byte"):
            return None
        task = TASKS.get(name)
        found = ItemCount(task.num_clusters or task.num_items, PUBLISHED) if task else None
    elif evaluator.kind == "validation_loss":
        return _documents(config, evaluation, evaluator, data_dir, metric)
    else:
        found = _items_of_task(str(evaluator.options.get("task", "")), data_dir)
    return found if found is not None and found.count <= most.count else most


def _items_of_task(task: str, data_dir: epath.Path) -> ItemCount | None:
    if task in _BENCHMARKS:
        return ItemCount(_BENCHMARKS[task], PUBLISHED)
    if not has_items(data_dir):
        return None
    manifest, _ = load_items_manifest(data_dir)
    return ItemCount(manifest.num_items[task], PREPARED) if task in manifest.num_items else None


def _documents(
    config: StudyConfig,
    evaluation: str,
    evaluator: EvaluatorConfig,
    data_dir: epath.Path,
    metric: str,
) -> ItemCount:
    """Returns the held-out documents of a loss: of a source, or of the sources of an average."""
    kind, request = evaluator_request(evaluation, evaluator)
    names = kind.subjects(request, config) or ()
    kinds = {
        name: source.kind
        for name, source in config.data.sources.items()
        if f"source/{name}" in names
    }
    sources = loss_groups(kinds)[metric.rpartition("/")[0]]
    directories = rows_directories(data_dir, sources, ["validation"])
    counts = []
    for (source, split), directory in directories.items():
        if not has_rows(directory):
            return ItemCount(evaluator.num_examples * len(sources), CONFIGURED)
        manifest = load_manifest(directory, source=source, split=split)
        counts.append(min(evaluator.num_examples, manifest.num_documents))
    return ItemCount(sum(counts), PREPARED)
