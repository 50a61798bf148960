import os
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from apache_beam.runners.portability.flink_runner import FlinkRunner

from codepretrain.data.engines.beam import BeamEngine, beam_options
from codepretrain.errors import UserError

MODES = ["", "--direct_running_mode=multi_processing --direct_num_workers=2"]


@dataclass(frozen=True)
class Part:
    folder: str
    number: int


def make(part: Part) -> tuple[int, int]:
    """Makes a part unless it is there; returns its number and the process that made it."""
    path = Path(part.folder, str(part.number))
    if not path.exists():
        path.write_text(str(os.getpid()))
    return part.number, int(path.read_text())


def refuse(part: Part) -> None:
    raise UserError(f"part {part.number} cannot be read")


def fail(part: Part) -> None:
    raise ZeroDivisionError


@pytest.mark.parametrize("options", MODES)
def test_the_pipeline_makes_all_parts_and_summaries_come_in_order(options, tmp_path):
    engine = BeamEngine(beam_options(options, tmp_path))
    parts = [Part(str(tmp_path), number) for number in range(20)]
    summaries = list(engine.map(make, parts))
    assert [number for number, _ in summaries] == list(range(20))
    makers = {process for _, process in summaries}
    assert (os.getpid() in makers) == (options == "")
    assert len(makers) == (1 if options == "" else 2)


def test_parts_that_are_whole_are_not_made_again(tmp_path):
    (tmp_path / "3").write_text("7")
    engine = BeamEngine(beam_options("", tmp_path))
    assert list(engine.map(make, [Part(str(tmp_path), 3)])) == [(3, 7)]


def test_no_parts_need_no_pipeline(tmp_path):
    assert list(BeamEngine(beam_options("", tmp_path)).map(make, [])) == []


@pytest.mark.parametrize("options", MODES)
def test_a_user_error_of_a_part_is_raised_as_it_is(options, tmp_path):
    engine = BeamEngine(beam_options(options, tmp_path))
    with pytest.raises(UserError, match=r"^part 3 cannot be read$"):
        list(engine.map(refuse, [Part(str(tmp_path), 3)]))


@pytest.mark.parametrize("options", MODES)
def test_other_errors_end_the_pipeline(options, tmp_path):
    engine = BeamEngine(beam_options(options, tmp_path))
    with pytest.raises(Exception, match="ZeroDivisionError"):
        list(engine.map(fail, [Part(str(tmp_path), 3)]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--runer=DirectRunner", "no option --runer; did you mean runner"),
        ("runner=DirectRunner", "expected options such as --runner=DirectRunner"),
        ("--runner='DirectRunner", "No closing quotation"),
        ("--direct_num_workers=two", "not accept .*: argument --direct_num_workers: invalid int"),
        ("--direct_running_mode=multi", "running_mode: invalid choice: 'multi'"),
        ("--runner=FlinkRuner", "no runner 'FlinkRuner'; did you mean FlinkRunner"),
        ("--runner=some.where.Runner", "no runner 'some.where.Runner': No module named 'some'"),
        ("--runner=json.Runner", "no runner 'json.Runner': module 'json' has no attribute"),
        ("--runner=dataflow --project=p", "cannot see"),
        ("--runner=DataflowRunner --project=p", "cannot see"),
    ],
)
def test_wrong_options_are_one_error(options, message, tmp_path, capfd):
    with pytest.raises(UserError, match=message):
        beam_options(options, tmp_path)
    assert capfd.readouterr() == ("", "")


def test_a_runner_that_cannot_be_reached_is_one_error(tmp_path, monkeypatch):
    def no_server(self, pipeline, options):
        raise RuntimeError("Unable to fetch remote job server")

    monkeypatch.setattr(FlinkRunner, "run_pipeline", no_server)
    engine = BeamEngine(beam_options("--runner=FlinkRunner", tmp_path))
    message = r"^--beam: FlinkRunner did not accept the pipeline: Unable to fetch"
    with pytest.raises(UserError, match=message):
        engine.map(make, [Part(str(tmp_path), 1)])


def test_a_working_directory_in_an_object_store_is_seen_by_other_machines():
    options = beam_options("--runner=DataflowRunner --project=p", "gs://bucket/folder")
    assert options.get_all_options()["runner"] == "DataflowRunner"


def test_beam_that_is_not_installed_is_one_error(tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "apache_beam"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    with pytest.raises(UserError, match=r"^--beam needs the extra `beam`: pip install"):
        beam_options("", tmp_path)
