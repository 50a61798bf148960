"""The rules that keep the house in order: who may import whom, and how long things may be."""

import ast
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import pytest

from codepretrain.evals.registry import KINDS
from codepretrain.model.attention_kernels import KERNELS

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "codepretrain"
FILES = sorted(PACKAGE.rglob("*.py"))

MAX_FILE_LINES = 300
MAX_FUNCTION_LINES = 60

_DATA_ONLY = (
    *("seqio", "tensorflow", "tensorflow_text", "tokenizers", "apache_beam"),
    "pyarrow",
)
_EVAL_ONLY = ("lm_eval", "datasets", "huggingface_hub")  # the extra `eval`
_SERVE_ONLY = ("starlette", "uvicorn")  # the extra `serve`

# Module (or folder) → what it never imports, as prefixes of dotted names.
NEVER = {
    "codepretrain.config": "jax numpy flax orbax absl",
    "codepretrain.model": (
        "codepretrain.data codepretrain.stream codepretrain.study codepretrain.train "
        "codepretrain.optim ml_collections orbax absl"
    ),
    "codepretrain.train.loss": (
        "codepretrain.data codepretrain.stream codepretrain.study ml_collections orbax absl"
    ),
    "codepretrain.train.step": "codepretrain.data codepretrain.study ml_collections orbax absl",
    "codepretrain.optim": (
        "codepretrain.data codepretrain.stream codepretrain.study codepretrain.model "
        "ml_collections orbax absl"
    ),
    "codepretrain.train.sharding": "codepretrain.model codepretrain.data",
    "codepretrain.hardware": (
        "codepretrain.model codepretrain.train codepretrain.stream codepretrain.podplan "
        "codepretrain.study codepretrain.data jax"
    ),
    "codepretrain.podplan": (
        "codepretrain.study codepretrain.data codepretrain.evals codepretrain.report "
        "codepretrain.cli codepretrain.checkpoint absl argparse"
    ),
    "codepretrain.train": (
        "codepretrain.study codepretrain.data codepretrain.podplan codepretrain.evals absl argparse"
    ),
    "codepretrain.rows": (
        "codepretrain.stream codepretrain.model codepretrain.train codepretrain.evals "
        "codepretrain.study jax grain array_record"
    ),
    "codepretrain.stream": "codepretrain.data codepretrain.model jax",
    "codepretrain.evals": "codepretrain.train.trainer codepretrain.study absl argparse",
    "codepretrain.serve": (
        "codepretrain.study.run codepretrain.study.runner codepretrain.train.trainer "
        "codepretrain.data codepretrain.report codepretrain.cli absl argparse"
    ),
    "codepretrain.interop": (
        "codepretrain.study codepretrain.train.trainer codepretrain.stream codepretrain.evals "
        "torch transformers"
    ),
    "codepretrain.endpoint": (
        "codepretrain.config codepretrain.data codepretrain.evals codepretrain.study jax numpy"
    ),
    "codepretrain.files": "codepretrain.config codepretrain.data codepretrain.study jax numpy",
    # Arrays in, estimates out.
    "codepretrain.inference": (
        "codepretrain.config codepretrain.data codepretrain.files codepretrain.report "
        "codepretrain.rows codepretrain.stream codepretrain.study codepretrain.train "
        "codepretrain.evals.registry codepretrain.model ml_collections orbax absl argparse jax"
    ),
    "codepretrain.report": "codepretrain.study codepretrain.train jax",
    "codepretrain.launch": (
        "codepretrain.study codepretrain.train codepretrain.stream codepretrain.checkpoint "
        "codepretrain.data codepretrain.evals codepretrain.cli codepretrain.podplan.compiled_step "
        "codepretrain.podplan.topology jax numpy flax orbax absl argparse"
    ),
    # Sent to a host on its own, before anything is installed there.
    "codepretrain.launch.host_start": "codepretrain",
    "codepretrain": "experiments launch tests",
}
STANDARD_LIBRARY_ONLY = (
    "config/schema.py",
    "config/parse.py",
    "config/validate.py",
    "config/values.py",
    "errors.py",
    "launch/host_start.py",
    "launch/machine.py",
    "launch/records.py",
)


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> set[str]:
    """Every module that a file imports, at its top or within a function, as dotted names."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            assert node.module
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def starts_with(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(prefix + ".")


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_imports_go_down_only(path: Path) -> None:
    module = module_name(path)
    forbidden = {
        prefix
        for owner, prefixes in NEVER.items()
        if starts_with(module, owner)
        for prefix in prefixes.split()
    }
    is_of_harness = starts_with(module, "codepretrain.evals.harness")
    if not is_of_harness:
        forbidden |= set(_EVAL_ONLY)
    if not starts_with(module, "codepretrain.data"):
        reads_text = is_of_harness or module == "codepretrain.evals.programs.records"
        forbidden |= set(_DATA_ONLY) - ({"tokenizers", "pyarrow"} if reads_text else set())
        if not starts_with(module, "codepretrain.cli"):
            forbidden.add("codepretrain.data")
    if not starts_with(module, "codepretrain.serve"):
        forbidden |= set(_SERVE_ONLY)
        if not starts_with(module, "codepretrain.cli"):
            forbidden.add("codepretrain.serve")
    broken = {name for name in imports(path) for prefix in forbidden if starts_with(name, prefix)}
    assert not broken, f"{module} must not import {sorted(broken)}"


# Module → what it imports by name, which no import statement shows.
_BY_NAME = {
    "codepretrain.evals.registry": tuple(f"codepretrain.evals.{kind}" for kind in KINDS),
    "codepretrain.model.attention_kernels": tuple(
        f"codepretrain.model.kernels.{kernel}" for kernel in KERNELS
    ),
}


def import_graph() -> dict[str, set[str]]:
    """Module → the package's modules that it imports, for type checking and by name included."""
    modules = {module_name(path): path for path in FILES}
    graph = {}
    for module, path in modules.items():
        names = imports(path) | set(_BY_NAME.get(module, ()))
        graph[module] = (names & modules.keys()) - {module}
    return graph


def circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Returns the groups of nodes that reach each other, each sorted."""
    reached: dict[str, set[str]] = {}
    for node in graph:
        seen: set[str] = set()
        waiting = [node]
        while waiting:
            new = graph.get(waiting.pop(), set()) - seen
            seen |= new
            waiting.extend(new)
        reached[node] = seen
    groups = {
        tuple(sorted({node} | {n for n in reached[node] if node in reached.get(n, ())}))
        for node in graph
        if node in reached[node]
    }
    return [list(group) for group in sorted(groups)]


def test_modules_import_each_other_in_no_circle() -> None:
    assert circles(import_graph()) == []


def test_folders_import_each_other_in_no_circle() -> None:
    """The units are what lies in `codepretrain/`: its folders and its files."""
    graph: dict[str, set[str]] = defaultdict(set)
    for module, names in import_graph().items():
        unit = _unit(module)
        graph[unit] |= {_unit(name) for name in names} - {unit}
    assert circles(graph) == []


def _unit(module: str) -> str:
    return ".".join(module.split(".")[:2])


def test_a_circle_is_found() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": {"e"}, "e": {"d"}, "f": {"a"}}
    assert circles(graph) == [["a", "b", "c"], ["d", "e"]]


@pytest.mark.parametrize("name", STANDARD_LIBRARY_ONLY)
def test_config_imports_the_standard_library_only(name: str) -> None:
    for imported in imports(PACKAGE / name):
        top = imported.split(".")[0]
        assert top in sys.stdlib_module_names or top == "codepretrain", imported


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_files_and_functions_stay_short(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= MAX_FILE_LINES, f"{path.name} is too long: split it by idea"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= MAX_FUNCTION_LINES, f"{path.name}: {node.name} has {length} lines"


# Modules that open files of the operating system or of the process, none of a study.
_OWN_FILES = (
    "files",
    "evals/sandbox",
    "evals/programs/inside",
    "cli/output.py",
    "cli/process.py",
    "cli/worker.py",
    "hardware",
    "launch/host_start.py",
)
_FILE_METHODS = {
    *("open", "fdopen", "read_bytes", "write_bytes", "write_text", "fsync"),
    *("mkdir", "makedirs", "rename", "unlink", "rmtree", "copytree", "flock"),
}
_THROUGH_FILES = [
    path for path in FILES if not path.relative_to(PACKAGE).as_posix().startswith(_OWN_FILES)
]


@pytest.mark.parametrize("path", _THROUGH_FILES, ids=module_name)
def test_files_are_read_and_written_in_one_place(path: Path) -> None:
    """`open_index(…)` and `write_text(…)` of codepretrain.files are functions, not methods."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            function = node.func
            is_open = isinstance(function, ast.Name) and function.id == "open"
            is_method = isinstance(function, ast.Attribute) and function.attr in _FILE_METHODS
            uses_files = not is_open and not is_method
            assert uses_files, f"{path.name} line {node.lineno}: use codepretrain.files"


