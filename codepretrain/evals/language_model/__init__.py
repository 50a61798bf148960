"""The model for evaluations: scores continuations and sequences, and generates completions."""

from codepretrain.evals.language_model.cache import RequestCache
from codepretrain.evals.language_model.completion import Completion
from codepretrain.evals.language_model.model import LanguageModel
from codepretrain.evals.language_model.sampling import Sampling
from codepretrain.evals.language_model.scoring import Scores
from codepretrain.evals.language_model.token_scores import TokenScores

__all__ = ["Completion", "LanguageModel", "RequestCache", "Sampling", "Scores", "TokenScores"]
