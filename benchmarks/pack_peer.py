"""Tokenize and pack, beside Hugging Face `datasets` with the same tokenizer, on one core each.

    python benchmarks/pack_peer.py [--megabytes 50] [--vocab-size 32768] [--repeats 3]

Needs the package `datasets`, which nothing else here does. Both start from documents in their own
storage (a `Dataset` in Arrow files; our documents), tokenize, append the end of each document, cut
rows of `max_seq_len` + 1 tokens, and write them. The peer is the usual recipe: a batched `map` of
`Tokenizer.encode_batch_fast`, then a batched `map` that concatenates and cuts within each batch.
Ours also counts the bytes of every row, records each document's provenance, and checks both.

Both pack every document: no duplicates are dropped and none are held out. Each is a subprocess with
one thread for the tokenizer (RAYON_NUM_THREADS=1). They run in turn, so a change of the machine's
speed meets both. The ratio is of their CPU seconds: medians, and of each.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console

PEER = """
import json, sys, time
import datasets
from tokenizers import Tokenizer
folder, length = sys.argv[1], int(sys.argv[2]) + 1
datasets.disable_progress_bars()
source = datasets.load_from_disk(f"{folder}/dataset")
tokenizer = Tokenizer.from_file(f"{folder}/tokenizer.json")
bos, eos = tokenizer.token_to_id("<bos>"), tokenizer.token_to_id("<eos>")
def tokenize(batch):
    found = tokenizer.encode_batch_fast(batch["text"], add_special_tokens=False)
    return {"ids": [[bos, *encoding.ids, eos] for encoding in found]}
def group(batch):
    ids = [token for document in batch["ids"] for token in document]
    stop = len(ids) // length * length
    return {"ids": [ids[start : start + length] for start in range(0, stop, length)]}
before = time.process_time()
tokens = source.map(tokenize, batched=True, remove_columns=source.column_names,
                    load_from_cache_file=False)
rows = tokens.map(group, batched=True, load_from_cache_file=False)
rows.save_to_disk(f"{folder}/peer-rows")
cpu_s = time.process_time() - before
print(json.dumps({"cpu_s": cpu_s, "rows": len(rows), "documents": len(source)}))
"""

# The peer packs all documents, so ours must keep duplicates and hold nothing out.
EVERY_DOCUMENT = (
    'deduplication=DeduplicationConfig(exact="keep", near="ignore"), validation_fraction=0.0,'
)
OURS = """
import json, shutil, sys, time
from codepretrain.config.load import load_study
from codepretrain.data.prepare import prepare
from codepretrain.rows.data_dir import data_dir
folder = sys.argv[1]
config = load_study(f"{folder}/study.py", [])
where = data_dir(f"{folder}/workdir", config)
shutil.rmtree(where.parent / "rows", ignore_errors=True)
(where / "rows.json").unlink(missing_ok=True)
before = time.process_time()
result = prepare(config, where, num_workers=1)
cpu_s = time.process_time() - before
rows = sum(manifest.num_rows for manifest in result.rows.values())
documents = sum(manifest.num_documents for manifest in result.rows.values())
print(json.dumps({"cpu_s": cpu_s, "rows": rows, "documents": documents}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=float, default=50)
    parser.add_argument("--vocab-size", type=int, default=32_768)
    parser.add_argument("--max-seq-len", type=int, default=2048)
    parser.add_argument("--repeats", type=int, default=3)
    flags = parser.parse_args()
    import datasets
    from prepare import study_text, texts  # beside this file

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        chosen, size = [], 0
        for text in texts():
            chosen.append(text)
            size += len(text.encode())
            if size >= flags.megabytes * 1e6:
                break
        (folder / "raw").mkdir()
        lines = [json.dumps({"text": text}) + "\n" for text in chosen]
        (folder / "raw/corpus.jsonl").write_text("".join(lines))
        datasets.Dataset.from_dict({"text": chosen}).save_to_disk(folder / "dataset")
        study = study_text(
            f"{folder}/raw/*.jsonl",
            vocab_size=flags.vocab_size,
            max_seq_len=flags.max_seq_len,
            settings=EVERY_DOCUMENT,
        )
        (folder / "study.py").write_text(study)
        _call(OURS, folder)  # reads the documents and trains the tokenizer
        [tokenizer] = (folder / "workdir/data").glob("*/tokenizer/tokenizer.json")
        (folder / "tokenizer.json").write_bytes(tokenizer.read_bytes())
        ours, peers = [], []
        for _ in range(flags.repeats):
            ours.append(_call(OURS, folder))
            peers.append(_call(PEER, folder, str(flags.max_seq_len)))
    console = Console(width=200)
    for who, found in (("ours", ours), ("datasets", peers)):
        seconds = [run["cpu_s"] for run in found]
        middle = statistics.median(seconds)
        console.print(
            f"{who}: {[round(s, 1) for s in seconds]} CPU s, {size / 1e6 / middle:.2f} MB/s, "
            f"{found[0]['documents']:,} documents, {found[0]['rows']:,} rows"
        )
    ratio = statistics.median(r["cpu_s"] for r in peers) / statistics.median(
        r["cpu_s"] for r in ours
    )
    console.print(f"datasets / ours: {ratio:.2f}")


def _call(script: str, folder: Path, *arguments: str) -> dict[str, float]:
    environment = {
        **os.environ,
        "RAYON_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    result = subprocess.run(
        [sys.executable, "-c", script, folder, *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(result.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
