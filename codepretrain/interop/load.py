"""Imports a Cohere model as a checkpoint that phases can start from, and restores it."""

from typing import Any

import jax
import numpy as np
from etils import epath

from codepretrain.checkpoint.manager import Checkpoints
from codepretrain.checkpoint.policy import CheckpointPolicy
from codepretrain.config.schema import CheckpointConfig, ModelConfig
from codepretrain.errors import UserError
from codepretrain.files import storage
from codepretrain.files.lease import exclusive
from codepretrain.files.storage import StrPath
from codepretrain.interop.export import PROVENANCE
from codepretrain.interop.import_record import ImportRecord, load_record
from codepretrain.interop.json_fields import JsonFields
from codepretrain.interop.settings import check_settings
from codepretrain.interop.tensor_files import TensorFiles
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


def import_model(
    source_path: StrPath, folder_path: StrPath, model: ModelConfig
) -> tuple[ImportRecord, bool]:
    """Reads the model in one folder into another; returns its record and whether it is new.

    Importing the same weights again changes nothing.

    Raises:
      UserError: the model is not the study's, its files are damaged, or were changed since they
        were exported; the second folder holds other weights.
    """
    source, folder = epath.Path(source_path), epath.Path(folder_path)
    check_settings(source, model)
    leaves = read_leaves(source, model)
    record = _record(source, leaves, model)
    with exclusive(folder):  # only now, so a model that cannot be read leaves no folder
        existing = load_record(folder)
        if existing is None:
            _save(folder, leaves, record)
            return record, True
    if existing.weights_sha256 != record.weights_sha256:
        raise UserError(
            f"{folder} holds other weights ({existing.weights_sha256[:12]}, these are "
            f"{record.weights_sha256[:12]}): choose another --name, or delete it"
        )
    return existing, False


def _save(folder: epath.Path, leaves: dict[str, np.ndarray], record: ImportRecord) -> None:
    """Writes the checkpoint, then its record; takes the leaves."""
    storage.remove_tree(folder / "checkpoints")  # of an import that was stopped
    # Orbax would copy a NumPy array twice; a JAX array it writes as it is.
    arrays = {path: jax.block_until_ready(jax.device_put(leaves.pop(path))) for path in [*leaves]}
    checkpoints = _checkpoints(folder)
    try:
        identity = {"weights_sha256": record.weights_sha256}
        checkpoints.save(STEP, {"params": nested(arrays)}, ledger={}, identity=identity)
    finally:
        checkpoints.close()
    record.save(folder)


def read_leaves(source: StrPath, model: ModelConfig) -> dict[str, np.ndarray]:
    """Returns the model's parameters by path, in float32, from a folder of safetensors.

    Raises:
      UserError: tensors are missing, unknown, of another shape, or not finite.
    """
    shapes = leaf_shapes(model)
    wanted = {
        name: (leaf, one)
        for leaf, shape in shapes.items()
        for name, one in tensor_shapes(leaf, shape).items()
    }
    with TensorFiles(source) as files:
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


def restore_params(folder: StrPath, record: ImportRecord, abstract_params: Params) -> Params:
    """Returns the imported parameters on the devices, sharded like `abstract_params`.

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
        raise UserError(f"the checkpoint in {folder} does not match its import.json; {again}")
    return restored.state["params"]


def _checkpoints(folder: StrPath) -> Checkpoints:
    return Checkpoints(
        epath.Path(folder) / "checkpoints",
        CheckpointPolicy(CheckpointConfig(), frozenset({STEP})),
    )


def _record(source: epath.Path, leaves: dict[str, np.ndarray], model: ModelConfig) -> ImportRecord:
    digest = WeightsDigest()
    for path, value in leaves.items():
        digest.update(path, value.shape, [value])
    sha256 = digest.hexdigest()
    origin: dict[str, Any] = {"folder": str(source)}
    if storage.exists(source / PROVENANCE):
        exported = JsonFields.read(source / PROVENANCE)
        origin["export"] = exported.values
        if exported.text("weights_sha256") != sha256:
            raise UserError(
                f"the weights in {source} are not those that {PROVENANCE} describes: the files "
                f"are damaged, or were changed on purpose; in that case delete {PROVENANCE}"
            )
    tokenizer = source / "tokenizer.json"
    return ImportRecord(
        weights_sha256=sha256,
        ids_sha256=ids_digest(tokenizer) if storage.exists(tokenizer) else None,
        num_parameters=num_parameters(model),
        origin=origin,
    )


def _check_tensors(files: TensorFiles, wanted: dict[str, tuple[int, ...]]) -> None:
    """Raises UserError unless a folder has the wanted tensors, in the wanted shapes."""
    found = files.shapes()
    names = {n for n in found if not n.endswith("rotary_emb.inv_freq")}  # of older releases
    head, embedding = "lm_head.weight", "model.embed_tokens.weight"
    is_extra_head = head in names and head not in wanted
    if is_extra_head:
        names.remove(head)
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
        raise UserError(
            f"the tensors in {files.folder} are not those of config.model: {'; '.join(listed)}"
        )
    if is_extra_head and not np.array_equal(files.read(head), files.read(embedding)):
        raise UserError(
            f"{files.folder}: {head} differs from {embedding}, but config.json says that they are "
            "tied"
        )


def _some(names: list[str], at_most: int = 3) -> str:
    more = f" and {len(names) - at_most} more" if len(names) > at_most else ""
    return ", ".join(names[:at_most]) + more
