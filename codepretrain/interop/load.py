"""Reads a Cohere model into a checkpoint that phases may start from, and gives it to them."""

import shutil
from pathlib import Path
from typing import Any

import jax
import numpy as np

from codepretrain.checkpoint.manager import Checkpoints
from codepretrain.checkpoint.policy import CheckpointPolicy
from codepretrain.config.schema import CheckpointConfig, ModelConfig
from codepretrain.errors import UserError
from codepretrain.interop.export import PROVENANCE
from codepretrain.interop.files import TensorFiles
from codepretrain.interop.import_record import ImportRecord, load_record
from codepretrain.interop.settings import check_settings, read_json
from codepretrain.interop.tensors import (
    WeightsDigest,
    from_tensor,
    leaf_shapes,
    nested,
    tensor_shapes,
)
from codepretrain.interop.tokenizer_files import ids_digest
from codepretrain.model.size import num_parameters
from codepretrain.model.transformer import Params

STEP = 0  # of the checkpoint: it has seen none of the study's batches


def import_model(source: Path, folder: Path, model: ModelConfig) -> tuple[ImportRecord, bool]:
    """Reads the model in `source` into `folder`; returns its record and whether it was new.

    The same weights again change nothing.

    Raises:
      UserError: the model is not the study's, its files are damaged, or were changed since they
        were exported; `folder` holds other weights.
    """
    check_settings(source, model)
    leaves = read_leaves(source, model)
    record = _record(source, leaves, model)
    existing = load_record(folder)
    if existing is not None:
        if existing.weights_sha256 != record.weights_sha256:
            raise UserError(
                f"{folder} holds other weights ({existing.weights_sha256[:12]}, these are "
                f"{record.weights_sha256[:12]}): choose another --name, or delete it"
            )
        return existing, False
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)  # of an import that was stopped
    # Of a host's own arrays Orbax would make two copies more; these it writes as they are.
    arrays = {path: jax.block_until_ready(jax.device_put(leaves.pop(path))) for path in [*leaves]}
    checkpoints = _checkpoints(folder)
    try:
        identity = {"weights_sha256": record.weights_sha256}
        checkpoints.save(STEP, {"params": nested(arrays)}, ledger={}, identity=identity)
    finally:
        checkpoints.close()
    record.save(folder)
    return record, True


def read_leaves(source: Path, model: ModelConfig) -> dict[str, np.ndarray]:
    """Returns the model's parameters by path, in float32, from a folder of safetensors.

    Raises:
      UserError: tensors are missing, unknown, of another shape, or not finite.
    """
    files = TensorFiles(source)
    shapes = leaf_shapes(model)
    wanted = {
        name: (leaf, one)
        for leaf, shape in shapes.items()
        for name, one in tensor_shapes(leaf, shape).items()
    }
    _check_tensors(files, {name: one for name, (_, one) in wanted.items()})
    leaves = {leaf: np.empty(shape, np.float32) for leaf, shape in shapes.items()}
    filled = dict.fromkeys(shapes, 0)
    for name, (leaf, _) in wanted.items():
        tensor = files.read(name)
        if not np.isfinite(tensor).all():
            raise UserError(f"{source}: {name} holds values that are not finite")
        whole = leaves[leaf]
        if leaf.startswith("blocks/"):
            whole[filled[leaf]] = from_tensor(leaf, tensor, whole.shape[1:])
        else:
            whole[...] = tensor
        filled[leaf] += 1
    return leaves


def restore_params(folder: Path, record: ImportRecord, abstract_params: Params) -> Params:
    """Returns the imported parameters on the devices, as `abstract_params` shards them.

    Raises:
      UserError: the checkpoint is missing, damaged, or not the one that the record describes.
    """
    checkpoints = _checkpoints(folder)
    try:
        restored = checkpoints.restore({"params": abstract_params}, step=STEP)
    finally:
        checkpoints.close()
    again = f"delete {folder} and import the model again"
    if restored.state is None:
        problem = "; ".join(restored.damaged.values()) or f"no checkpoint in {folder}"
        raise UserError(f"imported checkpoint: {problem}; {again}")
    if restored.identity["weights_sha256"] != record.weights_sha256:
        raise UserError(f"the checkpoint in {folder} is not that of its import.json; {again}")
    return restored.state["params"]


def _checkpoints(folder: Path) -> Checkpoints:
    return Checkpoints(
        folder / "checkpoints", CheckpointPolicy(CheckpointConfig(), frozenset({STEP}))
    )


def _record(source: Path, leaves: dict[str, np.ndarray], model: ModelConfig) -> ImportRecord:
    digest = WeightsDigest()
    for path, value in leaves.items():
        digest.update(path, value.shape, [value])
    sha256 = digest.hexdigest()
    origin: dict[str, Any] = {"folder": str(source.absolute())}
    if (source / PROVENANCE).exists():
        origin["export"] = read_json(source / PROVENANCE)
        if origin["export"].get("weights_sha256") != sha256:
            raise UserError(
                f"the weights in {source} are not those that {PROVENANCE} describes: the files are "
                f"damaged, or were changed on purpose; in that case delete {PROVENANCE}"
            )
    tokenizer = source / "tokenizer.json"
    return ImportRecord(
        weights_sha256=sha256,
        ids_sha256=ids_digest(tokenizer) if tokenizer.exists() else None,
        num_parameters=num_parameters(model),
        origin=origin,
    )


def _check_tensors(files: TensorFiles, wanted: dict[str, tuple[int, ...]]) -> None:
    found = files.shapes()
    names = {name for name in found if not name.endswith("rotary_emb.inv_freq")}  # old releases'
    if "lm_head.weight" not in wanted and "lm_head.weight" in names:
        names.remove("lm_head.weight")
        if not np.array_equal(
            files.read("lm_head.weight"), files.read("model.embed_tokens.weight")
        ):
            raise UserError(
                f"{files.folder}: lm_head.weight differs from model.embed_tokens.weight, though "
                "config.json says that they are tied"
            )
    problems = {
        "missing": [n for n in wanted if n not in names],
        "unknown": sorted(names - set(wanted)),
        "of another shape": [
            f"{n} is {list(found[n])} there and {list(shape)} here"
            for n, shape in wanted.items()
            if n in found and found[n] != shape
        ],
    }
    listed = [f"{kind}: {_some(names)}" for kind, names in problems.items() if names]
    if listed:
        raise UserError(f"the tensors in {files.folder} are not the model's: {'; '.join(listed)}")


def _some(names: list[str], at_most: int = 3) -> str:
    more = f" and {len(names) - at_most} more" if len(names) > at_most else ""
    return ", ".join(names[:at_most]) + more
