"""The metrics of a run: `metrics.jsonl` and `evals.jsonl`.

`metrics.jsonl` has one record per step, `evals.jsonl` one per evaluation. The report and the
campaigns read them. TensorBoard and Weights & Biases get copies, to watch a run in progress.
The same folder has `time.jsonl` (`time_ledger.py`) and `starts.jsonl` (`starts.py`).
"""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from numbers import Real
from typing import Any, Self

from etils import epath

from codepretrain.config.schema import LoggingConfig
from codepretrain.files.journal import Fields, Journal, read
from codepretrain.files.json_values import plain
from codepretrain.files.storage import StrPath, make_folder
from codepretrain.metrics.copies import Copy, TensorBoard, WeightsAndBiases, check_installed
from codepretrain.metrics.evaluation_records import (
    EVALUATION_FIELDS,
    EVALUATIONS,
    is_result,
    read_records,
    watch_folder,
)
from codepretrain.metrics.item_files import Marks, lost_files

_METRICS = "metrics.jsonl"
_METRICS_FIELDS = {"step": int}
NOT_RECORDED = "it is not recorded"


def recorded_step(run_dir: StrPath) -> int:
    """Returns the last step of which a run has metrics, 0 if there is none."""
    records = read(epath.Path(run_dir) / _METRICS, fields=_METRICS_FIELDS)
    return max((record["step"] for record in records), default=0)


