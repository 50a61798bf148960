"""What a search tries, in which order, and what it need not try."""

import dataclasses
from pathlib import Path

from codepretrain.config.load import load_study
from codepretrain.config.schema import ExecutionConfig, MeshConfig
from codepretrain.podplan.search import Candidate, candidates, meshes, ranked, search
from codepretrain.podplan.topology import parse_topology

CONFIG = load_study(Path(__file__).parents[2] / "experiments" / "initialization.py")
POD = parse_topology("v5e:16x16")
MESH = MeshConfig(data=8, fsdp=32, tensor=1)


def candidate(num_microbatches: int, policy: str) -> Candidate:
    return Candidate(mesh=MESH, num_microbatches=num_microbatches, remat_policy=policy)


def test_meshes_begin_with_the_rule_and_divide():
    found = meshes(CONFIG, POD)
    assert found[0] == MESH
    assert all(m.data * m.fsdp * m.tensor == 256 for m in found)
    two_slices = meshes(CONFIG, parse_topology("v5e:16x16", num_slices=2))
    assert all(m.data % 2 == 0 for m in two_slices)


def test_a_configured_mesh_goes_first():
    execution = ExecutionConfig(mesh=MeshConfig(fsdp=64, data=-1))
    found = meshes(dataclasses.replace(CONFIG, execution=execution), POD)
    assert found[0] == MeshConfig(data=4, fsdp=64, tensor=1)


def test_the_leanest_goes_first():
    first = candidates(CONFIG, POD)[:6]
    assert first[0] == candidate(2, "full")
    assert [c.num_microbatches for c in first] == [2, 2, 2, 2, 2, 1]


def test_overrides():
    assert candidate(2, "none").overrides() == [
        "--config.execution.mesh.data=8",
        "--config.execution.mesh.fsdp=32",
        "--config.execution.mesh.tensor=1",
        "--config.execution.num_microbatches=2",
        "--config.execution.remat_policy=none",
    ]


def test_what_cannot_fit_is_not_tried():
    tried = []

    def attempt(c: Candidate) -> dict:
        tried.append((c.num_microbatches, c.remat_policy))
        return {"fits": c.remat_policy == "full" and c.num_microbatches == 2}

    wanted = [c for c in candidates(CONFIG, POD) if c.mesh == MESH]
    plans = list(search(wanted, attempt, max_compiles=12))
    # `none` is ruled out by `save_attention`, one micro-batch of it by two, and with `full` fitting
    # nothing needs the host's memory
    assert tried == [(2, "full"), (2, "save_attention"), (1, "full")]
    assert plans[0]["num_microbatches"] == 2
    assert len(list(search(wanted, attempt, max_compiles=1))) == 1


def test_ranked():
    plans = [
        {"fits": False, "memory": {"missing": 5}},
        {"fits": True, "bound_s": {"step": 2.0}},
        {"fits": False, "error": "refused"},
        {"fits": True, "bound_s": {"step": 1.0}},
        {"fits": False, "memory": {"missing": 3}},
    ]
    assert [plans.index(plan) for plan in ranked(plans)] == [3, 1, 4, 0, 2]
