"""The peer of `evaluation.py`: the `hf` model of lm-evaluation-harness on the same weights.

python benchmarks/evaluation_peer.py --one FOLDER     with the files that evaluation.py writes
"""

import argparse
import json
from pathlib import Path

import torch
from evaluation import report_one
from evaluation_data import NUM_NEW_TOKENS
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM

from codepretrain.hardware.host_memory import keep_freed_memory

_REFERENCE_BATCH = 8  # logits of 8 rows in float32: 8 GiB for 256,000 ids


class Harness:
    """HFLM with its default settings, on the first GPU if there is one."""

    def __init__(self, setting: dict) -> None:
        has_gpu = torch.cuda.is_available()
        self.device = torch.cuda.get_device_name() if has_gpu else "cpu"
        self._model = HFLM(
            pretrained=setting["folder"],
            dtype=setting["dtype"],
            device="cuda" if has_gpu else "cpu",
            batch_size=setting["batch_size"],
        )

    def score(self, pairs: list[list[str]]) -> list[tuple[float, bool]]:
        """Returns Σ log p of each continuation in nats, and whether it is the greedy one."""
        requests = [
            Instance(request_type="loglikelihood", doc={}, arguments=tuple(pair), idx=index)
            for index, pair in enumerate(pairs)
        ]
        return self._model.loglikelihood(requests, disable_tqdm=True)

    def complete(self, prompts: list[str]) -> list[str]:
        """Returns the greedy completion of each prompt."""
        options = {"until": [], "max_gen_toks": NUM_NEW_TOKENS, "do_sample": False}
        requests = [
            Instance(request_type="generate_until", doc={}, arguments=(prompt, options), idx=index)
            for index, prompt in enumerate(prompts)
        ]
        return self._model.generate_until(requests, disable_tqdm=True)

    def in_float32(self, setting: dict) -> list[tuple[float, bool]]:
        """Returns the scores of the first pairs computed in float32; none if all were."""
        if setting["dtype"] == "float32":
            return []
        self._model.model.float()
        self._model.batch_size_per_gpu = min(_REFERENCE_BATCH, setting["batch_size"])
        texts = json.loads(Path(setting["folder"], "texts.json").read_text())
        return self.score(texts["pairs"][: setting["reference"]])


def main() -> None:
    if not torch.cuda.is_available():
        keep_freed_memory()  # as ours does
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--one", required=True, help="the folder of the setting and the model")
    report_one(parser.parse_args().one, Harness)


if __name__ == "__main__":
    main()