class MetricsWriter:
    """Appends a run's metrics. Each step is logged once, also after a resume.

    A run that resumes from the checkpoint of step s logs the steps after s again. So the writer
    cuts the records of later steps when it opens, and keeps them in `metrics.cut.jsonl` and
    `evals.cut.jsonl` (`files/journal.py`). `step` counts updates made: the checkpoint of step s and
    the record of step s are of the same parameters.

    Args:
      beside: the run's folder, for the records of `evaluate --watch` in a folder of their own; by
        default this is the run's. What is recorded in the other of the two counts as recorded.
      is_primary: whether this process writes. On the others every method does nothing.

    Raises:
      UserError: a damaged file, or Weights & Biases is asked for and not installed.
    """

    def __init__(
        self,
        run_dir: StrPath,
        logging: LoggingConfig,
        run_name: str,
        *,
        resumed_step: int = 0,
        beside: StrPath | None = None,
        is_primary: bool = True,
    ) -> None:
        self._is_primary = is_primary
        self._copies: list[Copy] = []
        self._evaluated: dict[tuple[int, str], dict[str, Mapping[str, Any]]] = {}
        if not self._is_primary:
            return
        check_installed(logging)
        self._folder = folder = epath.Path(run_dir)
        self._watches = beside is not None
        self._beside = watch_folder(folder) if beside is None else epath.Path(beside)
        make_folder(folder)
        with ExitStack() as opened:

            def open_journal(name: str, fields: Fields, *, remembers: bool) -> Journal:
                lines = Journal(
                    folder / name,
                    keeps=lambda record: record["step"] <= resumed_step,
                    fields=fields,
                    cut_note={"resumed_step": resumed_step},
                    remembers=remembers,
                )
                return opened.enter_context(lines)

            self._metrics = open_journal(_METRICS, _METRICS_FIELDS, remembers=False)
            self._evals = open_journal(EVALUATIONS, EVALUATION_FIELDS, remembers=True)
            if logging.wandb_project is not None:
                self._copies.append(WeightsAndBiases(folder, logging.wandb_project, run_name))
            if logging.write_tensorboard:
                self._copies.append(TensorBoard(folder / "tensorboard", resumed_step))
            opened.pop_all()  # all are open: `close` closes them from here on
        for record in self._evals.kept:
            if is_result(record):
                self._note_evaluation(record)

    def log_step(self, record: Mapping[str, Any]) -> None:
        """Writes one record of training metrics; it has at least "step"."""
        assert "step" in record, record
        if not self._is_primary:
            return
        self._metrics.append(record)
        self._write_copies(record["step"], record, prefix="train")

    def log_evaluation(
        self,
        *,
        step: int,
        tokens: int,
        evaluator: str,
        metrics: Mapping[str, Mapping[str, Any]],
        identity: Mapping[str, str],
        digest: str,
        items: Marks,
    ) -> None:
        """Writes one evaluation, unless the same record is there: it was made again, and is equal.

        Args:
          metrics: name → value, standard_error, count, unit.
          identity: named digests of what decides the result; `digest` is the digest of them all.
          items: sizes and hashes of its item files (`item_files.py`).
        """
        if not self._is_primary:
            return
        record = {
            "step": step,
            "tokens": tokens,
            "evaluator": evaluator,
            "digest": digest,
            "identity": identity,
            "metrics": metrics,
            "items": items,
        }
        before = self._evaluated.get((step, evaluator), {}).get(digest)
        if before is not None and plain(before) == plain(record):
            return
        self._evals.append(record)
        self._note_evaluation(record)
        values = {name: metric["value"] for name, metric in metrics.items()}
        self._write_copies(step, values, prefix=evaluator)

    def log_failure(
        self,
        *,
        step: int,
        tokens: int,
        evaluator: str,
        identity: Mapping[str, str],
        digest: str,
        failure: str,
    ) -> None:
        """Writes that an evaluation failed: a record without metrics, which is no result."""
        if self._is_primary:
            record = {"step": step, "tokens": tokens, "evaluator": evaluator, "digest": digest}
            self._evals.append({**record, "identity": identity, "metrics": {}, "failure": failure})

    def why_evaluate(
        self,
        step: int,
        evaluator: str,
        digest: str,
        *,
        damage: Callable[[epath.Path, Mapping[str, Any]], str] = lost_files,
    ) -> str:
        """Returns why this very evaluation is to be made; "" if it is recorded, here or beside.

        It is to be made again if readers would take a result without its item files. A result of
        the job that holds the run is not made again beside it. Only the primary process may ask.

        Args:
          damage: returns what is wrong with the item files of a record in a folder, "" if nothing
            is; by default it looks at their sizes.
        """
        assert self._is_primary
        own = self._evaluated.get((step, evaluator), {}).get(digest)
        why = NOT_RECORDED if own is None else damage(self._folder, own)
        if not why or (own is not None and not self._watches):
            return why
        key = step, evaluator, digest
        found = [
            record
            for record in read_records(self._beside)
            if (record["step"], record["evaluator"], record["digest"]) == key and is_result(record)
        ]
        if not found:
            return why
        return "" if self._watches else damage(self._beside, found[-1])

    def last_identity(self, step: int, evaluator: str) -> Mapping[str, str] | None:
        """Returns the identity of the newest record of an evaluator at a step, None without one."""
        found = self._evaluated.get((step, evaluator), {})
        return list(found.values())[-1]["identity"] if found else None

    def _note_evaluation(self, record: Mapping[str, Any]) -> None:
        key = record["step"], record["evaluator"]
        self._evaluated.setdefault(key, {})[record["digest"]] = record

    def flush(self) -> None:
        """Syncs every record. Called before a checkpoint, so its steps are never missing."""
        if not self._is_primary:
            return
        self._metrics.sync()
        self._evals.sync()
        for copy in self._copies:
            copy.flush()

    def close(self) -> None:
        if not self._is_primary:
            return
        self._metrics.close()
        self._evals.close()
        for copy in self._copies:
            copy.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write_copies(self, step: int, values: Mapping[str, Any], *, prefix: str) -> None:
        numbers = plain({name: value for name, value in values.items() if name != "step"})
        scalars = {
            f"{prefix}/{name}": float(value)
            for name, value in numbers.items()
            if isinstance(value, Real) or value in ("NaN", "Infinity", "-Infinity")
        }
        for copy in self._copies:
            copy.write(step, scalars)
