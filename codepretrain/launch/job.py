"""What a job runs: the stages of a study, and the machine. Written once as job.json, by submit."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from codepretrain.config.schema import MeshConfig
from codepretrain.launch.machine import LaunchConfig


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One step of a study: its preparation, one phase, its evaluations, or its report.

    name: "prepare", "train.<phase>", "evaluate" or "report". arguments: of `codepretrain`, without
    the flags of a gang. parents: stages that must be done before. is_single: one process on one
    host. is_evaluation: follows the phases on a slice of its own (evaluation.py).
    fingerprint: of a phase; two stages with one fingerprint never run at the same time. tokens,
    num_steps: of the whole phase. expected_chip_hours: None if not known. batch_size,
    num_microbatches: rows and micro-batches of a step on the whole machine. mesh: as the study has
    it, for the whole machine.
    """

    name: str
    arguments: tuple[str, ...]
    parents: tuple[str, ...] = ()
    phase: str | None = None
    fingerprint: str | None = None
    is_single: bool = False
    is_evaluation: bool = False
    tokens: int = 0
    num_steps: int | None = None
    expected_chip_hours: float | None = None
    batch_size: int | None = None
    num_microbatches: int = 1
    mesh: MeshConfig = field(default_factory=MeshConfig)


@dataclass(frozen=True, kw_only=True)
class Job:
    """A study on a machine.

    config, workdir: as they are spelled in commands. Hosts are numbered over all slices: the hosts
    of slice s are s · hosts_per_slice and those that follow. study: its name. bundle: the hash of
    what hosts run. created_at: UTC. created_by: the command line. extras: of the package, that
    hosts install.
    """

    name: str
    config: str
    workdir: str
    stages: tuple[Stage, ...]
    launch: LaunchConfig
    hosts_per_slice: int = 1
    chips_per_host: int = 1
    price_per_chip_hour: float | None = None
    study: str = ""
    bundle: str = ""
    created_at: str = ""
    created_by: str = ""
    extras: tuple[str, ...] = ()

    @cached_property
    def by_name(self) -> Mapping[str, Stage]:
        return {stage.name: stage for stage in self.stages}

    @cached_property
    def children(self) -> Mapping[str, tuple[str, ...]]:
        """The stages that wait for each stage."""
        return {
            stage.name: tuple(s.name for s in self.stages if stage.name in s.parents)
            for stage in self.stages
        }

    @property
    def num_slices(self) -> int:
        return self.launch.machine.num_slices

    @property
    def hosts(self) -> range:
        return range(self.num_slices * self.hosts_per_slice)

    def hosts_of(self, slice_index: int) -> range:
        first = slice_index * self.hosts_per_slice
        return range(first, first + self.hosts_per_slice)

    def slices_of(self, hosts: tuple[int, ...]) -> frozenset[int]:
        return frozenset(host // self.hosts_per_slice for host in hosts)


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a command asks of the conductor, in requests/<number>.json.

    kind: "stop" or "resume". A resume may raise the caps of the budget, and may accept that steps
    of lost checkpoints are trained again.
    """

    number: int
    kind: str
    max_chip_hours: float | None = None
    max_price: float | None = None
    retrain_lost: bool = False
