import jax
import jax.numpy as jnp
import numpy as np
import pytest

from codepretrain.evals.language_model.sampling import Sampling, draw, greedy

LOGITS = np.log(np.array([0.1, 0.4, 0.05, 0.3, 0.15], np.float32))


def frequencies(sampling: Sampling, num_draws: int = 20_000) -> np.ndarray:
    """How often each of the five tokens is drawn, over as many positions."""
    counters = np.zeros((num_draws, 3), np.int32)
    counters[:, 2] = np.arange(num_draws)
    tokens = draw(
        jnp.tile(LOGITS, (num_draws, 1)),
        jnp.asarray(counters),
        seed=jnp.uint32(sampling.seed),
        temperature=jnp.float32(sampling.temperature),
        top_p=jnp.float32(sampling.top_p),
        top_k=sampling.top_k,
        uses_top_p=sampling.top_p < 1.0,
    )
    return np.bincount(np.asarray(tokens), minlength=5) / num_draws


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        (Sampling(), [0.1, 0.4, 0.05, 0.3, 0.15]),
        (Sampling(temperature=0.5), np.array([0.01, 0.16, 0.0025, 0.09, 0.0225]) / 0.285),
        (Sampling(top_k=2), [0, 4 / 7, 0, 3 / 7, 0]),
        (Sampling(top_k=9), [0.1, 0.4, 0.05, 0.3, 0.15]),
        (Sampling(top_p=0.3), [0, 1, 0, 0, 0]),
        (Sampling(top_p=0.69), [0, 4 / 7, 0, 3 / 7, 0]),
        (Sampling(top_p=0.71), np.array([0, 0.4, 0, 0.3, 0.15]) / 0.85),
        # Among the first three the probabilities are 8/17, 6/17 and 3/17.
        (Sampling(top_k=3, top_p=0.6), [0, 4 / 7, 0, 3 / 7, 0]),
        # The temperature comes first: 0.16, 0.09 and 0.0225 of 0.285.
        (Sampling(temperature=0.5, top_p=0.7), [0, 0.64, 0, 0.36, 0]),
    ],
)
def test_draws_have_the_distribution(sampling: Sampling, expected: list[float]) -> None:
    """Within five standard errors, and what has no probability is never drawn."""
    found, true = frequencies(sampling), np.asarray(expected)
    assert (abs(found - true) <= 5 * np.sqrt(true * (1 - true) / 20_000)).all(), found


def test_seeds_differ_and_repeat() -> None:
    assert (frequencies(Sampling(seed=5)) == frequencies(Sampling(seed=5))).all()
    assert (frequencies(Sampling(seed=5)) != frequencies(Sampling(seed=6))).any()


def test_each_counter_changes_the_draw() -> None:
    counters = jnp.asarray(np.concatenate([np.eye(3), np.zeros((1, 3)), np.eye(3)]), jnp.int32)
    uniform = jnp.zeros((7, 1 << 16))
    tokens = draw(
        uniform,
        counters,
        seed=jnp.uint32(0),
        temperature=jnp.float32(1),
        top_p=jnp.float32(1),
        top_k=None,
        uses_top_p=False,
    ).tolist()
    assert len(set(tokens[:4])) == 4
    assert tokens[4:] == tokens[:3]


def test_greedy_takes_the_first_of_equals() -> None:
    assert greedy(jnp.array([[0.0, 2.0, 2.0], [3.0, 1.0, 2.0]])).tolist() == [1, 0]
    assert greedy(jax.numpy.zeros((1, 4))).dtype == jnp.int32


@pytest.mark.parametrize("num_ids", [5, 50, 64, 96, 4096])
def test_greedy_is_the_argmax_for_any_number_of_ids(num_ids: int) -> None:
    """With many equal logits, within a block of ids and across blocks."""
    logits = np.random.default_rng(0).integers(0, 4, (200, num_ids)).astype(np.float32)
    logits[:20] = 0.0
    logits[20:40, num_ids // 2 :] = np.inf
    logits[40:60] = -np.inf
    logits[60:80] = np.nan
    np.testing.assert_array_equal(greedy(jnp.asarray(logits)), np.argmax(logits, axis=-1))
