"""`codepretrain prepare` of a corpus from this machine's own files: stages, memory, growth.

    python benchmarks/prepare.py [--gigabytes 0.5 1 5] [--num-workers 2] [--vocab-size 32768]

The corpus is what /usr and the installed packages hold as text, in JSON lines of 64 MB compressed
with zstd. A corpus that is larger than that repeats the files with the words of each line shuffled,
so that few copies are near-duplicates. For every size:

1. Seconds of each stage, and MB/s of the text that it takes, divided by the number of workers; or
   CPU seconds, and MB/s of CPU (--clock cpu). The text is what was read, and for packing what is
   left of it. Parts are what workers share: below a part for each worker (128 MiB of text), fewer
   of them pack.
2. The peak of the resident memory of `prepare` and its workers together, sampled every 50 ms. Pages
   of mapped files, such as libraries, do not count.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import zstandard
from rich.console import Console
from rich.table import Table

_ENDINGS = (
    *(".py", ".pyi", ".md", ".rst", ".txt", ".json", ".h", ".hpp", ".c", ".html"),
    *(".js", ".css", ".yaml", ".xml", ".sh", ".pl", ".pm"),
)
_MAX_FILE_BYTES = 1_000_000
_SHARD_BYTES = 64_000_000
_CHILD = """
import json, os, sys, types
from codepretrain.config.load import load_study
from codepretrain.data import prepare as stages
from codepretrain.data.prepare import prepare
from codepretrain.rows.data_dir import data_dir
def cpu_seconds():
    return sum(os.times()[:4])
if __name__ == "__main__":
    if sys.argv[4] == "cpu":
        stages.time = types.SimpleNamespace(monotonic=cpu_seconds)
    config = load_study(sys.argv[1], [])
    result = prepare(config, data_dir(sys.argv[2], config), num_workers=int(sys.argv[3]))
    rows = [vars(manifest) for manifest in result.rows.values()]
    print(json.dumps({
        "seconds": dict(result.seconds),
        "tokens": sum(r["num_tokens"] for r in rows),
        "bytes": sum(r["num_bytes"] for r in rows),
    }))
"""
_STUDY = """
from codepretrain.config.load import to_config_dict
from codepretrain.config.schema import *
def get_config():
    return to_config_dict(StudyConfig(
        name="benchmark",
        model=ModelConfig(vocab_size={vocab}, d_model=8, num_layers=1, num_heads=1, num_kv_heads=1,
                          head_dim=8, d_ff=8),
        data=DataConfig(
            sources={{"corpus": SourceConfig(reader="jsonl", kind="text",
                                            options={{"path": {path!r}}})}},
            max_seq_len={max_seq_len},
            {settings}
            tokenizer=TokenizerConfig(vocab_size={vocab}, training_bytes_per_source=50_000_000),
        ),
        training=TrainingConfig(batch_size=1),
        phases={{"only": PhaseConfig(tokens=2048, mixture={{"corpus": 1.0}},
                schedule=ScheduleConfig(shape="constant", peak_learning_rate=1e-3))}},
        variants={{"only": "only"}},
    ))
"""


def study_text(path: str, *, vocab_size: int, max_seq_len: int = 2048, settings: str = "") -> str:
    """Returns an experiment file of one source.

    Args:
      settings: further arguments of `DataConfig`, as code.
    """
    return _STUDY.format(path=path, vocab=vocab_size, max_seq_len=max_seq_len, settings=settings)


def texts() -> Iterator[str]:
    """Yields text files without end; from the second round on with the words of lines shuffled."""
    folders = [sysconfig.get_paths()["purelib"], "/usr/lib", "/usr/share", "/usr/include"]
    files = sorted(
        path
        for folder in folders
        for path in Path(folder).rglob("*")
        if path.suffix in _ENDINGS and path.is_file() and path.stat().st_size < _MAX_FILE_BYTES
    )
    number = 0
    while True:
        for path in files:
            try:
                text = path.read_text()
            except UnicodeDecodeError:
                continue
            yield shuffled(text, seed=f"{number} {path}") if number else text
        number += 1


def shuffled(text: str, *, seed: str) -> str:
    """Returns the text with the words of each line in another order."""
    rng = random.Random(seed)
    lines = []
    for line in text.split("\n"):
        words = line.split(" ")
        rng.shuffle(words)
        lines.append(" ".join(words))
    return "\n".join(lines)


def write_corpus(folder: Path, num_bytes: int) -> None:
    """Writes files of JSON lines, about 64 MB of text each."""
    written, source = 0, texts()
    while written < num_bytes:
        path = folder / f"{written // 1_000_000:06d}.jsonl.zst"
        size = 0
        with path.open("wb") as raw, zstandard.ZstdCompressor(3).stream_writer(raw) as out:
            while size < min(_SHARD_BYTES, num_bytes - written):
                text = next(source)
                out.write(json.dumps({"text": text}).encode() + b"\n")
                size += len(text.encode())
        written += size


class Memory(threading.Thread):
    """Samples the resident memory of a process and its descendants."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid = pid
        self.peak_bytes = self.peak_of_one = 0
        self.start()

    def run(self) -> None:
        while True:
            sizes = [_resident(pid) for pid in _family(self._pid)]
            if not sizes:
                return
            self.peak_bytes = max(self.peak_bytes, sum(sizes))
            self.peak_of_one = max(self.peak_of_one, *sizes)
            time.sleep(0.05)


