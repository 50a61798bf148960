"""A job before it is started: the order of its checks, its stages, its price, what is written."""

import dataclasses
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from etils import epath

import codepretrain
from codepretrain.config.load import load_study
from codepretrain.config.parse import parse
from codepretrain.config.schema import EvaluatorConfig, MeshConfig, StudyConfig
from codepretrain.errors import UserError
from codepretrain.files import storage
from codepretrain.hardware.chips import CHIPS
from codepretrain.launch import fit, submission
from codepretrain.launch.bundle import Bundle
from codepretrain.launch.commands import Done
from codepretrain.launch.job_folder import job_folder
from codepretrain.launch.load_machine import load_machine
from codepretrain.launch.machine import BudgetConfig, LaunchConfig
from codepretrain.launch.record_files import read_job_record
from codepretrain.launch.start_machines import apply_jobset, delete_jobset, describe_start
from codepretrain.launch.submission import (
    Submission,
    Submitted,
    job_name,
    prepare_submission,
    write_submission,
)
from codepretrain.model.size import flops_per_token
from codepretrain.study.describe import describe
from codepretrain.study.graph import resolve
from codepretrain.study.source_sizes import SourceSize
from tests.configs import BATCH_SIZE as SMALL_BATCH_SIZE
from tests.configs import MAX_SEQ_LEN, SMALL_VALUES

ROOT = Path(__file__).parents[2]
BATCH_SIZE = 64
STEP_TOKENS = BATCH_SIZE * MAX_SEQ_LEN
NOW = datetime(2026, 11, 27, 3, 15, 0, tzinfo=UTC)
LOCAL = load_machine(ROOT / "launch" / "local.py")
CLOUD = [
    "--machine.machine.project=my-project",
    "--machine.machine.zone=us-west4-a",
]
TPUS = load_machine(ROOT / "launch" / "tpu_vm_v5e.py", [*CLOUD, "--machine.machine.num_slices=2"])
GKE = load_machine(
    ROOT / "launch" / "gke_v5e.py",
    [*CLOUD, "--machine.machine.cluster=pods", "--machine.machine.queue=research"],
)
BUCKET = epath.Path("gs://bucket/folder")


