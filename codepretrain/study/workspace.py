"""A study opened in a working directory: its phases, its data, and where its runs are.

workdir/data/<hash of the data settings>/    tokenizer, rows, evaluation items
workdir/runs/<phase>-<fingerprint>/          run.json  metrics.jsonl  evals.jsonl  time.jsonl
                                             ledger.json  checkpoints/  items/  tensorboard/
workdir/imported/<name>/                     import.json  checkpoints/
workdir/reports/<study>/                     index.html  results.json
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from codepretrain.checkpoint.policy import CheckpointPolicy
from codepretrain.config.schema import StudyConfig
from codepretrain.files.identity import digest
from codepretrain.interop.import_record import ImportRecord
from codepretrain.rows.data_dir import data_dir, require_prepared
from codepretrain.rows.store import RowStore, open_sources
from codepretrain.stream.ledger import LedgerKeeper
from codepretrain.stream.order import RowOrder
from codepretrain.study.describe import check_caps
from codepretrain.study.fingerprint import contents
from codepretrain.study.graph import Phase, branch_steps, resolve, row_order
from codepretrain.study.imports import check_imports, import_identities, study_imports
from codepretrain.study.source_sizes import SourceSize, load_source_sizes

_SHORT = 12  # digits of a fingerprint in a folder's name


@dataclass(frozen=True)
class Workspace:
    """One experiment in one working directory. Cached values reflect the data when first read."""

    config: StudyConfig
    workdir: Path
    run_dirs: Mapping[str, Path] = field(default_factory=dict)  # found already, by phase

    @cached_property
    def phases(self) -> dict[str, Phase]:
        return resolve(self.config)

    @cached_property
    def data_dir(self) -> Path:
        return data_dir(self.workdir, self.config)

    @cached_property
    def source_sizes(self) -> dict[str, SourceSize]:
        return load_source_sizes(self.config, self.workdir)

    @cached_property
    def imports(self) -> dict[str, ImportRecord | None]:
        return study_imports(self.config, self.workdir)

    @cached_property
    def stores(self) -> dict[str, RowStore]:
        """The training rows of every source, checked against the study's settings."""
        require_prepared(self.config, self.data_dir)
        return open_sources(self.data_dir, self.config.data.sources, "train")

    def check_caps(self) -> None:
        """Raises UserError when a phase would read a source past its repetition cap."""
        check_caps(self.config, self.phases, source_sizes=self.source_sizes)

    def check_imports(self) -> None:
        """Raises UserError when an imported checkpoint is missing or does not suit the data."""
        check_imports(self.config, self.imports, self.workdir, self.data_dir)

    def identity(self, name: str) -> dict[str, Any]:
        """Returns what the fingerprint of a phase hashes."""
        rows = {source: size.identity for source, size in self.source_sizes.items()}
        imports = import_identities(self.imports)
        return contents(self.config, self.phases[name], rows=rows, imports=imports)

    def fingerprint(self, name: str) -> str:
        return digest(self.identity(name))

    def run_dir(self, name: str) -> Path:
        """Returns the folder of the phase's run: one with its fingerprint, under any name."""
        if name in self.run_dirs:
            return self.run_dirs[name]
        short = self.fingerprint(name)[:_SHORT]
        runs = self.workdir / "runs"
        existing = sorted(runs.glob(f"*-{short}")) if runs.is_dir() else []
        return existing[0] if existing else runs / f"{name}-{short}"

    def plan(self, name: str) -> RowOrder:
        available = {source: len(store) for source, store in self.stores.items()}
        return row_order(self.phases[name], seed=self.config.seed, rows_available=available)

    def parent_digest(self, name: str) -> str:
        """Returns the ledger's digest where the phase branches off its parent, "" without one."""
        phase = self.phases[name]
        if phase.parent is None:
            return ""
        parent = phase.parent.name
        keeper = LedgerKeeper(
            self.plan(parent), self.stores, parent_digest=self.parent_digest(parent)
        )
        return keeper.advance_to(phase.parent_step).digest

    def checkpoint_policy(self, name: str) -> CheckpointPolicy:
        """Returns which checkpoints of a phase are saved and kept.

        A phase that has several names keeps what any of them needs: its end and branch points.
        """
        fingerprint = self.fingerprint(name)
        names = [other for other in self.phases if self.fingerprint(other) == fingerprint]
        steps = {step for other in names for step in branch_steps(self.phases, other)}
        return CheckpointPolicy.of_phase(
            self.config.checkpoint, num_steps=self.phases[name].num_steps, branch_steps=steps
        )


def normalized_mixture(phase: Phase) -> tuple[Mapping[str, Any], ...]:
    """Returns the phase's stretches of constant weights with the tokens before each."""
    stretches, start = [], 0
    for stage in phase.stages:
        total = sum(stage.weights.values())
        shares = {source: weight / total for source, weight in stage.weights.items()}
        stretches.append({"start_tokens": start * phase.max_seq_len, "weights": shares})
        start += stage.num_rows
    return tuple(stretches)
