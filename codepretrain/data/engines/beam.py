"""Runs the parts of data preparation with Apache Beam: on one machine, Dataflow, Flink or Spark.

    parts ─ Create ─ Reshuffle ─ Map(function) ─▶ files below the working directory

The pipeline writes the parts; this process then takes their summaries, which is quick, because a
part that is whole is not made again (`data/engines/engine.py`). Workers must see the working
directory and the raw files, so on other machines both are in an object store, and `codepretrain`
with the extra `data` is installed there (Beam's options `--sdk_container_image` or `--setup_file`).
"""

import io
import logging
import shlex
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stderr
from typing import TYPE_CHECKING, Generic

from codepretrain.config.parse import suggestion
from codepretrain.data.engines.beam_direct import is_direct, run_direct, runner_name
from codepretrain.data.engines.engine import Engine, Summary, Task
from codepretrain.errors import UserError, quoted
from codepretrain.files.storage import StrPath, is_local

if TYPE_CHECKING:
    from apache_beam import Pipeline
    from apache_beam.options.pipeline_options import PipelineOptions

FLAG = "--beam"
_QUIET = "--default_sdk_harness_log_level=ERROR"  # of worker processes; a later one counts


class BeamEngine(Engine):
    """Runs every call of `map` as one pipeline."""

    def __init__(self, options: "PipelineOptions") -> None:
        """options: what `beam_options` returned."""
        self._options = options

    def map(self, function: Callable[[Task], Summary], tasks: Iterable[Task]) -> Iterator[Summary]:
        import apache_beam as beam

        chosen = list(tasks)

        def build(pipeline: "beam.Pipeline") -> None:
            (
                pipeline
                | beam.Create(chosen, reshuffle=False)
                | beam.Reshuffle()
                | beam.Map(_Part(function))
            )

        if chosen:
            state = self._run(build)
            if state not in (None, "DONE"):
                raise UserError(
                    f"the Beam pipeline ended as {state}; rerun to make what is missing"
                )
        return map(function, chosen)

    def _run(self, build: Callable[["Pipeline"], None]) -> str | None:
        import apache_beam as beam

        if is_direct(self._options):
            return run_direct(self._options, build)
        pipeline = beam.Pipeline(options=self._options)
        build(pipeline)
        runner = runner_name(self._options)
        try:
            job = pipeline.run()
        except Exception as error:  # runners raise what their clients do
            raise UserError(f"{FLAG}: {runner} did not accept the pipeline: {error}") from error
        return job.wait_until_finish()


class _Part(Generic[Task, Summary]):
    """Makes a part. A user's mistake is left to this process, which makes the part again."""

    def __init__(self, function: Callable[[Task], Summary]) -> None:
        self._function = function

    def __call__(self, task: Task) -> None:
        try:
            self._function(task)
        except UserError as error:
            logging.getLogger(__name__).warning("%s", error)


def beam_options(text: str, workdir: StrPath) -> "PipelineOptions":
    """Returns Beam's options, as they are given after `--beam`.

    Args:
      text: "--runner=DataflowRunner --project=… --temp_location=gs://…"; empty: this machine.
      workdir: where the workers write.

    Raises:
      UserError: Beam is not installed, an option that no runner knows, or workers on other machines
        that could not see the working directory.
    """
    try:
        with _silent_logging():  # on packages of Google Cloud that are not installed
            from apache_beam.options.pipeline_options import PipelineOptions
    except ImportError as error:
        raise UserError(
            f"{FLAG} needs the extra `beam`: pip install 'codepretrain[beam]'"
        ) from error
    logging.getLogger("apache_beam").setLevel(logging.ERROR)
    arguments = [_QUIET, *_split(text)]
    printed = io.StringIO()
    try:
        with redirect_stderr(printed):
            options = PipelineOptions(arguments)
            known = options.get_all_options(drop_default=False)
    except SystemExit as error:  # argparse has printed its usage and, in the last line, why
        reason = printed.getvalue().strip().rpartition("error: ")[2]
        raise UserError(f"{FLAG}: Beam does not accept {quoted(text)}: {reason}") from error
    for argument in arguments:
        name = argument.partition("=")[0].removeprefix("--")
        if (
            name not in known
            and f"no_{name}" not in known
            and name.removeprefix("no_") not in known
        ):
            raise UserError(f"{FLAG}: Beam has no option --{name}{suggestion(name, sorted(known))}")
    _check_runner(options, workdir)
    return options


def _check_runner(options: "PipelineOptions", workdir: StrPath) -> None:
    from apache_beam.options.pipeline_options import StandardOptions
    from apache_beam.runners.runner import create_runner

    runner = runner_name(options)
    try:
        with _silent_logging():
            create_runner(runner)
    except ValueError as error:  # Beam's message lists all runners
        near = suggestion(runner, StandardOptions.KNOWN_RUNNER_NAMES)
        raise UserError(f"{FLAG}: no runner {quoted(runner)}{near}") from error
    except (AttributeError, ImportError) as error:
        raise UserError(f"{FLAG}: no runner {quoted(runner)}: {error}") from error
    if is_local(workdir) and "dataflow" in runner.lower():
        raise UserError(
            f"{FLAG}: workers of {runner} cannot see {workdir} on this machine: give a --workdir "
            "in an object store"
        )


@contextmanager
def _silent_logging() -> Iterator[None]:
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def _split(text: str) -> list[str]:
    try:
        arguments = shlex.split(text)
    except ValueError as error:
        raise UserError(f"{FLAG}: {error} in {quoted(text)}") from error
    for argument in arguments:
        if not argument.startswith("--"):
            raise UserError(
                f"{FLAG}: expected options such as --runner=DirectRunner, found {quoted(argument)}"
            )
    return arguments
