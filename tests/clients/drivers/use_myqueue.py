"""A front end with a record of its own: login-shell scripts on standard input, `squeue --user`, scontrol hold and release, `sinfo -O`."""

import json
from pathlib import Path
from typing import Any

CLIENT = "myqueue"
EXPECTED = {
    "nodes": "'nodes': [ ('debug', {'cores': 4, 'memory': '2000M'})]}",
    "while held": {"slow.py": "done", "held.py": "hold"},
    "at the end": {"slow.py": "done", "held.py": "done", "bad.py": "FAILED"},
    "output": "2 cpus\n",
}
CONFIG = """
config = {"scheduler": "slurm", "nodes": [("debug", {"cores": 4, "memory": "2000M"})]}
"""
SCRIPTS = {
    "slow.py": "import time; time.sleep(5)",
    "held.py": "import os; print(os.environ['SLURM_CPUS_ON_NODE'], 'cpus')",
    "bad.py": "1 / 0",
}


def drive() -> dict[str, Any]:
    from helpers import run, until

    def states() -> dict[str, str]:
        """The state of each task by its name."""
        run("mq", "kick")
        rows = [line.split() for line in run("mq", "ls", "-c", "ns").splitlines()]
        return {row[0]: row[1] for row in rows if row and row[0] in SCRIPTS}

    def change(old: str, new: str, name: str) -> None:
        run("mq", "modify", "-s", old, "-N", new, "-n", name, ".")

    report: dict[str, Any] = {}
    Path(".myqueue").mkdir()
    Path(".myqueue/config.py").write_text(CONFIG)
    run("mq", "init")
    report["nodes"] = " ".join("".join(run("mq", "config", "slurm").partition("'nodes'")[1:]).split())
    for name, text in SCRIPTS.items():
        Path(name).write_text(text)
    run("mq", "submit", "-R", "1:2m", "slow.py")
    run("mq", "submit", "-R", "2:1:2m", "-d", "slow.py", "held.py")
    change("q", "h", "held.py")
    until(lambda: states().get("slow.py") == "done", "slow.py is done")
    report["while held"] = states()
    change("h", "q", "held.py")
    run("mq", "submit", "-R", "1:2m", "bad.py")
    until(lambda: not {"queued", "running"} & set(states().values()), "all are done")
    report["at the end"] = states()
    [output] = Path().glob("held.py.*.out")
    report["output"] = output.read_text()
    return report


if __name__ == "__main__":
    from helpers import run

    try:
        print(json.dumps(drive()))
    finally:
        run("mq", "daemon", "stop")
