"""Mistakes in paths and addresses, in experiment files, and in names of phases (`mistakes.py`)."""

import pytest

from tests.cli.mistakes import LONG, check

NO_S3 = (
    "Orbax cannot store checkpoints on s3://; give gs://BUCKET/FOLDER, a local folder, or a folder "
    "of a mounted network file system"
)
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
    ("compare y s3a://b/x --workdir {folder}", "checkpoint s3a://b/x: expected a local path, gs"),
    ("compare y ftp://b/x --workdir {folder}", "checkpoint ftp://b/x: expected a local path, gs"),
    ("compare y gs:/b/x --workdir {folder}", "checkpoint gs:/b/x: expected two slashes after"),
    ("compare y {file} --workdir {folder}", "there is no run '/"),
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
CASES = [*PATHS, *EXPERIMENTS, *PHASES]


@pytest.mark.parametrize("number", range(len(CASES)), ids=lambda i: CASES[i][0][:60].strip())
def test_one_line_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], hostile: dict[str, str], number: int
) -> None:
    check(capsys, hostile, *CASES[number])
