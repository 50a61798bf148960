"""The prompts of lm-evaluation-harness's own task files, rendered without the harness."""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml


class _Loader(yaml.SafeLoader):
    """Reads `!function x.y` as the text "x.y"."""


_Loader.add_constructor("!function", lambda loader, node: loader.construct_scalar(node))


class HarnessTask:
    def __init__(self, path: Path) -> None:
        self._task = yaml.load(path.read_text(), _Loader)
        self.stop: list[str] = self._task["generation_kwargs"]["until"]

    def prompt(self, record: Mapping[str, Any]) -> str:
        return self._render("doc_to_text", record)

    def shown(self, record: Mapping[str, Any]) -> str:
        """Returns a solved task of a few-shot prompt."""
        target = self._render("doc_to_target", {**record, "is_fewshot": True})
        return self.prompt(record) + self._task["target_delimiter"] + target + "\n\n"

    def _render(self, field: str, record: Mapping[str, Any]) -> str:
        environment = jinja2.Environment(
            undefined=jinja2.StrictUndefined, keep_trailing_newline=True
        )
        return environment.from_string(self._task[field]).render(**record)


def load(name: str) -> HarnessTask:
    """Returns a task by its path in the harness; skips the test without the harness."""
    found = find_spec("lm_eval")
    if found is None or found.origin is None:
        pytest.skip("lm-evaluation-harness is not installed")
    return HarnessTask(Path(found.origin).parent / "tasks" / name)
