"""What is checked before a program is compiled, and what it says of itself."""

import dataclasses

import jax
import numpy as np
import pytest

from codepretrain.errors import UserError
from codepretrain.model.attention_kernels import KERNELS, AttentionKernel
from codepretrain.train.program import Program
from codepretrain.train.sharding import global_batch
from tests.train.test_step import CONFIG, rows


def changed(**execution):
    return dataclasses.replace(CONFIG, execution=dataclasses.replace(CONFIG.execution, **execution))


def test_description_names_devices_mesh_and_kernel():
    program = Program(CONFIG)
    expected = "8 × cpu, mesh data 1 × fsdp 8 × tensor 1, attention kernel blocked"
    assert program.description() == expected
    program.attention_kernel = AttentionKernel("cudnn")
    assert program.description().endswith(f"attention kernel cudnn: {KERNELS['cudnn'].limits}")


@pytest.mark.parametrize(
    ("execution", "message"),
    [
        ({"remat_policy": "some"}, r"config\.execution\.remat_policy: .*'some'"),
        ({"attention_kernel": "splash"}, r"config\.execution\.attention_kernel: 'splash' runs on"),
        ({"num_microbatches": 3}, r"config\.training\.batch_size: 16 is not divisible by"),
    ],
)
def test_mistakes_are_found_before_compiling(execution, message, monkeypatch):
    monkeypatch.setattr("codepretrain.train.program.compile_train_step", pytest.fail)
    with pytest.raises(UserError, match=message):
        Program(changed(**execution))


def test_the_step_is_compiled_once(monkeypatch):
    from codepretrain.train import program as module

    compilations = []

    def counted(config, mesh, compile_step=module.compile_train_step):
        compilations.append(mesh)
        return compile_step(config, mesh)

    monkeypatch.setattr(module, "compile_train_step", counted)
    program = Program(CONFIG, jax.devices()[:1])
    state = program.initial_state(seed=0)
    program.compile()
    for step in range(2):
        batch = global_batch(rows(step), program.mesh)
        state, metrics = program.train_step(state, batch, 1e-3 * step, 0.1)
    assert len(compilations) == 1
    assert int(state.step) == 2
    assert np.isfinite(float(metrics.loss))


def test_mfu_is_known_only_for_known_chips():
    assert Program(CONFIG).mfu(1000.0) is None
