"""When checkpoints are saved, and where."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class CheckpointConfig:
    """Temporary checkpoints by time (the newest `num_temporary` are kept), permanent ones by step.

    Several processes compare their clocks only at logged steps (`LoggingConfig.interval_steps`).
    A phase's last step and every step at which another phase branches off are always permanent.

    `local_folder` is a folder on each host's own disk or RAM disk, such as /mnt/disk or /dev/shm:
    every `local_interval_s`, or every `local_interval_steps`, each host writes its part of the
    state there, and that of another one (docs/checkpoints.md). None writes none.
    """

    temporary_interval_s: float = 600.0
    num_temporary: int = 2
    permanent_interval_steps: int | None = None
    local_folder: str | None = None
    local_interval_s: float = 60.0
    local_interval_steps: int | None = None
