"""Stands for `codepretrain` where a supervisor is under test: does what its arguments say.

python fake_worker.py WORD… [flags of the gang, which are ignored]

report JSON     writes a line to the progress pipe           print TEXT    writes to the output
exit CODE       ends                                         wait          waits for signals
save SECONDS    on SIGTERM: takes that long, then reports and exits 143; from here on
deaf            ignores SIGTERM from here on                 child   starts a child
raw TEXT        writes any text to the pipe                  stacks        writes stacks on SIGUSR1
env NAME        prints a variable
"""

import faulthandler
import json
import os
import signal
import subprocess
import sys
import time
from types import FrameType

PIPE = int(os.environ.get("CODEPRETRAIN_PROGRESS_FD", "2"))


def report(values: object) -> None:
    os.write(PIPE, json.dumps(values).encode() + b"\n")


def save_for(seconds: float) -> None:
    def handle(number: int, frame: FrameType | None) -> None:
        time.sleep(seconds)
        report({"saved_step": 7, "save_s": seconds})
        report({"end": {"code": 143, "cause": "stopped", "is_cascade": False, "message": "saved"}})
        os._exit(143)

    signal.signal(signal.SIGTERM, handle)


def main() -> None:
    if "CODEPRETRAIN_SUPERVISOR" in os.environ:
        assert os.getppid() == int(os.environ["CODEPRETRAIN_SUPERVISOR"])
    words = iter(sys.argv[1:])
    for word in words:
        if word.startswith("--"):
            break
        if word == "wait":
            while True:
                time.sleep(0.02)
        elif word == "deaf":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        elif word == "child":
            child = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"])
            print(child.pid, flush=True)
        elif word == "stacks":
            file = open(os.environ["CODEPRETRAIN_STACKS"], "a")  # noqa: SIM115
            faulthandler.register(signal.SIGUSR1, file=file)
        else:
            value = next(words)
            if word == "report":
                report(json.loads(value))
            elif word == "raw":
                os.write(PIPE, value.encode())
            elif word == "print":
                print(value, flush=True)
            elif word == "env":
                print(os.environ.get(value), flush=True)
            elif word == "save":
                save_for(float(value))
            elif word == "exit":
                os._exit(int(value))
            else:
                raise ValueError(word)


main()
