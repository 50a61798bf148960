"""The studies' own steps, compiled by the TPU compiler for a pod of 256 chips: `make test-pod`.

`tests/podplan/test_compiled_step.py` reads a small step compiled for CPU devices; this reads models
of 30M to 2.8B parameters at 512 × 8192 tokens as a TPU would run them. Needs the extra `tpu`, and
no TPU. Each step is compiled once, in a process of its own, as `codepretrain plan --topology`
compiles it.
"""

import dataclasses
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from codepretrain.config.load import load_study
from codepretrain.config.schema import StudyConfig
from codepretrain.model.presets import preset
from codepretrain.model.size import forward_flops_per_token
from codepretrain.podplan.collectives import Collective, collectives
from codepretrain.podplan.hlo import Program, parse
from codepretrain.podplan.hlo_cost import compiled_flops, silent_attention_products
from codepretrain.podplan.topology import parse_topology
from tests.conftest import ROOT

pytestmark = pytest.mark.campaign

POD = parse_topology("v5e:16x16")
# Name → study, and the fields of its model that differ.
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "30m": ("initialization", dataclasses.asdict(preset("30m"))),
    "125m": ("initialization", dataclasses.asdict(preset("125m"))),
    "470m": ("initialization", {}),
    "470m_grouped": ("initialization", {"num_kv_heads": 2}),  # four query heads share one
    "470m_multi_query": ("initialization", {"num_kv_heads": 1}),
    "2_8b": ("scale", {}),
}
CASES = [
    ("30m", "save_attention"),
    ("125m", "save_attention"),
    ("470m", "save_attention"),
    ("470m", "full"),
    ("470m_grouped", "save_attention"),
    ("470m_multi_query", "full"),
    ("2_8b", "full"),
]

SCRIPT = """
import json, sys
import jax
jax.config.update("jax_platforms", "cpu")
from codepretrain.config.load import load_study
from codepretrain.podplan.topology import parse_topology, topology_devices
from codepretrain.train.sharding import make_mesh
from codepretrain.train.step import compile_train_step
study, topology, output, *overrides = sys.argv[1:]
config = load_study(study, overrides)
devices = topology_devices(parse_topology(topology))
mesh = make_mesh(config.execution.mesh, devices, d_model=config.model.d_model)
compiled = compile_train_step(config, mesh)
memory = compiled.memory_analysis()
with open(output, "w") as file:
    json.dump({"text": compiled.as_text(), "peak": memory.peak_memory_in_bytes,
               "mesh": dict(mesh.shape)}, file)
"""

# What a local checkpoint sends to the next host, of each kind of array.
LOCAL_SCRIPT = """
import json, sys
import jax
jax.config.update("jax_platforms", "cpu")
from codepretrain.checkpoint.local.exchange import compile_sends
from codepretrain.checkpoint.local.layout import Layout
from codepretrain.config.load import load_study
from codepretrain.podplan.topology import parse_topology, topology_devices
from codepretrain.train.sharding import make_mesh
from codepretrain.train.state import abstract_state
study, topology, output, *overrides = sys.argv[1:]
config = load_study(study, overrides)
devices = topology_devices(parse_topology(topology))
mesh = make_mesh(config.execution.mesh, devices, d_model=config.model.d_model)
layout = Layout(abstract_state(config, mesh))
sends = []
for number, program in compile_sends(layout).items():
    memory = program.memory_analysis()
    sends.append({"text": program.as_text(), "shard": layout.shard_bytes(number),
                  "temporary": memory.temp_size_in_bytes, "output": memory.output_size_in_bytes})
with open(output, "w") as file:
    json.dump({"mesh": dict(mesh.shape), "parts": list(layout.parts), "sends": sends,
               "part_bytes": layout.num_bytes(0)}, file)
"""


@dataclass(frozen=True)
class Step:
    config: StudyConfig
    mesh: dict[str, int]
    program: Program
    peak_bytes: int
    sent: list[Collective]

    @property
    def tokens(self) -> int:
        """Those of one chip in one step."""
        return self.config.training.batch_size * self.config.data.max_seq_len // POD.num_chips