def test_only_the_endpoint_sends_requests() -> None:
    clients = {module_name(path) for path in FILES if "httpx2" in imports(path)}
    assert clients == {"codepretrain.endpoint.chat", "codepretrain.endpoint.paid_requests"}


def test_only_the_command_line_reads_the_environment() -> None:
    readers = {
        p.relative_to(PACKAGE).as_posix()
        for p in FILES
        if "os.environ" in p.read_text() or "getenv" in p.read_text()
    }
    readers.discard("launch/host_start.py")  # a program of its own
    assert {reader.split("/")[0] for reader in readers} <= {"cli", "__main__.py"}


def test_the_training_process_imports_neither_tensorflow_nor_tokenizers() -> None:
    """All that `codepretrain run` and `train` import, in a fresh interpreter."""
    modules = "codepretrain.cli.main, codepretrain.study.run, codepretrain.train.trainer"
    code = f"import sys, {modules}; print(*sorted(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 0, result.stderr
    loaded = {name.split(".")[0] for name in result.stdout.split()}
    assert not loaded & {*_DATA_ONLY, *_EVAL_ONLY, *_SERVE_ONLY}


def test_declaring_an_evaluation_by_the_harness_imports_neither_it_nor_jax() -> None:
    code = "import sys, codepretrain.evals.harness; print(*sorted(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 0, result.stderr
    loaded = {name.split(".")[0] for name in result.stdout.split()}
    assert not loaded & {*_DATA_ONLY, *_EVAL_ONLY, "jax"}


def test_the_training_process_starts_without_the_packages_that_prepare_data() -> None:
    """fsspec imports zstandard where it is installed, so that one must only not be needed."""
    modules = "codepretrain.cli.main, codepretrain.study.run, codepretrain.train.trainer"
    absent = [*_DATA_ONLY, *_EVAL_ONLY, *_SERVE_ONLY, "zstandard"]
    code = f"import sys; sys.modules.update(dict.fromkeys({absent})); import {modules}"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 0, result.stderr


def test_inference_imports_no_jax_and_reads_no_config() -> None:
    modules = ", ".join(
        m for m in map(module_name, FILES) if starts_with(m, "codepretrain.inference")
    )
    code = f"import sys, {modules}; print(*sorted(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 0, result.stderr
    loaded = set(result.stdout.split())
    assert not {name.split(".")[0] for name in loaded} & {"jax", "flax", "orbax"}
    assert not {name for name in loaded if starts_with(name, "codepretrain.config")}


def test_launching_imports_no_jax() -> None:
    """All of `codepretrain/launch`, which runs on the host beside the workers."""
    modules = ", ".join(m for m in map(module_name, FILES) if starts_with(m, "codepretrain.launch"))
    code = f"import sys, {modules}; print(*sorted(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 0, result.stderr
    assert not {name.split(".")[0] for name in result.stdout.split()} & {"jax", "flax", "orbax"}


def test_report_and_show_batch_import_no_jax() -> None:
    """All that the two commands import before they read a working directory."""
    modules = "codepretrain.cli.main, codepretrain.study.report, codepretrain.study.show_batch"
    code = f"import sys, {modules}; print(*sorted(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 0, result.stderr
    assert not {name.split(".")[0] for name in result.stdout.split()} & {"jax", "flax", "orbax"}


def test_the_subject_of_a_report_is_known_without_its_plots() -> None:
    """`plan --power` reads finished runs, and draws nothing."""
    code = "import sys, codepretrain.study.measured_spreads; print(*sorted(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert result.returncode == 0, result.stderr
    assert not {name.split(".")[0] for name in result.stdout.split()} & {"jax", "matplotlib"}
