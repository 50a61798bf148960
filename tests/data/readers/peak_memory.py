"""Peak memory of a reader in a process of its own: allocations of compiled libraries count too."""

import json
import subprocess
import sys

_PROGRAM = """
import json, resource, sys
from codepretrain.config.schema import SourceConfig
from codepretrain.data.document import Document
from codepretrain.data.readers import make_reader

name, options = json.loads(sys.argv[1])
made = make_reader("s", SourceConfig(reader=name, kind="text", options=options))
if name != "git":
    import pyarrow.parquet, zstandard


def peak_kib():  # getrusage's own number begins with that of the process that started this one
    status = open("/proc/self/status").read()
    return int(status.partition("VmHWM:")[2].split()[0])


before = peak_kib()
counts = {}
for shard in made.shards():
    for item in made.read(shard, "s"):
        key = "document" if isinstance(item, Document) else item.reason
        counts[key] = counts.get(key, 0) + 1
        del item
used = peak_kib() - before
children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(json.dumps([counts, max(used, children) * 1024]))
"""


def read_measured(name: str, **options: str | int | bool) -> tuple[dict[str, int], int]:
    """Returns the number of documents and of skipped items by reason, and the bytes it took."""
    command = [sys.executable, "-c", _PROGRAM, json.dumps([name, options])]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    counts, num_bytes = json.loads(done.stdout)
    return counts, num_bytes