def _family(pid: int) -> list[int]:
    try:
        tasks = Path(f"/proc/{pid}/task").iterdir()
        children = [int(c) for t in tasks for c in (t / "children").read_text().split()]
    except OSError:
        return []
    return [pid, *(p for child in children for p in _family(child))]


def _resident(pid: int) -> int:
    try:
        fields = Path(f"/proc/{pid}/statm").read_text().split()
    except OSError:
        return 0
    shared = int(fields[2])  # files that are mapped: processes share them, and they can be dropped
    return (int(fields[1]) - shared) * os.sysconf("SC_PAGE_SIZE")


def measure(folder: Path, flags: argparse.Namespace) -> dict[str, Any]:
    """Prepares a corpus in a subprocess."""
    study = folder / "study.py"
    study.write_text(study_text(f"{folder}/raw/*.jsonl.zst", vocab_size=flags.vocab_size))
    script = folder / "child.py"
    script.write_text(_CHILD)
    began = os.times()
    process = subprocess.Popen(
        [sys.executable, script, study, folder / "workdir", str(flags.num_workers), flags.clock],
        stdout=subprocess.PIPE,
        text=True,
    )
    memory = Memory(process.pid)
    out, _ = process.communicate()
    if process.returncode:
        raise SystemExit(process.returncode)
    ended = os.times()
    cpu = ended.children_user + ended.children_system - began.children_user - began.children_system
    return {
        **json.loads(out.splitlines()[-1]),
        "wall_s": ended.elapsed - began.elapsed,
        "cpu_s": cpu,
        "peak_gib": memory.peak_bytes / 2**30,
        "peak_of_one_gib": memory.peak_of_one / 2**30,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gigabytes", type=float, nargs="+", default=[0.1, 0.5])
    parser.add_argument("--num-workers", type=int, default=os.cpu_count())
    parser.add_argument("--vocab-size", type=int, default=32_768)
    parser.add_argument(
        "--clock",
        choices=["wall", "cpu"],
        default="wall",
        help="cpu: CPU seconds of a stage and its workers, for a machine with other work",
    )
    parser.add_argument("--folder", help="where to put the corpora (default: TMPDIR)")
    flags = parser.parse_args()
    table = Table(title=f"prepare, {flags.num_workers} workers, vocabulary {flags.vocab_size:,}")
    for column in ("GB", "what", "seconds", "MB/s per worker"):
        table.add_column(column, justify="left" if column == "what" else "right")
    for gigabytes in flags.gigabytes:
        with tempfile.TemporaryDirectory(dir=flags.folder) as name:
            folder = Path(name)
            (folder / "raw").mkdir()
            write_corpus(folder / "raw", int(gigabytes * 1e9))
            found = measure(folder, flags)
        stages = {**found["seconds"], "all": found["wall_s"], "all, CPU": found["cpu_s"]}
        raw = gigabytes * 1e9
        taken = {"read": raw, "select": raw, "pack": found["bytes"], "all": raw}
        for stage, seconds in stages.items():
            is_cpu = flags.clock == "cpu" and stage in found["seconds"]
            worker_s = seconds if is_cpu else seconds * flags.num_workers
            rate = f"{taken[stage] / 1e6 / worker_s:.1f}" if stage in taken and seconds else ""
            table.add_row(f"{gigabytes:g}", stage, f"{seconds:.1f}", rate)
        peaks = f"{found['peak_gib']:.2f} GiB, one process {found['peak_of_one_gib']:.2f}"
        table.add_row(f"{gigabytes:g}", f"peak memory: {peaks}", "", "")
        Console().print(table)


if __name__ == "__main__":
    main()
