import pytest

from codepretrain.endpoint.account import Account, Terms


def test_prices_are_per_million_tokens() -> None:
    terms = Terms(prompt_price=2.0, completion_price=10.0)
    assert terms.cost(500_000, 100_000) == pytest.approx(1.0 + 1.0)
    assert terms.most_cost("né", 7) == pytest.approx((3 * 2.0 + 7 * 10.0) / 1e6)


def test_a_record_keeps_its_own_price() -> None:
    account, terms = Account(), Terms(prompt_price=1e6)
    tokens = {"prompt_tokens": 2, "completion_tokens": 1}
    account.add({**tokens, "cost": 0.5, "error": None}, terms)
    account.add({**tokens, "cost": None, "error": "cut off", "is_estimate": True}, terms)
    assert account == Account(
        num_answers=2,
        num_unusable=1,
        num_estimated=1,
        prompt_tokens=4,
        completion_tokens=2,
        cost=2.5,
    )
