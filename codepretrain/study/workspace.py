"""A study opened in a working directory: its phases, its data, and the folders of its runs.

workdir/data/documents/                      documents, shared by all studies
workdir/data/<hash of the data settings>/    tokenizer, rows, evaluation items
workdir/runs/<phase>-<fingerprint>/          run.json  metrics.jsonl  evals.jsonl  time.jsonl
                                             ledger.json  checkpoints/  items/  tensorboard/
workdir/imported/<name>/                     import.json  checkpoints/
workdir/contrasts/                           contrasts as registered, before or after their results
workdir/evaluation_cache/                    completions and grades of evaluations, as they come
workdir/reports/<study>/                     index.html  results.json  tables.tex  items/
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from etils import epath

from codepretrain.checkpoint.policy import CheckpointPolicy
from codepretrain.config.schema import StudyConfig
from codepretrain.errors import UserError
from codepretrain.files import storage
from codepretrain.files.hashing import sha256_json
from codepretrain.interop.import_record import ImportRecord
from codepretrain.rows.data_dir import data_dir, require_prepared
from codepretrain.rows.shard_files import host_cache
from codepretrain.rows.store import RowStore, open_sources
from codepretrain.stream.ledger import Ledger, LedgerKeeper
from codepretrain.stream.order import RowOrder
from codepretrain.study.average_ledger import average_ledger
from codepretrain.study.describe import check_caps
from codepretrain.study.fingerprint import contents
from codepretrain.study.graph import AveragePhase, Phase, branch_steps, resolve, row_order
from codepretrain.study.imports import check_imports, import_identities, study_imports
from codepretrain.study.source_sizes import SourceSize, load_source_sizes

_SHORT = 12  # digits of a fingerprint in a folder's name


@dataclass(frozen=True)
class Workspace:
    """One experiment in one working directory, local or on an object store.

    Values read from the data are cached: they reflect the data at the first access.
    """

    config: StudyConfig
    workdir: epath.Path
    run_dirs: Mapping[str, epath.Path] = field(default_factory=dict)  # found already, by phase
    _digests: dict[tuple[str, int], str] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def phases(self) -> dict[str, Phase]:
        return resolve(self.config)

    @cached_property
    def data_dir(self) -> epath.Path:
        return data_dir(self.workdir, self.config)

    @cached_property
    def source_sizes(self) -> dict[str, SourceSize]:
        return load_source_sizes(self.config, self.data_dir)

    @cached_property
    def imports(self) -> dict[str, ImportRecord | None]:
        return study_imports(self.config, self.workdir)

    @cached_property
    def stores(self) -> dict[str, RowStore]:
        """The training rows of every source, checked against the study's settings."""
        require_prepared(self.config, self.data_dir)
        cache = host_cache(self.config.execution.row_cache_bytes)
        return open_sources(self.data_dir, self.config.data.sources, "train", cache=cache)

    @cached_property
    def fingerprints(self) -> dict[str, str]:
        """The fingerprint of every phase by name."""
        return {name: sha256_json(self.identity(name)) for name in self.phases}

    def check_caps(self) -> None:
        """Raises UserError if a phase would read a source past its repetition cap."""
        check_caps(self.config, self.phases, source_sizes=self.source_sizes)

    def check_imports(self) -> None:
        """Raises UserError if an imported checkpoint is missing or has another tokenizer."""
        check_imports(self.config, self.imports, self.workdir, self.data_dir)

    def identity(self, name: str) -> dict[str, Any]:
        """Returns what the fingerprint of a phase hashes."""
        rows = {source: size.identity for source, size in self.source_sizes.items()}
        imports = import_identities(self.imports)
        return contents(self.config, self.phases[name], rows=rows, imports=imports)

    def fingerprint(self, name: str) -> str:
        return self.fingerprints[name]

    def run_dir(self, name: str) -> epath.Path:
        """Returns the folder of the phase's run: the one with its fingerprint, under any name.

        Raises:
          UserError: there are several, such as a copy beside the original; or it holds another run.
        """
        if name in self.run_dirs:
            return self.run_dirs[name]
        short = self.fingerprint(name)[:_SHORT]
        runs = self.workdir / "runs"
        existing = [folder for folder in storage.names(runs) if folder.endswith(f"-{short}")]
        if len(existing) > 1:
            raise UserError(
                f"{runs} has several folders of one run: {', '.join(existing)}; move all but one "
                "of them away"
            )
        folder = runs / (existing[0] if existing else f"{name}-{short}")
        _check_fingerprint(folder, self.fingerprint(name))
        return folder

    def row_order(self, name: str) -> RowOrder:
        """Returns which row is at every position of the phase.

        Raises:
          UserError: the phase is an average.
        """
        phase = self.phases[name]
        if isinstance(phase, AveragePhase):
            raise UserError(f"phase {name!r} is an average of checkpoints, which reads no rows")
        available = {source: len(store) for source, store in self.stores.items()}
        return row_order(phase, rows_available=available)

    def parent_digest(self, name: str) -> str:
        """Returns the ledger's digest where a training phase branches off, "" without a parent."""
        digests = self.origin_digests(name)
        return digests[0] if digests else ""

    def origin_digests(self, name: str) -> tuple[str, ...]:
        """Returns the digests of the ledgers of the states that a phase starts from, in order."""
        return tuple(self._digest_at(o.phase.name, o.step) for o in self.phases[name].origins)

    def average_ledger(self, name: str) -> Ledger:
        """Returns the ledger of an average."""
        phase = self.phases[name]
        assert isinstance(phase, AveragePhase), name
        return average_ledger(phase, self.stores, digests=self.origin_digests(name))

    def _digest_at(self, name: str, step: int) -> str:
        """Returns the digest of a phase's ledger at `step`; 0.2 µs a row at the first call."""
        if (name, step) not in self._digests:
            self._digests[name, step] = self._ledger_at(name, step).digest
        return self._digests[name, step]

    def _ledger_at(self, name: str, step: int) -> Ledger:
        if isinstance(self.phases[name], AveragePhase):
            return self.average_ledger(name)
        parent_digest = self.parent_digest(name)
        keeper = LedgerKeeper(self.row_order(name), self.stores, parent_digest=parent_digest)
        return keeper.advance_to(step)

    def checkpoint_policy(self, name: str) -> CheckpointPolicy:
        """Returns which checkpoints of a phase are saved and kept.

        Phases that share a fingerprint share a run, which keeps what any of them needs.
        """
        fingerprint = self.fingerprint(name)
        names = [other for other in self.phases if self.fingerprint(other) == fingerprint]
        steps = {step for other in names for step in branch_steps(self.phases, other)}
        return CheckpointPolicy.of_phase(
            self.config.checkpoint, num_steps=self.phases[name].num_steps, branch_steps=steps
        )


def normalized_mixture(phase: Phase) -> tuple[Mapping[str, Any], ...]:
    """Returns the phase's stretches of constant weights, each with the tokens before it."""
    if isinstance(phase, AveragePhase):
        return ()
    stretches, start = [], 0
    for stage in phase.stages:
        total = sum(stage.weights.values())
        shares = {source: weight / total for source, weight in stage.weights.items()}
        stretches.append({"start_tokens": start * phase.max_seq_len, "weights": shares})
        start += stage.num_rows
    return tuple(stretches)


def _check_fingerprint(folder: epath.Path, fingerprint: str) -> None:
    """Raises UserError if the records in a folder are those of another run."""
    path = folder / "run.json"
    if not storage.is_file(path):
        return
    found = storage.read_json(path).get("fingerprint", fingerprint)
    if found != fingerprint:
        raise UserError(
            f"{folder} holds the run of another phase: {path.name} has fingerprint "
            f"{found[:_SHORT]}; a run's folder ends with its own fingerprint: rename it back"
        )