PHASES = {
    name: {**phase, "tokens": phase["tokens"] * BATCH_SIZE // SMALL_BATCH_SIZE}
    for name, phase in SMALL_VALUES["phases"].items()
}


def study(**values: Any) -> StudyConfig:
    """A study whose batch divides over the machines below."""
    own = {"training": {"batch_size": BATCH_SIZE}, "phases": PHASES}
    return parse(StudyConfig, {**SMALL_VALUES, **own, **values})


def plan_of(config: StudyConfig) -> dict[str, Any]:
    sizes = {
        source: SourceSize(identity=source * 3, num_rows=10**7, num_tokens=10**9)
        for source in config.data.sources
    }
    return describe(config, resolve(config), source_sizes=sizes, imports={})


@pytest.fixture(autouse=True)
def no_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bundle has its own tests; building a wheel takes seconds."""
    monkeypatch.setattr(
        submission,
        "make_bundle",
        lambda *_, **__: Bundle({"study.json": b"{}", "codepretrain-1-py3-none-any.whl": b""}),
    )


@pytest.fixture
def experiment(tmp_path: Path) -> str:
    path = tmp_path / "study.py"
    path.write_text("")
    return str(path)


def given(experiment: str, launch: LaunchConfig, **fields: Any) -> Submitted:
    config = fields.pop("study", study())
    defaults = {
        "study": config,
        "launch": launch,
        "plan": plan_of(config),
        "only": (),
        "experiment": experiment,
        "workdir": BUCKET,
        "package": Path(codepretrain.__file__).parent,
        "missing_data": (),
        "prepare_command": "codepretrain prepare --config study.py",
        "command_line": "codepretrain launch submit",
        "secret_values": {},
    }
    return Submitted(**{**defaults, **fields})


def test_evaluations_apart(tmp_path: Path, experiment: str) -> None:
    evals = {"validation": EvaluatorConfig(kind="validation_loss")}
    config = dataclasses.replace(study(), evals=evals)
    mesh = MeshConfig(fsdp=-1)
    config = dataclasses.replace(config, execution=dataclasses.replace(config.execution, mesh=mesh))
    apart = {"workdir": epath.Path(tmp_path / "w"), "evaluates_apart": True}
    made = prepare_submission(given(experiment, LOCAL, study=config, **apart), now=NOW)
    stages = made.job.by_name
    assert list(stages) == ["train.trunk", "train.anneal", "evaluate", "report"]
    where = ("--config", made.job.config, "--workdir", str(tmp_path / "w"))
    phases = ("--phase", "trunk", "--phase", "anneal")
    assert stages["evaluate"].arguments == (
        *("evaluate", *where, "--watch", *phases, "--cpu-devices=4"),
    )
    assert "--no-evaluations" in stages["train.trunk"].arguments
    assert stages["evaluate"].parents == ()
    assert stages["evaluate"].mesh == mesh
    assert "evaluate" in stages["report"].parents
    assert any("after all phases" in note for note in made.notes)
    with pytest.raises(UserError, match="apart: the study has no evaluations"):
        prepare_submission(given(experiment, LOCAL, **apart), now=NOW)


def test_the_stages_of_a_local_job(tmp_path: Path, experiment: str) -> None:
    workdir = epath.Path(tmp_path / "w")
    made = prepare_submission(
        given(experiment, LOCAL, workdir=workdir, missing_data=["tokenizer"]), now=NOW
    )
    stages = made.job.by_name
    assert list(stages) == ["prepare", "train.trunk", "train.anneal", "report"]
    assert [stages[name].parents for name in stages] == [
        (),
        ("prepare",),
        ("train.trunk",),
        ("train.trunk", "train.anneal"),
    ]
    where = ("--config", made.job.config, "--workdir", str(workdir))
    assert stages["prepare"].arguments == ("prepare", *where)
    assert stages["train.trunk"].arguments == (
        *("train", *where, "--phase", "trunk", "--cpu-devices=4"),
    )
    assert stages["report"].arguments == ("report", *where)
    assert (stages["train.trunk"].tokens, stages["train.trunk"].num_steps) == (
        100 * STEP_TOKENS,
        100,
    )
    prints = {phase["name"]: phase["fingerprint"] for phase in plan_of(study())["phases"]}
    assert stages["train.anneal"].fingerprint == prints["anneal"]
    assert stages["train.anneal"].expected_chip_hours is None
    assert (made.job.hosts_per_slice, made.job.chips_per_host) == (2, 4)
    assert not storage.exists(workdir)


def test_a_phase_is_trained_with_its_ancestors_and_no_report(experiment: str) -> None:
    made = prepare_submission(given(experiment, TPUS, only=["trunk"]), now=NOW)
    assert [stage.name for stage in made.job.stages] == ["train.trunk"]
    both = prepare_submission(given(experiment, TPUS, only=["anneal"]), now=NOW)
    assert [stage.name for stage in both.job.stages] == ["train.trunk", "train.anneal"]


def test_a_finished_phase_needs_no_machine(experiment: str) -> None:
    made = prepare_submission(given(experiment, TPUS, finished=["trunk"]), now=NOW)
    assert [stage.name for stage in made.job.stages] == ["train.anneal", "report"]
    assert made.job.by_name["train.anneal"].parents == ()
    assert "trained and evaluated already: trunk" in made.notes
    with pytest.raises(
        UserError,
        match="nothing is left to train or to evaluate of trunk, anneal: see `codepretrain report`",
    ):
        prepare_submission(given(experiment, TPUS, finished=["trunk", "anneal"]), now=NOW)


def test_phases_with_one_fingerprint_are_one_stage(experiment: str) -> None:
    """Under the first name, whichever name was asked for; their children are told apart."""
    twin = study(
        phases={**PHASES, "twin": PHASES["trunk"], "late": {**PHASES["anneal"], "parent": "twin"}}
    )
    made = prepare_submission(given(experiment, TPUS, study=twin, only=["twin"]), now=NOW)
    assert [stage.name for stage in made.job.stages] == ["train.trunk"]


def test_chip_hours_are_those_of_the_tokens(experiment: str) -> None:
    config = study(cost={"mfu": 0.5, "price_per_chip_hour": 2.0})
    made = prepare_submission(given(experiment, TPUS, study=config), now=NOW)
    flops = 100 * STEP_TOKENS * flops_per_token(config.model, config.data.max_seq_len)
    expected = flops / (0.5 * CHIPS["v5e"].peak_flops_per_s) / 3600
    assert made.job.by_name["train.trunk"].expected_chip_hours == pytest.approx(expected)
    assert made.job.price_per_chip_hour == 2.0
    assert (made.job.hosts_per_slice, made.job.chips_per_host) == (4, 4)
    assert any("hours if all 32 chips are in use, price" in note for note in made.notes)
    assert made.job.extras == ("tpu", "gcs")


@pytest.mark.parametrize(
    ("budget", "words"),
    [
        (BudgetConfig(max_chip_hours=1e-12), "exceed machine.budget.max_chip_hours"),
        (BudgetConfig(max_price=1e-12), "expected price 0.0 exceed machine.budget.max_price"),
        (BudgetConfig(max_chip_hours=1e9, max_price=1e9), None),
    ],
)
def test_what_exceeds_the_budget_must_be_confirmed(
    budget: BudgetConfig, words: str | None, experiment: str
) -> None:
    config = study(cost={"price_per_chip_hour": 2.0})
    launch = dataclasses.replace(TPUS, budget=budget)
    warnings = prepare_submission(given(experiment, launch, study=config), now=NOW).warnings
    assert (words is None) == (not warnings)
    assert words is None or words in warnings[0]


def test_paths_of_this_machine_must_be_confirmed_for_a_pod(experiment: str, tmp_path: Path) -> None:
    options = {"tasks": "pairs", "include_path": str(tmp_path)}
    config = study(evals={"pairs": {"kind": "harness", "options": options}})
    (warning,) = prepare_submission(given(experiment, TPUS, study=config), now=NOW).warnings
    assert warning.startswith("config.evals.pairs.options.include_path = ")
    local = given(experiment, LOCAL, study=config, workdir=epath.Path(tmp_path / "w"))
    assert prepare_submission(local, now=NOW).warnings == ()


def test_a_price_cap_needs_a_price(experiment: str) -> None:
    launch = dataclasses.replace(TPUS, budget=BudgetConfig(max_price=10.0))
    with pytest.raises(UserError, match=r"max_price needs config\.cost\.price_per_chip_hour"):
        prepare_submission(given(experiment, launch), now=NOW)


def test_a_pod_never_waits_for_preparation(experiment: str) -> None:
    with pytest.raises(UserError) as error:
        prepare_submission(given(experiment, TPUS, missing_data=["rows of code"]), now=NOW)
    assert "missing: rows of code: run `codepretrain prepare --config study.py`" in str(error.value)


def test_a_pod_needs_a_bucket(tmp_path: Path, experiment: str) -> None:
    with pytest.raises(UserError, match="--workdir: expected gs://BUCKET/FOLDER, which every host"):
        prepare_submission(given(experiment, GKE, workdir=epath.Path(tmp_path)), now=NOW)


def test_checks_are_made_in_the_order_of_their_price(experiment: str) -> None:
    def fits() -> str:
        raise UserError("it does not fit")

    missing = given(experiment, TPUS, missing_data=["tokenizer"])
    with pytest.raises(UserError, match="it does not fit"):
        prepare_submission(missing, now=NOW, check_fit=fits)
    with pytest.raises(UserError, match="is not prepared"):
        prepare_submission(missing, now=NOW, check_fit=lambda: "fit: yes")


def test_a_job_is_written_with_its_bundle(tmp_path: Path, experiment: str) -> None:
    workdir = epath.Path(tmp_path / "w")
    made = prepare_submission(given(experiment, LOCAL, workdir=workdir), now=NOW)
    write_submission(made)
    folder = job_folder(workdir, made.job.name)
    assert read_job_record(folder) == made.job
    assert storage.names(folder.bundle) == [made.bundle.sha256]
    assert made.job.config == str(folder.bundle / made.bundle.sha256 / "study.json")
    assert made.job.created_at == "2026-11-27T03:15:00+00:00"
    with pytest.raises(UserError, match="there is already a job"):
        write_submission(made)


def test_the_value_of_a_secret_is_not_in_the_job(experiment: str) -> None:
    value = "hf_planted_value"
    secret = given(
        experiment,
        LOCAL,
        command_line=f"codepretrain launch submit --config.name={value}",
        secret_values={"HF_TOKEN": value},
    )
    with pytest.raises(UserError, match=r"job\.json contains the value of the .* HF_TOKEN"):
        prepare_submission(secret, now=NOW)


def test_names_of_jobs() -> None:
    name = job_name("a_study_with_a_very_long_name", NOW)
    assert name.startswith("a-study-with-a-very-20261127-031500-")
    assert len(name) <= 41
    assert job_name("x", NOW) != job_name("x", NOW)


def submitted(experiment: str, launch: LaunchConfig) -> Submission:
    return prepare_submission(given(experiment, launch), now=NOW)


def test_what_would_be_started(experiment: str, tmp_path: Path) -> None:
    made = submitted(experiment, TPUS)
    text = "\n".join(describe_start(made.job, made.shipment))
    assert text.count("gcloud compute tpus queued-resources create") == 2
    assert text.count("#!/bin/bash") == 2
    made = submitted(experiment, GKE)
    lines = describe_start(made.job, made.shipment)
    assert lines[0].startswith("kubectl apply --filename=- --context=gke_my-project_us-west4-a_")
    made = prepare_submission(given(experiment, LOCAL, workdir=epath.Path(tmp_path)), now=NOW)
    assert describe_start(made.job, made.shipment)[1] == (
        f"codepretrain launch host {made.job.name} --host 1 --workdir {tmp_path}"
    )


def test_a_jobset_is_applied_and_deleted(experiment: str) -> None:
    made = submitted(experiment, GKE)
    calls: list[tuple[list[str], str]] = []

    def run(command: Any, stdin: str) -> Done:
        calls.append((list(command), stdin))
        return Done(0, "jobset created\n")

    assert apply_jobset(made.job, made.shipment, run=run) == "jobset created"
    delete_jobset(made.job, run=run)
    assert [call[0][1] for call in calls] == ["apply", "delete"]
    assert made.job.bundle in calls[0][1]
    with pytest.raises(UserError, match=r"kubectl cannot create the JobSet .*: no cluster"):
        apply_jobset(made.job, made.shipment, run=lambda *_: Done(1, "", "no cluster"))


def test_the_fit_is_checked_in_another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "for TPUs only" in fit.check_fit(LOCAL, [])
    monkeypatch.setattr(fit, "find_spec", lambda name: None)
    assert "the TPU compiler is not installed" in fit.check_fit(TPUS, [])
    memory = {"total": 2**30, "hbm": 2**34}
    assert fit._verdict({"step": {"fits": True, "memory": memory}}, "v5e:4x4") == (
        "fit: the step fits v5e:4x4, 1.00 of 16.00 GiB per chip"
    )
    leaner = {"num_microbatches": 4, "remat_policy": "full"}
    pod: dict[str, Any] = {"step": {"fits": False, "memory": memory}, "would_fit": leaner}
    with pytest.raises(UserError, match=r"--config\.execution\.num_microbatches=4"):
        fit._verdict(pod, "v5e:4x4")
    pod = {**pod, "would_fit": None}
    with pytest.raises(UserError, match="plan --topology v5e:4x4 --search"):
        fit._verdict(pod, "v5e:4x4")


def test_a_study_that_cannot_be_planned_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit, "find_spec", lambda name: object())
    with pytest.raises(
        UserError, match=r"cannot be planned for v5e:4x4: .*none\.py does not exist"
    ):
        fit.check_fit(TPUS, ["--config", "none.py"])


def test_experiments_load_as_they_are_bundled() -> None:
    config = load_study(ROOT / "experiments" / "demo.py")
    assert prepare_submission(given("x.py", LOCAL, study=config), now=NOW).job.study == "demo"
