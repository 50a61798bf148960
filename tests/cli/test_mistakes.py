"""Wrong command lines: each ends with exit code 2 and one line, before anything is created.

`{c}` stands for `--config` and `--workdir` of the tiny study and of a folder that does not exist.
"""

import shlex
from pathlib import Path

import pytest

from codepretrain.cli.main import main
from tests.conftest import TINY

LONG = "x" * 5000
NO_S3 = (
    "Orbax cannot store checkpoints on s3://; give gs://BUCKET/FOLDER, a local folder, or a folder "
    "of a mounted network file system"
)
GRAMMAR = [
    ("", "the following arguments are required: command"),
    ("trian {c}", "there is no command 'trian'; did you mean train?"),
    ("Run {c}", "there is no command 'Run'; did you mean run?"),
    ("replay {c}", "there is no command 'replay'; did you mean"),
    (f"{LONG} {{c}}", "there is no command 'xxx"),
    ("'' {c}", "there is no command ''"),
    ("zzz {c}", "there is no command 'zzz'; expected one of: run, prepare, train, evaluate"),
    ("--config {tiny}", "expected a command before '--config': run, prepare, train, evaluate"),
    ("--config {tiny} plan", "expected a command before '--config'"),
    ("plan", "the following arguments are required: --config"),
    ("run --config", "--config: expected one argument"),
    ("plan --config", "--config: expected at least one argument"),
    ("plan --config --workdir {new}", "--config: expected at least one argument"),
    ("plan {c} --workdir", "--workdir: expected one argument"),
    ("plan {c} --workdir --config.seed=1 {new}", "--workdir: expected one argument"),
    ("plan {c} --config.seed=1 extra", "unknown argument 'extra'"),
    ("plan {c} '--config.a b=1'", "overrides have the form"),
    ("prepare {c} --beam --runner=DirectRunner", "begins with a dash is given as --beam=…"),
    ("prepare {c} --beam= --num-workers 2", "--num-workers: expected no --beam with it"),
    ("plan {c} extra", "unknown argument 'extra'"),
    ("plan {c} plan", "unknown argument 'plan'"),
    ("plan {c} -v", "unknown argument '-v'"),
    ("plan {c} --", "unknown argument '--'"),
    ("plan {c} -- --json", "unknown argument"),
    ("plan {c} --jsn", "unknown argument '--jsn'; did you mean --json?"),
    ("plan {c} --js", "unknown argument '--js'"),
    ("plan {c} --json=yes", "ignored explicit argument 'yes'"),
    ("plan {c} --confg={tiny}", "did you mean --config?"),
    ("plan {c} --work-dir={new}", "did you mean --workdir?"),
    ("plan {c} --phase trunk", "unknown argument '--phase'"),
    (f"plan {{c}} --{LONG}", "unknown argument '--xxx"),
    (f"plan {{c}} {LONG}", "unknown argument 'xxx"),
    ("plan {c} 'two\nlines'", r"unknown argument 'two\nlines'"),
    ("plan {c} --workdir '\udcff'", r"argument '\udcff': expected UTF-8 text"),
    ("plan {c} '\x1b[31mred'", r"unknown argument '\x1b[31mred'"),
    ("train {c} --config other.py", "--config is given twice: "),
    ("plan {c} --config {tiny}", "--config: two studies are called tiny: expected different names"),
    ("report {c} --config {tiny}", "--config: two studies are called tiny: expected"),
    ("report {c} --config other.py", "other.py: "),
    ("plan {c} --workdir other", "--workdir is given twice: "),
    ("show-batch {c} --phase trunk --phase branch --step 1", "--phase is given twice: 'trunk' and"),
    ("show-batch {c} --phase trunk --step 1 --step 2", "--step is given twice: 1 and 2"),
    ("evaluate {c} --step 1 --step=2", "--step is given twice: 1 and 2"),
    (
        "evaluate {c} --step 1 --watch",
        "--watch evaluates all steps: expected no --step with",
    ),
    ("evaluate {c} --watch --poll-s 0", "--poll-s: expected"),
    ("export {c} --phase trunk --output a --output b", "--output is given twice: 'a' and 'b'"),
    ("show-batch {c} --step 1", "the following arguments are required: --phase"),
    ("show-batch {c} --phase trunk", "the following arguments are required: --step"),
    ("export {c}", "the following arguments are required: --phase, --output"),
    ("import {c} --model x", "the following arguments are required: --name"),
    ("import {c} --name x", "the following arguments are required: --model"),
]
NUMBERS = [
    ("prepare {c} --num-workers 0", "--num-workers: expected a whole number, at least 1, at most"),
    ("prepare {c} --num-workers=-1", "--num-workers: expected a whole number, at least 1"),
    ("prepare {c} --num-workers=100000", "at most 1,024, got '100000'"),
    ("prepare {c} --num-workers=1.5", "--num-workers: expected a whole number"),
    ("prepare {c} --num-workers=many", "--num-workers: expected a whole number"),
    ("prepare {c} --num-workers=", "--num-workers: expected a whole number, at least 1, at most"),
    ("prepare {c} --num-workers=1e3", "--num-workers: expected a whole number"),
    ("prepare {c} --num-workers=0x10", "--num-workers: expected a whole number"),
    ("prepare {c} --num-workers=٣", "--num-workers: expected a whole number"),
    (f"prepare {{c}} --num-workers={'9' * 5000}", "--num-workers: expected a whole number"),
    ("plan {c} --slices 0", "--slices: expected a whole number, at least 1"),
    ("plan {c} --slices -1", "--slices: expected a whole number, at least 1"),
    ("plan {c} --slices 1000000", "--slices: expected a whole number, at least 1, at most 1,024"),
    ("plan {c} --slices two", "--slices: expected a whole number"),
    ("plan {c} --slices 2", "--search and --slices need a --topology"),
    ("plan {c} --search", "--search and --slices need a --topology"),
    ("plan {c} --max-compiles -1", "--max-compiles: expected a whole number, at least 1"),
    ("plan {c} --max-compiles 0", "--max-compiles: expected a whole number, at least 1"),
    ("plan {c} --topology v5e", "v5e"),
    ("plan {c} --topology v5e:0x4", "got 0x4"),
    ("plan {c} --topology v9:4x4", "v9"),
    ("plan {c} --topology ''", "topology"),
    ("show-batch {c} --phase trunk --step -1", "--step: expected a whole number, at least 0"),
    ("show-batch {c} --phase trunk --step x", "--step: expected a whole number, at least 0"),
    ("show-batch {c} --phase trunk --step 1_", "--step: expected a whole number, at least 0"),
    ("evaluate {c} --step -1", "--step: expected a whole number, at least 0, got '-1'"),
    ("evaluate {c} --step 1.0", "--step: expected a whole number, at least 0, got '1.0'"),
    ("export {c} --phase trunk --output o --step -1", "--step: expected a whole number, at least"),
    ("export {c} --phase trunk --output o --max-shard-bytes 0", "--max-shard-bytes: expected a"),
    ("export {c} --phase trunk --output o --max-shard-bytes -5", "--max-shard-bytes: expected a"),
    ("export {c} --phase trunk --output o --max-shard-bytes 2GB", "--max-shard-bytes: expected a"),
    ("export {c} --phase trunk --output o --dtype float16", "--dtype: invalid choice: 'float16'"),
    ("export {c} --phase trunk --output o --dtype ''", "--dtype: invalid choice: ''"),
    ("train {c} --profile -1", "--profile: expected a whole number, at least 0"),
    ("run {c} --profile all", "--profile: expected a whole number, at least 0"),
    ("train {c} --cpu-devices 0", "--cpu-devices: expected a whole number, at least 1"),
    ("train {c} --cpu-devices -8", "--cpu-devices: expected a whole number, at least 1"),
    ("train {c} --cpu-devices 100000", "--cpu-devices: expected a whole number, at least 1, at m"),
    ("train {c} --cpu-devices eight", "--cpu-devices: expected a whole number"),
    ("train {c} --heartbeat-timeout-s 0", "--heartbeat-timeout-s: expected a whole number"),
]
MACHINES = [
    ("run {c} --num-processes 2", "--num-processes needs --coordinator HOST:PORT"),
    ("run {c} --process-id 0", "--process-id needs --coordinator HOST:PORT"),
    ("run {c} --num-processes 2 --process-id 0", "--num-processes needs --coordinator HOST:PORT"),
    ("run {c} --num-processes 0", "--num-processes: expected a whole number, at least 1"),
    ("run {c} --process-id -1", "--process-id: expected a whole number, at least 0"),
    ("train {c} --coordinator localhost:1234 --num-processes 2", "--process-id is missing"),
    ("train {c} --coordinator localhost:1234 --process-id 1", "--num-processes is missing"),
    (
        "train {c} --coordinator localhost:1234 --num-processes 2 --process-id 2",
        "--process-id: expected 0 to 1 for --num-processes=2, got 2",
    ),
    (
        "evaluate {c} --distributed --num-processes 1 --process-id 7",
        "--process-id: expected 0 to 0 for --num-processes=1, got 7",
    ),
    ("train {c} --coordinator localhost", "--coordinator: expected HOST:PORT, got 'localhost'"),
    ("train {c} --coordinator localhost:", "--coordinator: expected HOST:PORT"),
    ("train {c} --coordinator :1234", "--coordinator: expected HOST:PORT"),
    ("train {c} --coordinator localhost:99999", "--coordinator: expected HOST:PORT"),
    ("train {c} --coordinator localhost:port", "--coordinator: expected HOST:PORT"),
    ("train {c} --coordinator http://localhost:12", "--coordinator: expected HOST:PORT"),
    ("train {c} --coordinator ''", "--coordinator: expected HOST:PORT, got ''"),
    ("prepare {c} --coordinator localhost:1234", "unknown argument '--coordinator'"),
    ("train {c} --distributed=yes", "ignored explicit argument 'yes'"),
]
PATHS = [
    ("run --config {tiny} --workdir /proc/nope", "cannot write to --workdir /proc/nope: No such"),
    ("prepare --config {tiny} --workdir /proc/nope", "cannot write to --workdir /proc/nope"),
    ("train --config {tiny} --workdir /proc/nope", "cannot write to --workdir /proc/nope"),
    ("evaluate --config {tiny} --workdir /proc/nope", "cannot write to --workdir /proc/nope"),
    ("report --config {tiny} --workdir /proc/nope", "cannot write to --workdir /proc/nope"),
    (
        "import --config {tiny} --workdir /proc/nope --model {folder} --name base",
        "cannot write to --workdir /proc/nope",
    ),
    ("prepare --config {tiny} --workdir /sys/nope", "cannot write to --workdir /sys/nope"),
    ("prepare --config {tiny} --workdir /dev/null", "/dev/null: expected a folder, found a file"),
    ("prepare --config {tiny} --workdir /dev/null/x", "cannot write to --workdir /dev/null/x"),
    ("prepare --config {tiny} --workdir {file}", "expected a folder, found a file"),
    ("plan --config {tiny} --workdir {file}", "expected a folder, found a file"),
    ("data describe --config {tiny} --workdir {file}", "expected a folder, found a file"),
    ("prepare --config {tiny} --workdir {file}/x/y", "one of its parents is a file"),
    ("prepare --config {tiny} --workdir {loop}", "cannot write to --workdir"),
    ("prepare --config {tiny} --workdir {loop}/x", "its symbolic links form a loop"),
    (f"prepare --config {{tiny}} --workdir {'y' * 300}", "choose a shorter path"),
    (f"prepare --config {{tiny}} --workdir {LONG}", "choose a shorter path"),
    ("plan --config {tiny} --workdir ''", "--workdir: expected a path, found ''"),
    ("plan --config {tiny} --workdir gs://", "--workdir gs://: expected gs://BUCKET/FOLDER"),
    *(
        (f"{command} --config {{tiny}} --workdir {address}{rest}", f"--workdir {address}: {NO_S3}")
        for address in ("s3://bucket/x", "s3:///x", "s3:/bucket/x", "S3://bucket/x", "s3a://bucket")
        for command, rest in [
            ("plan", ""),
            ("plan", " --topology v5e:4x4"),
            ("run", ""),
            ("prepare", ""),
            ("train", ""),
            ("evaluate", ""),
            ("report", ""),
            ("show-batch", " --phase trunk --step 0"),
            ("verify-data", ""),
            ("export", " --phase trunk --output {new}"),
            ("import", " --model {folder} --name base"),
        ]
    ),
    ("plan --config {tiny} --workdir gs:/bucket/x", "expected two slashes after the scheme"),
    ("plan --config {tiny} --workdir ftp://host/x", "expected a local path or gs://, found ftp"),
    ("plan --config {tiny} --workdir http://host/x", "expected a local path or gs://, found http"),
    ("export {c} --phase trunk --output ftp://host/x", "expected a local path, gs:// or s3://"),
    ("plan --config {tiny} --workdir ~nobody-here/x", "there is no user 'nobody-here' here"),
    ("train --config {tiny} --workdir '/tmp/study [1]'", "Orbax cannot read checkpoints below a"),
    ("plan --config {tiny} --workdir /gs/x", "local folders /gs, /s3, /az and /hf"),
    ("export {c} --phase trunk --output ''", "--output: expected a path, found ''"),
    ("export {c} --phase trunk --output gs://", "--output gs://: expected gs://BUCKET"),
    ("export {c} --phase trunk --output /proc/nope", "cannot write to --output /proc/nope"),
    ("export {c} --phase trunk --output {file}", "exists already: remove it, or choose another"),
    ("export {c} --phase trunk --output {folder}", "exists already: remove it, or choose anothe"),
    ("export {c} --phase trunk --output {file}/x", "one of its parents is a file"),
    ("export {c} --phase trunk --output {new}-out", "no checkpoint at step 40"),
    ("import {c} --name base --model {file}", "there is no such folder"),
    ("import {c} --name base --model {new}", "there is no such folder"),
    ("import {c} --name base --model ''", "--model: expected a path, found ''"),
    ("import {c} --name base --model {loop}", "there is no such folder"),
    ("import {c} --name base --model {folder}", "holds no config.json"),
    ("import {c} --name ../x --model {folder}", "--name: expected a name of lower-case letters"),
    ("import {c} --name '' --model {folder}", "--name: expected a name of lower-case letters"),
    ("import {c} --name a/b --model {folder}", "--name: expected a name of lower-case letters"),
    (f"import {{c}} --name {LONG.upper()} --model {{folder}}", "--name: expected a name of"),
    ("import {c} --name Base --model {folder}", "--name: expected a name of lower-case letters"),
]
EXPERIMENTS = [
    ("plan --config {new}.py", "does not exist"),
    ("plan --config {folder}", "is a folder, expected a Python file"),
    ("plan --config ''", "is a folder, expected a Python file"),
    ("plan --config {file}", "expected a name ending in .py"),
    ("plan --config {loop}", "does not exist"),
    ("plan --config /dev/null", "does not exist"),
    ("plan --config {tiny}:name", "does not exist"),
    (f"plan --config {LONG}.py", "File name too long"),
    ("plan --config {folder}/exits.py", "exits.py: cannot be loaded (line 1): SystemExit: 0"),
    ("run --config {folder}/raises.py", "get_config() failed (line 2): BaseException: no"),
    ("train --config {folder}/binary.py", "binary.py: "),
    ("plan --config {folder}/syntax.py", "syntax.py, line 1: "),
    ("plan --config {folder}/recursion.py", "RecursionError"),
    ("plan --config {folder}/arguments.py", "needs an argument: give --config.arguments."),
    ("plan --config {folder}/empty.py", "does not define get_config()"),
]
PHASES = [
    ("train {c} --phase trnk", "--phase: there is no phase 'trnk'; did you mean trunk?"),
    ("train {c} --phase ''", "--phase: there is no phase ''; expected one of: trunk, branch"),
    ("train {c} --phase trunk --phase brunch", "there is no phase 'brunch'; did you mean branch"),
    ("evaluate {c} --phase annealed", "--phase: there is no phase 'annealed'"),
    ("show-batch {c} --phase Trunk --step 1", "there is no phase 'Trunk'; did you mean trunk?"),
    ("export {c} --phase nope --output o", "--phase: there is no phase 'nope'"),
    (f"train {{c}} --phase {LONG}", "--phase: there is no phase 'xxx"),
    ("train {c} --phase '../../etc'", "--phase: there is no phase '../../etc'"),
    ("show-batch {c} --phase trunk --step 0", "codepretrain prepare"),
    ("train {c}", "codepretrain prepare"),
    ("train {c} --phase trunk", "codepretrain prepare"),
]
OVERRIDES = [
    ("seed", "'--config.seed' has no value: write --config.seed=VALUE"),
    ("seed 3", "'--config.seed' has no value: write --config.seed=3"),
    ("sed=3", "config.sed: no such field; did you mean seed?"),
    ("=3", "overrides have the form --config.model.num_layers=4"),
    (".=3", "config.: no such field"),
    ("a..b=3", "config.a: no such field"),
    ("model.num_layers.=3", "config.model.num_layers is a value, it has no field ''"),
    ("modl.num_layers=3", "config.modl: no such field; did you mean model?"),
    ("model.num-layers=3", "overrides have the form"),
    ("model['num_layers']=3", "overrides have the form"),
    (f"{LONG}=3", "config.xxx"),
    (f"model.num_layers={LONG}", "config.model.num_layers: expected a whole number, got 'xxx"),
    (
        f"model.compute_dtype={LONG}",
        "config.model.compute_dtype: expected at most 4,096 printable characters",
    ),
    ("seed=1 --config.seed=2", "--config.seed is given twice: '1' and '2'"),
    ("model.d_ff=8 --config.model={}", "--config.model would undo --config.model.d_ff"),
    ("seed=10**400", "config.seed: expected a whole number, got '10**400'"),
    (f"seed={10**400}", "config.seed: expected a number below 2**63"),
    (f"seed={'9' * 5000}", "config.seed: expected a whole number"),
    ("seed=-1", "config.seed: expected"),
    ("seed=1.5", "config.seed: expected a whole number"),
    ("seed=nan", "config.seed: expected a whole number, got 'nan'"),
    ("seed=1e999", "config.seed: expected a finite number, got inf"),
    ("seed=None", "config.seed: expected a whole number, got None"),
    ("seed=True", "config.seed: expected a whole number, got bool True"),
    ("name=", "config.name: expected a name"),
    ("name=A/b", "config.name: expected a name"),
    ("baseline=none-such", "config.baseline: there is no variant 'none-such'"),
    ("model=3", "config.model: expected the fields of ModelConfig, got int 3"),
    ("model=None", "config.model: expected the fields of ModelConfig, got None"),
    ("model=\"{'d_ff':3}\"", "is missing: expected a whole number"),
    ("model.num_layers=0", "config.model.num_layers: expected a whole number from 1"),
    ("model.num_heads=3", "config.model.num_"),
    ("model.head_dim=7", "config.model.head_dim: expected an even number from 2 to 65,536, got 7"),
    ("model.rope_base=inf", "config.model.rope_base: expected a number, got 'inf'"),
    ("model.rope_base=1e999", "config.model.rope_base: expected a finite number, got inf"),
    ("model.logit_scale=-1", "config.model.logit_scale: expected"),
    ("model.tie_embeddings=maybe", "config.model.tie_embeddings: expected True or False"),
    ("model.vocab_size=16", "config.data.tokenizer.vocab_size = 512 exceeds"),
    ("data={}", "is missing"),
    ("data.sources={}", "config.data.sources"),
    ("data.sources.new.reader=jsonl", "config.data.sources.new: no such field"),
    ("data.sources.text.reader=jsonll", "did you mean jsonl?"),
    ("data.sources.text.reader=", "reader"),
    ("data.sources.text.options.pth=x", "pth"),
    ("data.sources.text.options.path=3", "path"),
    ("data.sources.text.options={}", "path"),
    ("data.sources.text.options.a.b=1", "is a value, it has no field 'b'"),
    ("data.sources.text.filters=\"[{'name':'licens'}]\"", "'licens'; did you mean licenses?"),
    ("data.sources.text.max_epochs=nan", "config.data.sources.text.max_epochs: expected a number"),
    ("data.sources.text.max_epochs=1e999", "max_epochs: expected a finite number, got inf"),
    ("data.packing=best", "config.data.packing: expected one of best_fit, concatenate"),
    ("data.validation_fraction=1", "config.data.validation_fraction: expected a number in [0, 1)"),
    ("data.validation_fraction=-0.1", "config.data.validation_fraction: expected"),
    ("data.validation_fraction=0", "config.evals.validation needs held-out documents, and config."),
    ("training.batch_size=0", "config.training.batch_size: expected a whole number from 1"),
    ("training.batch_size=eight", "config.training.batch_size: expected a whole number"),
    ("training.spike_factor=0", "config.training.spike_factor: expected a number above 1"),
    ("optimizer.beta1=1", "config.optimizer.beta1: expected a number in [0, 1), got 1.0"),
    ("optimizer.beta2=x", "config.optimizer.beta2: expected a number, got 'x'"),
    ("optimizer.first_moment_dtype=float16", "config.optimizer.first_moment_dtype: expected one o"),
    ("execution.num_microbatches=3", "config.execution.num_microbatches = 3"),
    ("execution.mesh.data=x", "config.execution.mesh.data: expected"),
    ("execution.mesh.tensr=2", "config.execution.mesh.tensr: no such field; did you mean tensor?"),
    ("execution.attention_block_q=0", "config.execution.attention_block_q: expected"),
    ("checkpoint.temporary_interval_s=0", "config.checkpoint.temporary_interval_s: expected a pos"),
    ("checkpoint.permanent_interval_steps=0", "config.checkpoint.permanent_interval_steps: expect"),
    ("logging.interval_steps=0", "config.logging.interval_steps: expected a whole number from 1"),
    ("logging.write_tensorboard=2", "config.logging.write_tensorboard: expected True or False"),
    ("cost.mfu=2", "config.cost.mfu: expected a number in (0, 1], got 2.0"),
    ("cost.price_per_chip_hour=-1", "config.cost.price_per_chip_hour: expected a number from 0"),
    ("evals.validation.kind=loss", "kind"),
    ("evals.validation.num_examples=0", "config.evals.validation.num_examples: expected"),
    ("evals.validation.options.x=1", "x"),
    ("evals.validation.interval_tokens=0", "config.evals.validation.interval_tokens: expected"),
    ("evals.validation.on_failure=go", "config.evals.validation.on_failure: expected one of"),
    ("evals.new.kind=validation_loss", "config.evals.new: no such field; expected one of: valid"),
    ("phases={}", "config.phases: expected at least one entry"),
    ("phases.trunk.tokens=0", "config.phases.trunk.tokens: expected a whole number from 1"),
    ("phases.trunk.tokens=-5", "config.phases.trunk.tokens: expected a whole number from 1"),
    ("phases.trunk.tokens=1e300", "config.phases.trunk.tokens: expected a number below 2**63"),
    ("phases.trunk.mixture={}", "config.phases.trunk.mixture"),
    ("phases.trunk.mixture=[1]", "config.phases.trunk.mixture: expected a mapping, got list [1]"),
    ("phases.trunk.mixture.text=nan", "mixture.text: expected a number, got 'nan'"),
    ("phases.trunk.mixture.txt=1", "there is no source 'txt'; did you mean text?"),
    ("phases.trunk.mixture.text=-1", "expected a weight of 0, or from 1e-9 to 1e15, got -1"),
    ("phases.trunk.mixture.a.b=1", "config.phases.trunk.mixture.a is a value, it has no field 'b'"),
    ("phases.trunk.schedule.shape=sine", "sine"),
    ("phases.trunk.schedule.warmup_steps=-1", "warmup_steps"),
    ("phases.trunk.schedule.warmup_steps=1000", "warmup"),
    ("phases.trunk.schedule.peak_learning_rate=fast", "peak_learning_rate: expected"),
    ("phases.trunk.parent=trunk", "the phases form a cycle"),
    ("phases.trunk.parent=branch", "the phases form a cycle"),
    ("phases.branch.parent=trnk", "there is no phase 'trnk'; did you mean trunk?"),
    ("phases.branch.parent_tokens=1e12", "exceeds config.phases.trunk.tokens = 20,480"),
    ("phases.branch.data_order=replay", "config.phases.branch.data_order: expected"),
    ("phases.trunk.mixture_changes=[{}]", "mixture_changes[0].at_tokens is missing"),
    ("phases.trunk.mixture_changes=3", "config.phases.trunk.mixture_changes: expected a list"),
    ("variants.annealed=cool", "config.variants.annealed: there is no phase 'cool'"),
    ("variants={}", "config.variants: expected at least one entry"),
    ("seed='\\ud800'", "config.seed: expected a whole number"),
]
FILES = {
    "exits.py": b"raise SystemExit(0)",
    "raises.py": b"def get_config():\n    raise BaseException('no')",
    "binary.py": bytes(range(256)),
    "syntax.py": b"def get_config(:",
    "recursion.py": b"def f():\n    f()\nf()",
    "arguments.py": b"def get_config(a, b):\n    pass",
    "empty.py": b"",
}
CASES = [
    *GRAMMAR,
    *NUMBERS,
    *MACHINES,
    *PATHS,
    *EXPERIMENTS,
    *PHASES,
    *((f"plan {{c}} --config.{override}", message) for override, message in OVERRIDES),
    *((f"run {{c}} --config.{override}", message) for override, message in OVERRIDES[::5]),
]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the placeholders of the cases stand for."""
    root = tmp_path_factory.mktemp("hostile")
    folder, new = root / "folder", root / "new"
    folder.mkdir()
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    (root / "file").write_text("x")
    (root / "loop").symlink_to(root / "loop")
    names = {name: str(root / name) for name in ("folder", "new", "file", "loop")}
    return {**names, "tiny": str(TINY), "c": f"--config {TINY} --workdir {new}"}


def test_there_are_enough() -> None:
    assert len(CASES) >= 200
    assert len(dict(CASES)) == len(CASES)


@pytest.mark.parametrize("number", range(len(CASES)), ids=lambda i: CASES[i][0][:60].strip())
def test_one_line_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], hostile: dict[str, str], number: int
) -> None:
    line, message = CASES[number]
    for name, value in hostile.items():
        line = line.replace(f"{{{name}}}", value)
    root = Path(hostile["folder"]).parent
    before = sorted(root.rglob("*"))
    assert main(shlex.split(line)) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("codepretrain: ")
    assert captured.err.count("\n") == 1
    assert captured.err.endswith("\n")
    assert message in captured.err
    assert len(captured.err) < 1500
    assert sorted(p for p in root.rglob("*") if "__pycache__" not in str(p)) == before
