"""Compiles the real training step for a target pod (no hardware needed) and analyzes it.

All numbers are per chip and per step, and none is measured: memory is reported by the compiler,
FLOPs and bytes are counted in the optimized program (`hlo_cost.py`, `collectives.py`), and times
are lower bounds (`roofline.py`).
"""

import dataclasses
import math
import re
import time
from collections.abc import Sequence
from typing import Any

import jax
from jax.sharding import Mesh

from codepretrain.config.schema import StudyConfig
from codepretrain.errors import UserError
from codepretrain.hardware.mesh_axes import AXES, axes_of
from codepretrain.model.size import flops_per_token, forward_flops_per_token
from codepretrain.podplan import hlo
from codepretrain.podplan.collectives import Collective, collectives
from codepretrain.podplan.hlo_cost import compiled_flops, hbm_bytes, silent_attention_products
from codepretrain.podplan.roofline import roofline
from codepretrain.podplan.topology import Topology, topology_devices
from codepretrain.train.execution import step_kernel
from codepretrain.train.sharding import make_mesh
from codepretrain.train.state import abstract_state
from codepretrain.train.step import abstract_batch, compile_train_step

_UNITS = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
# The compiler's two messages: "… temporaries (29.29G) exceeds available HBM (15.75G)"
# and "Used 20.1G of 15.75G hbm".
_TEMPORARIES = re.compile(r"temporaries \(([\d.]+)([KMGT])\) exceeds")
_USED = re.compile(r"[Uu]sed ([\d.]+)([KMGT]) of [\d.]+[KMGT]")


def plan_step(config: StudyConfig, topology: Topology) -> dict[str, Any]:
    """Returns the plan of the study's step on a pod, as JSON-ready values.

    All phases of a study share one step: learning rate and weight decay are its arguments. If it
    does not fit, `memory` has the required memory, and the plan has no further entries.

    Raises:
      UserError: the compiler is not installed, it does not know the pod, or the model or the batch
        is not divisible over the mesh.
    """
    devices = topology_devices(topology)
    mesh = make_mesh(config.execution.mesh, devices, d_model=config.model.d_model)
    plan = {
        "topology": topology.name,
        "chip": topology.chip.name,
        "num_slices": topology.num_slices,
        "num_chips": topology.num_chips,
        "num_hosts": topology.num_hosts,
        "mesh": {axis: int(size) for axis, size in mesh.shape.items()},
        "batch_size": config.training.batch_size,
        "max_seq_len": config.data.max_seq_len,
        "num_microbatches": config.execution.num_microbatches,
        "remat_policy": config.execution.remat_policy,
        "attention_kernel": step_kernel(config, mesh).name,
    }
    start = time.monotonic()
    try:
        compiled = compile_train_step(config, mesh)
    except jax.errors.JaxRuntimeError as error:
        memory = _memory_that_is_missing(str(error), config, topology, mesh)
        if memory is None:
            raise
        return {**plan, "fits": False, "memory": memory}
    seconds = time.monotonic() - start
    text = compiled.as_text()
    assert text is not None, "the TPU compiler returns the optimized program"
    memory = _memory(compiled, topology, copy_bytes=_copy_bytes(config, mesh))
    if memory["free"] < 0:
        return {**plan, "fits": False, "memory": {**memory, "missing": -memory["free"]}}
    program = hlo.parse(text)
    return {
        **plan,
        "fits": True,
        "compile_s": seconds,
        "memory": memory,
        **_account(config, topology, mesh, program),
    }


def _copy_bytes(config: StudyConfig, mesh: Mesh) -> int:
    """Returns the bytes of the copy of the state from which a step is replayed."""
    if config.execution.replay_interval_steps is None:
        return 0
    return sum(_shard_bytes(leaf) for leaf in jax.tree.leaves(abstract_state(config, mesh)))


def _memory(
    compiled: jax.stages.Compiled, topology: Topology, *, copy_bytes: int
) -> dict[str, int]:
    """Returns bytes; `total` is the sum of the allocations, with aliased ones counted once."""
    stats = compiled.memory_analysis()
    assert stats is not None, "the TPU compiler reports memory"
    total = (
        stats.argument_size_in_bytes
        + stats.output_size_in_bytes
        - stats.alias_size_in_bytes
        + stats.temp_size_in_bytes
        + stats.generated_code_size_in_bytes
        + copy_bytes
    )
    return {
        "arguments": stats.argument_size_in_bytes,
        "outputs": stats.output_size_in_bytes,
        "aliased": stats.alias_size_in_bytes,
        "temporaries": stats.temp_size_in_bytes,
        "generated_code": stats.generated_code_size_in_bytes,
        "replay_copy": copy_bytes,
        "host": stats.host_temp_size_in_bytes,
        "peak": stats.peak_memory_in_bytes,
        "total": total,
        "hbm": topology.chip.hbm_bytes,
        "free": topology.chip.hbm_bytes - total,
    }


