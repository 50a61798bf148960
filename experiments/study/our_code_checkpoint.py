"""The shape and the tokenizer of the checkpoint that `experiments/our_code.py` is given.

No study of its own.
"""

from codepretrain.config.schema import ModelConfig, TokenizerConfig
from codepretrain.errors import UserError
from codepretrain.files import storage
from codepretrain.interop.json_fields import JsonFields
from codepretrain.interop.settings import from_cohere
from codepretrain.interop.tokenizer_files import check_is_exported

_ARGUMENT = "config.arguments.checkpoint"
_OLD, _NEW = "special_tokens_map.json", "tokenizer_config.json"  # before and since transformers 5


def checkpoint_settings(folder: str) -> tuple[ModelConfig, TokenizerConfig]:
    """Returns the settings of a `transformers` Cohere model.

    Raises:
      UserError: the folder is none of such a model, or lacks its tokenizer.
    """
    for name in ("config.json", "tokenizer.json"):
        if not storage.exists(f"{folder}/{name}"):
            why = f"holds no {name}" if storage.exists(folder) else "does not exist"
            raise UserError(
                f"{_ARGUMENT}: {folder} {why}: expected the folder of a `transformers` Cohere "
                "model and its tokenizer, as `codepretrain export` writes it"
            )
    try:
        model = ModelConfig(**from_cohere(folder), compute_dtype="float32")
        check_is_exported(folder)
        bos, eos = (_special_token(folder, name) for name in ("bos_token", "eos_token"))
    except UserError as error:
        raise UserError(f"{_ARGUMENT}: {error}") from error
    path = f"{folder}/tokenizer.json"
    return model, TokenizerConfig(
        path=path, vocab_size=model.vocab_size, bos_token=bos, eos_token=eos
    )


def _special_token(folder: str, name: str) -> str:
    file = JsonFields.read(f"{folder}/{_OLD if storage.exists(f'{folder}/{_OLD}') else _NEW}")
    found = file.values.get(name)
    return found if isinstance(found, str) else file.object(name).text("content")
