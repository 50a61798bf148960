"""Environment variables that JAX or XLA refuse: one line that names variable and value."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from codepretrain.cli import environment
from codepretrain.cli.main import main
from codepretrain.errors import UserError
from tests.conftest import ROOT, TINY


@pytest.mark.parametrize(
    ("command", "variable", "value", "message"),
    [
        ("plan", "JAX_NUM_CPU_DEVICES", "abc", "JAX refuses it: Invalid value"),
        ("plan", "JAX_ENABLE_X64", "maybe", "JAX refuses it: invalid truth value"),
        ("train", "JAX_PLATFORMS", "foo", "JAX cannot start: RuntimeError: Unable to initialize"),
        ("evaluate", "JAX_PLATFORMS", "cuda", "JAX cannot start: "),
        ("train", "JAX_NUM_CPU_DEVICES", "0", "JAX cannot start: "),
        ("run", "XLA_FLAGS", "--nonsense", "XLA refuses it: Unknown flag in XLA_FLAGS: --nonsen"),
        ("export", "XLA_FLAGS", "no-such-file", "XLA refuses it: Could not open file"),
    ],
)
def test_a_variable_that_is_refused(
    tmp_path: Path, command: str, variable: str, value: str, message: str
) -> None:
    workdir = tmp_path / "new"
    where = ["--config", str(TINY), "--workdir", str(workdir)]
    more = ["--phase", "trunk", "--output", str(tmp_path / "o")] if command == "export" else []
    inherited = {k: v for k, v in os.environ.items() if k not in ("XLA_FLAGS", "JAX_PLATFORMS")}
    result = subprocess.run(
        [sys.executable, "-m", "codepretrain", command, *where, *more],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**inherited, variable: value},
        timeout=120,
    )
    lines = [line for line in result.stderr.splitlines() if "cpu_feature_guard" not in line]
    assert result.returncode == 2, result.stderr
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("codepretrain: ")
    assert message in lines[0]
    assert f"{variable}='{value}'" in lines[0]
    assert not workdir.exists()


def test_a_current_directory_that_was_deleted(tmp_path: Path) -> None:
    script = f"mkdir gone && cd gone && rmdir ../gone && {sys.executable} -m codepretrain plan"
    result = subprocess.run(
        ["bash", "-c", f"{script} --config {TINY}"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert result.returncode == 2
    assert result.stderr == (
        "codepretrain: --workdir workdir: the current directory was deleted: change to another "
        "one\n"
    )


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--xla_nope=1 --xla_nada", "Unknown flags in XLA_FLAGS: --xla_nope=1 --xla_nada"),
        ("--xla_cpu_enable_fast_math=maybe", "Couldn't interpret value maybe for flag xla_cpu"),
        ("/no/such/file", 'Could not open file "/no/such/file"'),
    ],
)
def test_flags_that_xla_refuses(monkeypatch: pytest.MonkeyPatch, flags: str, message: str) -> None:
    monkeypatch.setenv("XLA_FLAGS", flags)
    with pytest.raises(UserError) as error:
        environment._check_xla_flags(flags)
    assert message in str(error.value)
    assert len(str(error.value)) < 500


def test_flags_that_xla_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    flags = "--xla_force_host_platform_device_count=2 --xla_cpu_enable_fast_math=false"
    monkeypatch.setenv("XLA_FLAGS", flags)
    environment._check_xla_flags(flags)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("NVIDIA_TF32_OVERRIDE", "1"),
        ("NVIDIA_TF32_OVERRIDE", "0"),
        ("XLA_FLAGS", "--xla_force_host_platform_device_count=8 --xla_cpu_enable_fast_math"),
        ("XLA_FLAGS", "--xla_cpu_enable_fast_math=true"),
    ],
)
def test_variables_that_change_arithmetic_are_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    assert main(["plan", "--config", str(TINY)]) == 2
    message = f"environment variable {variable} has '{value.split()[-1]}', which changes the result"
    assert message in capsys.readouterr().err


def test_other_variables_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "")
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=false --xla_dump_to=/tmp/x")
    environment.check_arithmetic_variables()
