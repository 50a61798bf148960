from codepretrain.evals.harness.encode import encode_pairs, encode_prompts
from codepretrain.evals.harness.tokenizer import TextTokenizer


def pair(tokenizer: TextTokenizer, context: str, continuation: str) -> tuple[str, str]:
    """Returns the texts of the two token lists; bos is the first token of every context."""
    ((context_ids, continuation_ids),) = encode_pairs(tokenizer, [context], [continuation])
    assert context_ids[0] == tokenizer.bos
    assert tokenizer.bos not in context_ids[1:] + continuation_ids
    return tokenizer.decode(context_ids), tokenizer.decode(continuation_ids)


def test_white_space_at_the_end_of_the_context_goes_to_the_continuation(
    tokenizer: TextTokenizer,
) -> None:
    assert pair(tokenizer, "Answer: \n", "yes") == ("Answer:", " \nyes")
    assert pair(tokenizer, "Answer:", " yes") == ("Answer:", " yes")


def test_an_empty_context_is_bos(tokenizer: TextTokenizer) -> None:
    assert pair(tokenizer, "", "yes") == ("", "yes")
    assert pair(tokenizer, " \n", "yes") == ("", " \nyes")
    ((context, _),) = encode_pairs(tokenizer, [""], ["yes"])
    assert context == [tokenizer.bos]


def test_the_continuation_has_the_tokens_of_the_whole_text(tokenizer: TextTokenizer) -> None:
    """ "stones" is one token after a space; alone, "s" would be another one."""
    ((context, continuation),) = encode_pairs(tokenizer, ["the"], [" stones"])
    assert [tokenizer.bos, *tokenizer.encode("the stones")] == context + continuation


def test_a_continuation_within_the_last_token_is_encoded_apart(tokenizer: TextTokenizer) -> None:
    """ " stones" is one token, and so is " stone": nothing of the whole is left for the "s"."""
    assert len(tokenizer.encode("the stones")) == len(tokenizer.encode("the stone"))
    assert pair(tokenizer, "the stone", "s") == ("the stone", "s")
    assert pair(tokenizer, "the stone", "") == ("the stone", "")


def test_text_that_spells_a_special_token_is_text(tokenizer: TextTokenizer) -> None:
    assert pair(tokenizer, "<bos>", "<eos>") == ("<bos>", "<eos>")


def test_prompts_begin_with_bos(tokenizer: TextTokenizer) -> None:
    assert encode_prompts(tokenizer, ["", "yes", "yes"]) == [
        [tokenizer.bos],
        [tokenizer.bos, *tokenizer.encode("yes")],
        [tokenizer.bos, *tokenizer.encode("yes")],
    ]


def test_bytes_that_are_not_utf8_are_replaced(tokenizer: TextTokenizer) -> None:
    ids = tokenizer.encode("☃")
    assert tokenizer.decode(ids) == "☃"
    assert tokenizer.decode(ids[:1]) == "�"