@pytest.fixture(scope="module")
def step(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Step]:
    pytest.importorskip("libtpu")
    folder = tmp_path_factory.mktemp("pod")
    steps: dict[tuple, Step] = {}

    def compiled(size: str, policy: str, **changes: int) -> Step:
        key = (size, policy, *changes.items())
        if key not in steps:
            study, fields = MODELS[size]
            path = ROOT / "experiments" / f"{study}.py"
            model = {**fields, **changes}
            overrides = [
                f"--config.execution.remat_policy={policy}",
                *(f"--config.model.{name}={value}" for name, value in model.items()),
            ]
            if "vocab_size" in model:
                overrides.append(f"--config.data.tokenizer.vocab_size={model['vocab_size']}")
            steps[key] = _compile(path, overrides, folder / f"{len(steps)}.json")
        return steps[key]

    return compiled


def _run(script: str, study: Path, overrides: list[str], output: Path) -> dict[str, Any]:
    # The flags of the other tests would lower the compiler's effort.
    environment = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"} | POD.environment
    command = [sys.executable, "-c", script, str(study), POD.name, str(output), *overrides]
    subprocess.run(command, check=True, cwd=ROOT, env=environment)
    return json.loads(output.read_text())


def _compile(study: Path, overrides: list[str], output: Path) -> Step:
    found = _run(SCRIPT, study, overrides, output)
    config, program, mesh = load_study(study, overrides), parse(found["text"]), found["mesh"]
    # 16 where 32 would leave a chip fewer rows of a matrix than a tile has.
    fsdp = 16 if config.model.d_model < 512 else 32
    assert mesh == {"data": 256 // fsdp, "fsdp": fsdp, "tensor": 1}
    return Step(config, mesh, program, found["peak"], collectives(program, mesh))


@pytest.mark.parametrize(("size", "policy"), CASES)
def test_it_fits(step, size, policy):
    assert step(size, policy).peak_bytes < POD.chip.hbm_bytes


@pytest.mark.parametrize(("size", "policy"), CASES)
def test_arithmetic_is_the_policys(step, size, policy):
    """Every product is one of the model's, of the backward pass or of what the policy recomputes.

    Matrices: forward 1, backward 2, and again what the backward pass reads and was not kept: with
    `save_attention` gate and up, with `full` query, key and value too. Attention kernels: forward
    2 products, backward 5, `full` runs the forward again. The head: logits twice, two gradients.
    """
    found = step(size, policy)
    model = found.config.model
    forward = forward_flops_per_token(model, found.config.data.max_seq_len)
    D, F = model.d_model, model.d_ff
    projections = D * (model.num_heads + 2 * model.num_kv_heads) * model.head_dim
    again = 2 * model.num_layers * (2 * D * F + (projections if policy == "full" else 0))
    expected = found.tokens * (3 * forward.matrices + again + 4 * forward.output_head)
    assert compiled_flops(found.program) == pytest.approx(expected, rel=0.01)
    products = model.num_layers * (2 + 5 + (2 if policy == "full" else 0))
    assert silent_attention_products(found.program) == products


@pytest.mark.parametrize(("size", "policy"), CASES)
def test_no_logits(step, size, policy):
    """No array of a chip's tokens and the vocabulary: the largest is a block of the loss."""
    found = step(size, policy)
    execution = found.config.execution
    block = execution.loss_vocab_block * (execution.loss_token_block or 8192)
    vocabulary = found.config.model.vocab_size
    for instruction, _, _ in found.program.walk():
        for shape in instruction.shapes:
            assert shape.size < found.tokens * vocabulary
            if vocabulary in shape.dims:
                assert shape.size <= vocabulary * found.config.model.d_model // found.mesh["fsdp"]
            elif found.config.model.d_model not in shape.dims and len(shape.dims) == 2:
                assert shape.size <= block


@pytest.mark.parametrize(("size", "policy"), CASES)
def test_the_embedding_is_gathered_in_blocks_of_bfloat16(step, size, policy):
    found = step(size, policy)
    model, width = found.config.model, found.config.execution.loss_vocab_block
    gathers = [c for c in found.sent if c.kind == "all-gather" and "shard_map" in c.source]
    assert gathers
    for one in gathers:
        assert one.dtype == "bf16"
        assert math.prod(one.dims) <= width * model.d_model


@pytest.mark.parametrize(("size", "policy"), CASES)
def test_a_layer_gathers_and_scatters_its_matrices(step, size, policy):
    """In bfloat16 twice, forward and backward, and their gradients once in float32: FSDP's rule."""
    found = step(size, policy)
    model, n = found.config.model, found.mesh["fsdp"]
    matrices = 2 * model.d_model * (model.num_heads + model.num_kv_heads) * model.head_dim
    matrices += 3 * model.d_model * model.d_ff
    in_layers = [c for c in found.sent if c.executions == model.num_layers]

    def sent(kind: str, axes: tuple[str, ...]) -> float:
        return sum(c.sent_bytes for c in in_layers if (c.kind, c.axes) == (kind, axes))

    share = model.num_layers * matrices * (n - 1) / n
    assert sent("all-gather", ("fsdp",)) == pytest.approx(2 * 2 * share, rel=0.02)
    assert sent("reduce-scatter", ("fsdp",)) == pytest.approx(4 * share, rel=0.02)
    data = found.mesh["data"]
    over_data = 2 * 4 * model.num_layers * matrices / n * (data - 1) / data
    assert sent("all-reduce", ("data",)) == pytest.approx(over_data, rel=0.02)


@pytest.mark.parametrize(("size", "policy"), CASES)
def test_nothing_large_is_reduced_whole_over_fsdp(step, size, policy):
    """What is summed over fsdp is scattered, including the embedding's gradient.

    The compiler may pad a chip's dims of it to a multiple of 32: at 2.8B 80 to 96, but not 24.
    """
    found = step(size, policy)
    for one in found.sent:
        if one.kind == "all-reduce" and "fsdp" in one.axes:
            assert one.operand_bytes < 2**20, one
    model = found.config.model
    outside_layers = sum(
        one.executions * one.operand_bytes
        for one in found.sent
        if one.kind == "reduce-scatter" and one.executions != model.num_layers
    )
    dims = model.d_model // found.mesh["fsdp"]
    padded = -(-dims // 32) * 32 / dims
    gradient = 4 * model.vocab_size * model.d_model
    assert 0.98 * gradient < outside_layers < 1.02 * padded * gradient


def test_the_program_does_not_grow_with_layers(step):
    sizes = [
        sum(len(c.instructions) for c in found.program.computations.values())
        for found in (step("470m", "full"), step("470m", "full", num_layers=48))
    ]
    assert sizes[1] <= 1.05 * sizes[0]


def test_a_local_checkpoint_sends_nothing_where_other_hosts_hold_the_same(tmp_path):
    """The machine's own mesh has eight replicas of the 2.8B state: each part is on eight hosts."""
    pytest.importorskip("libtpu")
    found = _run(LOCAL_SCRIPT, ROOT / "experiments" / "scale.py", [], tmp_path / "local.json")
    assert found["mesh"] == {"data": 8, "fsdp": 32, "tensor": 1}
    assert found["sends"] == []
    assert [found["parts"].count(part) for part in range(8)] == [8] * 8


def test_a_local_checkpoint_is_sent_array_by_array(tmp_path):
    """With fsdp alone: from each chip to one of the next host, without other memory."""
    pytest.importorskip("libtpu")
    overrides = ["--config.execution.mesh.fsdp=256"]
    study = ROOT / "experiments" / "scale.py"
    found = _run(LOCAL_SCRIPT, study, overrides, tmp_path / "local.json")
    assert found["parts"] == [*range(64)]
    pairs = ",".join(f"{{{i},{(i + 4) % 256}}}" for i in range(256))
    assert found["sends"]
    for send in found["sends"]:
        program = parse(send["text"])
        opcodes = [instruction.opcode for instruction, _, _ in program.walk()]
        sent = [opcode for opcode in opcodes if opcode.startswith("collective-permute")]
        assert len([opcode for opcode in sent if opcode != "collective-permute-done"]) == 1
        assert not [o for o in opcodes if o.startswith(("all-", "reduce-scatter"))]
        assert f"source_target_pairs={{{pairs}}}" in send["text"].replace(" ", "")
        assert send["temporary"] < 2**16
        assert send["output"] <= max(send["shard"], 512)
    print(f"\n2.8B, fsdp 256: {found['part_bytes']:,} bytes a host, twice")
