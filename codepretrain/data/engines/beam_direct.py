"""Beam's Direct runner: runs a pipeline on this machine, in this process or in several.

Beam takes "DirectRunner" as the name of several runners, and first tries one that it downloads.
Here it always is Beam's own runner in Python. Its worker processes
(`data/engines/beam_worker.py`) are started with two differences from what Beam does:

1. Beam waits forever for a worker that was killed. Here the shell that starts a worker leaves the
   file `failed` when the worker does not end well, and this process looks for it.
2. The workers end when this process ends, or when the pipeline is given up, and log errors only.
"""

import logging
import shlex
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from codepretrain.errors import UserError
from codepretrain.files.atomic import make_folders
from codepretrain.files.lifeline import lifeline

if TYPE_CHECKING:
    from apache_beam import Pipeline
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.runners.portability.fn_api_runner import FnApiRunner

_PERIOD_S = 0.1
_LAST_WORDS_S = 2.0  # for Beam to report what a worker ended of
_FAILED = "failed"


def runner_name(options: "PipelineOptions") -> str:
    """Returns the name of the runner that the options choose."""
    from apache_beam.options.pipeline_options import StandardOptions

    return options.view_as(StandardOptions).runner or StandardOptions.DEFAULT_RUNNER


def is_direct(options: "PipelineOptions") -> bool:
    """Returns whether the options choose the Direct runner, under any of its names."""
    name = runner_name(options).rpartition(".")[2].lower().removesuffix("runner")
    return name in ("direct", "switchingdirect", "bundlebaseddirect", "fnapi")


def run_direct(options: "PipelineOptions", build: Callable[["Pipeline"], Any]) -> str | None:
    """Runs the pipeline that `build` adds to, and returns the state in which it ended.

    Raises:
      UserError: a worker process was killed.
      RuntimeError: a task failed.
    """
    import apache_beam as beam
    from apache_beam.options.pipeline_options import DirectOptions

    here = options.from_dictionary(options.get_all_options(drop_default=True))
    direct = here.view_as(DirectOptions)
    with lifeline("codepretrain-beam") as folder:
        command = None
        if direct.direct_running_mode == "multi_processing":
            command = _worker_command(folder)
            direct.direct_running_mode = "in_memory"  # or Beam replaces the command by its own
        pipeline = beam.Pipeline(runner=_runner(here, command), options=here)
        _move_temporary_files(pipeline, folder)
        build(pipeline)
        try:
            return _wait(pipeline, folder / _FAILED)
        except BaseException:
            _silence_connections()
            raise


def _move_temporary_files(pipeline: "Pipeline", folder: Path) -> None:
    """Has the pipeline use a folder that is removed even if the pipeline is given up."""
    Path(pipeline.local_tempdir).rmdir()
    pipeline.local_tempdir = str(folder / "pipeline")
    make_folders(pipeline.local_tempdir)


def _silence_connections() -> None:
    """Drops what Beam's threads report of workers that are gone, after the pipeline has failed."""
    import grpc

    before = threading.excepthook

    def hook(args: threading.ExceptHookArgs) -> None:
        if not issubclass(args.exc_type, grpc.RpcError):
            before(args)

    threading.excepthook = hook
    logging.getLogger("apache_beam").setLevel(logging.CRITICAL)


def _worker_command(folder: Path) -> str:
    """Returns what the shell runs. Ctrl-C is left to this process."""
    command = [sys.executable, "-m", "codepretrain.data.engines.beam_worker", str(folder)]
    failed = shlex.quote(str(folder / _FAILED))
    return f"trap '' INT; {shlex.join(command)} || touch {failed} 2>/dev/null"


def _runner(options: "PipelineOptions", worker_command: str | None) -> "FnApiRunner":
    from apache_beam.portability.api import beam_provision_api_pb2
    from apache_beam.runners.portability.fn_api_runner import FnApiRunner, fn_runner
    from apache_beam.runners.portability.portable_runner import JobServiceHandle
    from apache_beam.transforms.environments import SubprocessSDKEnvironment

    encoded = JobServiceHandle.encode_pipeline_options(options.get_all_options())
    information = beam_provision_api_pb2.ProvisionInfo(pipeline_options=encoded)
    environment = None
    if worker_command is not None:
        environment = SubprocessSDKEnvironment.from_command_string(worker_command)
    return FnApiRunner(
        default_environment=environment,
        provision_info=fn_runner.ExtendedProvisionInfo(information),
    )


def _wait(pipeline: "Pipeline", failed: Path) -> str | None:
    """Runs a pipeline in a thread, which is left behind when a worker was killed or on a signal."""
    outcome: list[str | BaseException | None] = []

    def run() -> None:
        try:
            outcome.append(pipeline.run().wait_until_finish())
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=run, name="beam", daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(_PERIOD_S)
        if failed.exists():
            thread.join(_LAST_WORDS_S)
            break
    if not outcome:
        raise UserError(
            "a worker process of Beam was killed, most likely out of memory: prepare again with "
            "fewer --direct_num_workers"
        )
    if isinstance(outcome[0], BaseException):
        raise outcome[0]
    return outcome[0]
