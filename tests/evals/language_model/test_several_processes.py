"""Two processes with two devices each give what one process with one device gives."""

import json
from pathlib import Path

import jax
import numpy as np

from codepretrain.config.schema import MeshConfig
from codepretrain.evals.language_model import LanguageModel
from codepretrain.model.transformer import init_params
from codepretrain.train.sharding import make_mesh
from tests.fixtures.language_model_calls import CONFIG, VOCABULARY, everything
from tests.fixtures.processes import RunJob

SCRIPT = """
    import json

    from codepretrain.config.schema import MeshConfig
    from codepretrain.evals.language_model import LanguageModel, RequestCache
    from codepretrain.model.transformer import init_params, logical_axes
    from codepretrain.train.sharding import make_mesh, param_shardings
    from tests.fixtures.language_model_calls import CONFIG, VOCABULARY, everything

    mesh = make_mesh(MeshConfig(data=2, tensor=2))
    abstract = jax.eval_shape(lambda: init_params(CONFIG, jax.random.key(0)))
    shardings = param_shardings(logical_axes(CONFIG), abstract, mesh)
    params = jax.jit(init_params, static_argnums=0, out_shardings=shardings)(
        CONFIG, jax.random.key(0)
    )
    model = LanguageModel(CONFIG, VOCABULARY, mesh, batch_size=2, max_seq_len=24)
    print(json.dumps(everything(model, params)))

    path = arguments[0] if process == 0 else "/no/such/folder/results"
    for _ in range(2):
        with RequestCache(path, "d") as cache, model.caching(cache):
            print(json.dumps(everything(model, params)))
        computed = []
        model._scorer = lambda params, requests: iter(computed.extend(requests) or [])
        model._generator = lambda params, requests, **_: iter(computed.extend(requests) or [])
    assert not computed
"""


def test_two_processes_give_what_one_gives(tmp_path: Path, run_job: RunJob) -> None:
    """Fresh, while the results are cached by process 0 alone, and from its cache."""
    mesh = make_mesh(MeshConfig(), jax.devices()[:1])
    model = LanguageModel(CONFIG, VOCABULARY, mesh, batch_size=3, max_seq_len=24)
    params = jax.jit(init_params, static_argnums=0)(CONFIG, jax.random.key(0))
    expected = everything(model, params)
    for ended in run_job(SCRIPT, tmp_path / "results"):
        assert ended.returncode == 0, ended.stderr
        lines = [json.loads(line) for line in ended.stdout.splitlines() if line.startswith("{")]
        assert len(lines) == 3
        for found in lines:
            for name in ("score", "rolling"):
                np.testing.assert_allclose(found[name], expected[name], rtol=1e-6, atol=2e-5)
            for name in ("is_greedy", "greedy", "sampled"):
                assert found[name] == expected[name]
