"""Reading a model back: bit for bit, or one clear line that says why not."""

import json
from pathlib import Path
from typing import Any

import jax
import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from codepretrain.config.schema import MeshConfig
from codepretrain.errors import UserError
from codepretrain.interop.export import ExportOptions
from codepretrain.interop.import_record import load_record
from codepretrain.interop.load import import_model, read_leaves, restore_params
from codepretrain.model.transformer import abstract_params, logical_axes
from codepretrain.train.sharding import make_mesh, param_shardings


def assert_same_bits(left: np.ndarray, right: np.ndarray) -> None:
    assert left.dtype == right.dtype == np.float32
    np.testing.assert_array_equal(left.view(np.uint32), np.asarray(right).view(np.uint32))


@pytest.mark.parametrize("max_shard_bytes", [10_000, 2_000_000_000])
@pytest.mark.parametrize(
    "changes", [{}, {"tie_embeddings": True, "use_qk_norm": False, "num_kv_heads": 4}]
)
def test_round_trip_is_bit_for_bit(
    tiny: Any, exported: Any, tmp_path: Path, changes: dict[str, Any], max_shard_bytes: int
) -> None:
    config = tiny(**changes)
    folder, leaves = exported(config, ExportOptions(max_shard_bytes=max_shard_bytes))
    record, is_new = import_model(folder, tmp_path / "imported", config)
    assert is_new
    mesh = make_mesh(MeshConfig(data=2, fsdp=2, tensor=2), jax.devices())
    abstract = abstract_params(config)
    abstract = jax.tree.map(
        lambda leaf, sharding: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding),
        abstract,
        param_shardings(logical_axes(config), abstract, mesh),
    )
    params = restore_params(tmp_path / "imported", record, abstract)
    restored = jax.tree_util.tree_leaves_with_path(params)
    assert len(restored) == len(leaves)
    for keys, value in restored:
        path = jax.tree_util.keystr(keys, simple=True, separator="/")
        assert_same_bits(leaves[path], np.asarray(value))
        assert value.sharding.mesh == mesh


def test_bfloat16_is_rounded_once_and_read_exactly(tiny: Any, exported: Any) -> None:
    folder, leaves = exported(options=ExportOptions(dtype="bfloat16"))
    assert json.loads((folder / "config.json").read_text())["dtype"] == "bfloat16"
    for path, value in read_leaves(folder, tiny()).items():
        rounded = leaves[path].astype(ml_dtypes.bfloat16).astype(np.float32)
        assert_same_bits(value, rounded)


def test_the_same_weights_again_change_nothing(tiny: Any, exported: Any, tmp_path: Path) -> None:
    folder, _ = exported()
    home = tmp_path / "imported"
    first, _ = import_model(folder, home, tiny())
    cut, _ = exported(options=ExportOptions(max_shard_bytes=9_000), name="cut")
    again, is_new = import_model(cut, home, tiny())
    assert (again, is_new) == (first, False)
    assert load_record(home) == first
    edit_tensors(
        folder, lambda tensors: {**tensors, "lm_head.weight": tensors["lm_head.weight"] + 1}
    )
    (folder / "codepretrain.json").unlink()
    with pytest.raises(UserError, match="holds other weights"):
        import_model(folder, home, tiny())


def test_an_import_that_was_stopped_leaves_nothing_behind(
    tiny: Any, exported: Any, tmp_path: Path
) -> None:
    folder, leaves = exported()
    home = tmp_path / "imported"
    import_model(folder, home, tiny())
    (home / "import.json").unlink()  # it is written last
    edit_tensors(folder, lambda t: {**t, "model.norm.weight": 2 * t["model.norm.weight"]})
    (folder / "codepretrain.json").unlink()
    record, is_new = import_model(folder, home, tiny())
    assert is_new
    params = restore_params(home, record, abstract_params(tiny()))
    assert_same_bits(np.asarray(params["final_norm"]["scale"]), 2 * leaves["final_norm/scale"])


def edit_tensors(folder: Path, change: Any) -> None:
    path = folder / "model.safetensors"
    save_file(change(load_file(path)), path)


def without(name: str) -> Any:
    return lambda tensors: {n: t for n, t in tensors.items() if n != name}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("model.norm.weight"), "missing: model.norm.weight$"),
        (lambda t: {**t, "model.bias": t["model.norm.weight"]}, "unknown: model.bias$"),
        (
            lambda t: {**t, "model.norm.weight": np.ones(33, np.float32)},
            r"of another shape: model.norm.weight is \[33\] there and \[32\] here",
        ),
        (
            lambda t: {**t, "model.norm.weight": np.full(32, np.nan, np.float32)},
            "model.norm.weight holds values that are not finite",
        ),
        (
            lambda t: {**t, "model.norm.weight": np.ones(32, np.int32)},
            "model.norm.weight is I32; expected one of F32, BF16, F16",
        ),
        (
            lambda t: {**t, "model.norm.weight": t["model.norm.weight"] * 2},
            "the weights in .* are not those that codepretrain.json describes",
        ),
    ],
)
def test_tensors_that_do_not_fit(
    tiny: Any, exported: Any, tmp_path: Path, change: Any, message: str
) -> None:
    folder, _ = exported()
    edit_tensors(folder, change)
    with pytest.raises(UserError, match=message):
        import_model(folder, tmp_path / "imported", tiny())
    assert not (tmp_path / "imported").exists()


def test_damaged_and_missing_files(tiny: Any, exported: Any, tmp_path: Path) -> None:
    folder, _ = exported(options=ExportOptions(max_shard_bytes=20_000))
    shards = sorted(folder.glob("*.safetensors"))
    whole = shards[1].read_bytes()
    shards[1].write_bytes(whole[:-10])
    with pytest.raises(UserError, match=f"damaged .*{shards[1].name}"):
        import_model(folder, tmp_path / "imported", tiny())
    shards[1].unlink()
    with pytest.raises(UserError, match=f"lacks {shards[1].name}, which"):
        import_model(folder, tmp_path / "imported", tiny())
    (folder / "model.safetensors.index.json").unlink()
    with pytest.raises(UserError, match="holds neither"):
        import_model(folder, tmp_path / "imported", tiny())
    with pytest.raises(UserError, match=r"holds no config\.json"):
        import_model(tmp_path, tmp_path / "imported", tiny())


def test_tied_models_may_carry_the_head_twice_if_it_is_the_same(
    tiny: Any, exported: Any, tmp_path: Path
) -> None:
    config = tiny(tie_embeddings=True)
    folder, leaves = exported(config)
    edit_tensors(folder, lambda t: {**t, "lm_head.weight": t["model.embed_tokens.weight"]})
    assert_same_bits(read_leaves(folder, config)["embedding"], leaves["embedding"])
    edit_tensors(folder, lambda t: {**t, "lm_head.weight": t["lm_head.weight"] + 1})
    with pytest.raises(UserError, match="differs from"):
        read_leaves(folder, config)


def test_a_damaged_import_is_named(tiny: Any, exported: Any, tmp_path: Path) -> None:
    folder, _ = exported()
    home = tmp_path / "imported"
    record, _ = import_model(folder, home, tiny())
    abstract = abstract_params(tiny())
    (home / "checkpoints" / "0" / "checkpoint.json").unlink()
    with pytest.raises(UserError, match=r"checkpoint\.json is missing; delete .* import the model"):
        restore_params(home, record, abstract)
    (home / "import.json").write_text('{"format": 9}')
    with pytest.raises(UserError, match=r"damaged .*import\.json"):
        load_record(home)
