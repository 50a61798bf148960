"""What a pod plan prints, which leaner settings it tries, and how a search is interrupted."""

import dataclasses
import sys
from pathlib import Path

import pytest

from codepretrain.config.load import load_study
from codepretrain.config.schema import StudyConfig
from codepretrain.errors import UserError
from codepretrain.podplan import plan_pod
from codepretrain.podplan.topology import parse_topology
from codepretrain.study.graph import resolve

CONFIG = load_study(Path(__file__).parents[2] / "experiments" / "initialization.py")
POD = parse_topology("v5e:16x16")
GIB = 2**30


def step(*, fits: bool, num_microbatches: int = 1, remat_policy: str = "none") -> dict:
    plan = {
        "topology": "v5e:16x16",
        "chip": "v5e",
        "num_slices": 1,
        "num_chips": 256,
        "num_hosts": 64,
        "mesh": {"data": 8, "fsdp": 32, "tensor": 1},
        "batch_size": 512,
        "max_seq_len": 8192,
        "num_microbatches": num_microbatches,
        "remat_policy": remat_policy,
        "attention_kernel": "reference",
        "fits": fits,
    }
    hbm = int(15.75 * GIB)
    if not fits:
        memory = {"arguments": GIB, "total": hbm + GIB // 2, "hbm": hbm, "missing": GIB // 2}
        return {**plan, "memory": memory}
    kinds = ("arguments", "outputs", "aliased", "temporaries", "generated_code", "peak", "total")
    return {
        **plan,
        "memory": {**dict.fromkeys(kinds, GIB), "hbm": hbm, "free": hbm - GIB},
        "flops": {
            "compiled": 9e13,
            "model": 6e13,
            "recomputation": 1.5,
            "attention_by_formula": 1e13,
        },
        "hbm_traffic": 5e11,
        "collectives": [
            {"kind": "all-gather", "axes": "fsdp", "executions": 112, "ici": 2e9, "dcn": 0.0},
            {"kind": "all-reduce", "axes": "data+fsdp", "executions": 1, "ici": 8.0, "dcn": 0.0},
        ],
        "bound_s": {"compute": 0.46, "hbm": 0.61, "ici": 0.01, "dcn": 0.0, "step": 0.61},
        "bound_by": "hbm",
        "bound_mfu": 0.5,
        "bound_tokens_per_s_per_chip": 26_859.0,
    }


def plan(config: StudyConfig = CONFIG, **options) -> dict:
    phase_tokens = {name: phase.tokens for name, phase in resolve(config).items()}
    settings = {"command": ["plan"], "max_compiles": 3, "searches": False, "prints": True}
    settings["steps"] = plan_pod.CompiledSteps()
    return plan_pod.plan_pod(config, POD, phase_tokens, **{**settings, **options})


@pytest.fixture(autouse=True)
def no_compiler(monkeypatch):
    monkeypatch.setattr(plan_pod, "topology_devices", lambda topology: [])


def test_a_search_without_candidates_is_an_error():
    training = dataclasses.replace(CONFIG.training, batch_size=509)
    with pytest.raises(UserError, match=r"batch_size: no mesh of v5e:16x16 divides 509 rows"):
        plan(dataclasses.replace(CONFIG, training=training), searches=True)


def test_a_search_for_a_slice_that_does_not_exist_compiles_nothing(monkeypatch):
    def refuse(topology):
        raise UserError("the TPU compiler refuses it")

    monkeypatch.setattr(plan_pod, "topology_devices", refuse)
    monkeypatch.setattr(plan_pod, "_attempt", lambda *_: pytest.fail("a candidate was compiled"))
    with pytest.raises(UserError, match="the TPU compiler refuses it"):
        plan(searches=True)


def test_a_plan_that_fits(capsys, monkeypatch):
    monkeypatch.setattr(plan_pod, "plan_step", lambda config, topology: step(fits=True))
    plan()
    told = " ".join(capsys.readouterr().out.split())
    assert "v5e:16x16 (256 chips, 64 hosts), mesh data 8 × fsdp 32" in told
    assert "1.00 GiB of 15.75 GiB HBM (14.75 GiB free)" in told
    assert "1.50 times (attention kernels, 10.0 T, by formula)" in told
    assert "all-gather fsdp 112 2.000" in told
    assert "data+fsdp" not in told  # eight bytes are not worth a line
    assert "MFU at most 50.0%" in told
    assert "a bound, not a forecast" in told
    assert "470M, 200B tokens in 4,736 v5e chip-hours, an MFU of 21.5%" in told


def test_the_step_that_several_studies_have_is_compiled_once(capsys, monkeypatch):
    compiled = []

    def plan_step(config, topology):
        compiled.append(config.name)
        return step(fits=False)

    monkeypatch.setattr(plan_pod, "plan_step", plan_step)
    monkeypatch.setattr(plan_pod, "_first_that_fits", lambda *_: tried.append(1))
    tried: list[int] = []
    steps = plan_pod.CompiledSteps()
    smaller = dataclasses.replace(CONFIG.model, num_layers=2)
    configs = [
        CONFIG,
        dataclasses.replace(CONFIG, name="other", contrasts={}),
        dataclasses.replace(CONFIG, name="small", model=smaller),
    ]
    plans = [plan(config, steps=steps) for config in configs]
    assert compiled == ["initialization", "small"]
    assert plans[1]["step"] == plans[0]["step"]
    told = capsys.readouterr().out
    assert "other\nthe step of initialization, compiled once" in told
    assert told.count("does not fit") == len(tried) == 2  # said and searched for once a step


def test_a_plan_that_does_not_fit_says_what_would(capsys, monkeypatch):
    tried = []

    def attempt(candidate, command, console):
        tried.append((candidate.num_microbatches, candidate.remat_policy))
        return step(fits=True, num_microbatches=2, remat_policy="full")

    monkeypatch.setattr(plan_pod, "plan_step", lambda config, topology: step(fits=False))
    monkeypatch.setattr(plan_pod, "_attempt", attempt)
    result = plan()
    told = " ".join(capsys.readouterr().out.split())
    assert "does not fit: 16.25 GiB of 15.75 GiB HBM" in told
    assert "0.50 GiB too much" in told
    assert "this fits: mesh data 8 × fsdp 32, 2 micro-batches, remat full" in told
    assert tried == [(2, "full")]
    assert result["would_fit"]["num_microbatches"] == 2


def test_a_search_that_is_stopped_shows_what_it_found(capsys, monkeypatch):
    found = [step(fits=True)]

    def attempt(candidate, command, console):
        if not found:
            raise KeyboardInterrupt
        return found.pop()

    monkeypatch.setattr(plan_pod, "_attempt", attempt)
    with pytest.raises(KeyboardInterrupt):
        plan(searches=True)
    told = capsys.readouterr().out
    assert "best bound first" in told
    assert "0.610" in told


def test_a_candidate_that_fails_says_why(monkeypatch):
    """The child is this interpreter without its package's arguments: it fails at once."""
    monkeypatch.setattr(sys, "executable", "/bin/false")
    candidate = plan_pod.candidates(CONFIG, POD)[0]
    found = plan_pod._attempt(candidate, ["plan"], plan_pod.Console(quiet=True))
    assert found == {"fits": False, "error": "the process ended with exit code 1"}
