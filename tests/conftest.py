"""Every test runs on eight CPU devices, with strict dtypes and ranks; warnings are errors."""

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

os.environ["XLA_FLAGS"] = (
    "--xla_force_host_platform_device_count=8 "
    # Half the time of a test is the compiler's: it need not try hard on tiny shapes.
    "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
)
os.environ["JAX_PLATFORMS"] = "cpu"

import jax  # the flags above must be set before the first import
import pytest

pytest_plugins = [
    "tests.fixtures.sources",
    "tests.fixtures.coordination",
    "tests.fixtures.corpus",
    "tests.fixtures.described",
    "tests.fixtures.hub",
    "tests.fixtures.object_stores",
    "tests.fixtures.processes",
    "tests.fixtures.seqio_study",
    "tests.fixtures.trained",
]

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

ROOT = Path(__file__).parent.parent
TINY = ROOT / "tests" / "studies" / "tiny.py"

Command = Callable[..., subprocess.CompletedProcess[str]]


def run_command(*arguments: str | Path, timeout_s: float = 300) -> subprocess.CompletedProcess[str]:
    """Runs `codepretrain` as a user would: in a process of its own."""
    command = [sys.executable, "-m", "codepretrain", *map(str, arguments)]
    environment = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
    return subprocess.run(
        command, capture_output=True, text=True, timeout=timeout_s, cwd=ROOT, env=environment
    )


@pytest.fixture(scope="session", autouse=True)
def compilation_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Programs that several tests compile are compiled once; half of the time was theirs.

    For this process alone: the commands that a test starts compile everything themselves.
    """
    jax.config.update("jax_compilation_cache_dir", str(tmp_path_factory.mktemp("compiled")))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


@pytest.fixture(scope="session")
def command() -> Command:
    return run_command


@pytest.fixture(scope="session")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with text.jsonl and code.jsonl: 300 small documents each, of different kinds."""
    folder = tmp_path_factory.mktemp("corpora")
    rng = random.Random(0)
    words = [
        "river",
        "stone",
        "light",
        "a",
        "the",
        "of",
        "under",
        "walks",
        "sings",
        "and",
        "slowly",
    ]
    names = ["alpha", "beta", "gamma", "total", "index", "value"]
    with (folder / "text.jsonl").open("w") as text, (folder / "code.jsonl").open("w") as code:
        for number in range(300):
            sentence = " ".join(rng.choice(words) for _ in range(rng.randint(20, 120)))
            text.write(json.dumps({"text": f"Page {number}. {sentence}."}) + "\n")
            lines = [
                f"    {rng.choice(names)} = {rng.choice(names)} + {rng.randint(0, 99)}"
                for _ in range(rng.randint(3, 25))
            ]
            body = "\n".join([f"def function_{number}(index):", *lines, "    return index"])
            code.write(json.dumps({"text": body}) + "\n")
    return folder


@pytest.fixture(scope="session")
def tiny_overrides(corpora: Path) -> list[str]:
    """What points tests/studies/tiny.py to the corpora."""
    return [
        f"--config.data.sources.{kind}.options.path={corpora / kind}.jsonl"
        for kind in ("text", "code")
    ]


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory, tiny_overrides: list[str]) -> Path:
    """A working directory in which the tiny study's data is prepared; not to be written to."""
    workdir = tmp_path_factory.mktemp("prepared")
    result = run_command("prepare", "--config", TINY, "--workdir", workdir, *tiny_overrides)
    assert result.returncode == 0, result.stderr
    return workdir


@pytest.fixture
def workdir(tmp_path: Path, prepared: Path) -> Path:
    """A fresh copy of `prepared`, to train and break things in."""
    return Path(shutil.copytree(prepared, tmp_path / "workdir"))
