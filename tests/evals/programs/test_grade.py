"""Grades: what passes, why the rest does not, and that no candidate can forge one."""

import os
from pathlib import Path

import pytest

from codepretrain.errors import UserError
from codepretrain.evals.programs.grade import REASONS, Grade, grade, grade_trials
from codepretrain.evals.programs.trial import Trial
from tests.evals.programs.conftest import QUICK, grades, trial
from tests.evals.programs.hostile import FORGERIES, WASTE
from tests.evals.sandbox.conftest import granted

RIGHT = "def add(a, b):\n    return a + b\n"


def test_candidates_are_graded_apart_and_in_order() -> None:
    sources = [RIGHT, RIGHT.replace("+", "-"), "def add(", "", f"{RIGHT}print('x' * 1000)\n", "1/0"]
    found = [(one.reason, one.exception) for one in grades(sources)]
    assert found == [
        ("passed", None),
        ("wrong", "AssertionError"),
        ("invalid", "SyntaxError"),
        ("error", "NameError"),
        ("passed", None),
        ("error", "ZeroDivisionError"),
    ]


def test_a_grade_survives_as_json() -> None:
    (one,) = grades(["raise ValueError('why')"])
    assert (one.reason, one.exception, one.text) == ("error", "ValueError", "why")
    assert {"namespaces", "seccomp"} <= set(one.isolation)
    assert Grade.from_json(one.to_json()) == one
    assert one.reason in REASONS


@pytest.mark.parametrize("name", FORGERIES)
def test_no_candidate_forges_a_pass(name: str) -> None:
    granted("namespaces", "seccomp")
    source, reasons = FORGERIES[name]
    before, forged, after = grades([RIGHT, source, RIGHT])
    assert forged.reason in reasons, forged
    assert before.passed
    assert after.passed
    forged.text.encode()  # it can be written
    assert len(forged.text) + len(forged.exception or "") <= 400


@pytest.mark.parametrize("name", WASTE)
def test_waste_ends_at_a_limit(name: str) -> None:
    granted("namespaces", "seccomp")
    source, reasons = WASTE[name]
    (found,) = grades([source])
    assert found.reason in reasons, found


def test_a_candidate_sees_no_environment_file_or_network(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each probe returns what it reached; nothing is what the tests expect."""
    granted("namespaces", "seccomp", "landlock")
    outside = tmp_path / "credentials.json"
    outside.write_text("hunter2")
    monkeypatch.setenv("HF_TOKEN", "hunter2")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(outside))
    source = f"""\
import os, pathlib, socket
def environment(): return sorted(set(os.environ) - {{"PYTHONHASHSEED", "LC_CTYPE"}})
def files():
    found = []
    for path in ({str(outside)!r}, "~/.ssh", "~/.aws", "~/.config/gcloud", "~/.netrc", "/root",
                 "/etc/passwd", "/etc/shadow", "/etc/hosts", "/var/run/secrets",
                 "/proc/1/environ", "/proc/self/environ"):
        try:
            path = os.path.expanduser(path)
            found.append(os.listdir(path) if os.path.isdir(path) else open(path).read())
        except OSError:
            pass
    return found
def network():
    try:
        socket.create_connection(("169.254.169.254", 80), 1)
        return "reached"
    except OSError:
        return ""
def descriptors():
    found = []
    for number in range(64):
        try:
            os.fstat(number)
            found.append(number)
        except OSError:
            pass
    return len(found)
"""
    tests = (
        "assert environment() == []\nassert files() == []\nassert network() == ''\n"
        "assert descriptors() == 5, descriptors()\n"  # 0, 1, 2 and the two of the channel
    )
    names = ("environment", "files", "network", "descriptors")
    (found,) = grades([source], tests=tests, names=names)
    assert found.passed, found


def test_the_tests_see_no_more_than_the_candidate(monkeypatch: pytest.MonkeyPatch) -> None:
    """The code of a benchmark is not trusted with the host either."""
    granted("namespaces", "seccomp")
    monkeypatch.setenv("HF_TOKEN", "hunter2")
    tests = "import os\nassert 'HF_TOKEN' not in os.environ\ntry: os.fork()\nexcept OSError: pass\n"
    (found,) = grades([RIGHT], tests=tests)
    assert found.passed, found


def test_required_layers_are_refused_by_name_before_a_program_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("codepretrain.evals.sandbox.launch.filter_program", lambda: None)
    with pytest.raises(UserError, match="seccomp"):
        grade(trial(RIGHT), limits=QUICK)


def test_fewer_layers_are_in_the_grade() -> None:
    found = grade(trial(RIGHT), limits=QUICK, layers=("limits",), required_layers=("limits",))
    assert (found.reason, found.isolation) == ("passed", ("limits",))


def test_tests_that_cannot_run_are_no_fault_of_the_candidate() -> None:
    broken = Trial(source=RIGHT, setup="import nowhere", tests="", names=("add",))
    with pytest.raises(UserError, match=r"the tests of a problem cannot be run: ModuleNotFound"):
        grade(broken, limits=QUICK)


def test_results_do_not_depend_on_the_number_at_a_time() -> None:
    trials = [trial(RIGHT.replace("+", sign)) for sign in ("+", "-", "*", "//")]
    alone, together = (grade_trials(trials, limits=QUICK, num_workers=n) for n in (1, 4))
    assert alone == together


def test_nothing_is_left() -> None:
    before = len(os.listdir("/dev/fd"))
    grades([RIGHT, "import os; os._exit(1)", "while True: pass"])
    assert len(os.listdir("/dev/fd")) == before