def _memory_that_is_missing(
    message: str, config: StudyConfig, topology: Topology, mesh: Mesh
) -> dict[str, int] | None:
    """Returns the memory of a program that is out of memory; None for other errors."""
    arguments = sum(
        _shard_bytes(leaf)
        for leaf in jax.tree.leaves((abstract_state(config, mesh), abstract_batch(config, mesh)))
    )
    if found := _TEMPORARIES.search(message):
        total = arguments + int(float(found[1]) * _UNITS[found[2]])
    elif found := _USED.search(message):
        total = int(float(found[1]) * _UNITS[found[2]])
    else:
        return None
    hbm = topology.chip.hbm_bytes
    return {"arguments": arguments, "total": total, "hbm": hbm, "missing": total - hbm}


def _shard_bytes(leaf: jax.ShapeDtypeStruct) -> int:
    return math.prod(leaf.sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize


def _account(
    config: StudyConfig, topology: Topology, mesh: Mesh, program: hlo.Program
) -> dict[str, Any]:
    sent = collectives(program, dict(mesh.shape), num_slices=topology.num_slices)
    tokens = config.training.batch_size * config.data.max_seq_len / topology.num_chips
    model_flops = tokens * flops_per_token(config.model, config.data.max_seq_len)
    kernels = silent_attention_products(program) * _product_flops(config, tokens)
    flops = compiled_flops(program) + kernels
    traffic = hbm_bytes(program)
    bounds = roofline(
        topology.chip,
        flops=flops,
        hbm_bytes=traffic,
        ici_bytes=sum(one.sent_bytes for one in sent),
        dcn_bytes=sum(one.dcn_bytes for one in sent),
    )
    return {
        "flops": {
            "compiled": flops,
            "model": model_flops,
            "recomputation": flops / model_flops,
            "attention_by_formula": kernels,
        },
        "hbm_traffic": traffic,
        "collectives": _table(sent),
        "bound_s": {**dataclasses.asdict(bounds), "step": bounds.seconds},
        "bound_by": bounds.limited_by,
        "bound_mfu": model_flops / topology.chip.peak_flops_per_s / bounds.seconds,
        "bound_tokens_per_s_per_chip": tokens / bounds.seconds,
    }


def _product_flops(config: StudyConfig, tokens: float) -> float:
    """Returns the FLOPs of one product of [T, T] and H, causal half, in one run of a kernel.

    tokens: those of a chip in a step. A run covers one layer of one micro-batch.
    """
    seq_len, layers = config.data.max_seq_len, config.model.num_layers
    two_products = forward_flops_per_token(config.model, seq_len).attention * tokens
    return two_products / 2 / layers / config.execution.num_microbatches


def _table(sent: Sequence[Collective]) -> list[dict[str, Any]]:
    """Returns one row per kind and axes, most bytes first."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for one in sent:
        key = (one.kind, "+".join(one.axes))
        row = rows.setdefault(
            key, {"kind": key[0], "axes": key[1], "executions": 0, "ici": 0.0, "dcn": 0.0}
        )
        row["executions"] += one.executions
        row["ici"] += one.sent_bytes
        row["dcn"] += one.dcn_bytes
    return sorted(rows.values(), key=lambda row: -row["ici"] - row["dcn"])


def check_fits_batch(config: StudyConfig, topology: Topology) -> None:
    """Raises UserError if the batch has fewer rows than the pod has chips."""
    rows = config.training.batch_size
    within_a_row = [axis for axis in AXES if axis not in axes_of("batch")]
    given = dataclasses.asdict(config.execution.mesh)
    if rows < topology.num_chips and all(given[axis] in (None, 1) for axis in within_a_row):
        settings = " or ".join(f"config.execution.mesh.{axis}" for axis in within_a_row)
        raise UserError(
            f"config.training.batch_size: {rows} rows are fewer than the {topology.num_chips} "
            f"chips of {topology.name}; use a smaller topology or a larger batch, or set "
            f"{settings} to {-(-topology.num_chips // rows)} or more"
        )
