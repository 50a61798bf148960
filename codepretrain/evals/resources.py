"""What evaluators share: the language model, the loss of rows, and the held-out rows."""

from collections.abc import Sequence
from functools import cached_property

from etils import epath
from jax.sharding import Mesh

from codepretrain.config.schema import StudyConfig
from codepretrain.errors import UserError
from codepretrain.evals.language_model import LanguageModel
from codepretrain.evals.row_loss import RowLoss
from codepretrain.rows.shard_files import host_cache
from codepretrain.rows.store import RowStore, open_sources
from codepretrain.rows.vocabulary import load_vocabulary
from codepretrain.train.execution import step_kernel


class Resources:
    """Resources that evaluators share, created on first use."""

    def __init__(self, config: StudyConfig, data_dir: epath.Path, mesh: Mesh) -> None:
        self.config = config
        self.data_dir = data_dir
        self._mesh = mesh
        # As many rows as training handles at once; without gradients they fit in memory.
        self._batch_size = config.training.batch_size // config.execution.num_microbatches

    @property
    def cache_dir(self) -> epath.Path:
        """Where evaluations keep results as they come: `<workdir>/evaluation_cache`.

        The data is in `<workdir>/data/<hash>`.
        """
        return self.data_dir.parent.parent / "evaluation_cache"

    @cached_property
    def language_model(self) -> LanguageModel:
        config = self.config
        return LanguageModel(
            config.model,
            load_vocabulary(self.data_dir, vocab_size=config.model.vocab_size),
            self._mesh,
            batch_size=self._batch_size,
            max_seq_len=config.data.max_seq_len,
            attention_kernel=step_kernel(config, self._mesh),
        )

    @cached_property
    def row_loss(self) -> RowLoss:
        return RowLoss(self.config, self._mesh, batch_size=self._batch_size)

    def held_out_rows(self, sources: Sequence[str]) -> dict[str, RowStore]:
        """Returns source → its held-out rows.

        Raises:
          UserError: a source has none.
        """
        cache = host_cache(self.config.execution.row_cache_bytes)
        stores = open_sources(self.data_dir, sources, "validation", cache=cache)
        empty = [source for source, store in stores.items() if not len(store)]
        if empty:
            raise UserError(
                f"config.data.validation_fraction = {self.config.data.validation_fraction:g} holds "
                f"out no rows of {', '.join(empty)}: raise it and prepare again, or name the other "
                "sources in options.sources of the validation loss (config.evals)"
            )
        return stores
