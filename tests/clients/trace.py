"""Print which commands clients call, and how: ``python tests/clients/trace.py NAME...`` runs their drivers on a real Slurm."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import driving
import installed
import real_site

from fakeslurm.throwaway import ThrowawaySlurm


def main(names: list[str]) -> None:
    for name in names or driving.DRIVERS:
        with ThrowawaySlurm() as slurm, tempfile.TemporaryDirectory() as scratch:
            log = Path(scratch, "log")
            log.touch()
            for directory in ("bin", "work"):
                Path(scratch, directory).mkdir()
            environment = real_site.environment(slurm, Path(scratch, "bin"), log)
            try:
                report = driving.drive(
                    name, installed.python(driving.load(name).CLIENT), environment, Path(scratch, "work")
                )
            finally:
                print(f"## {name}", *dict.fromkeys(log.read_text().splitlines()), sep="\n", flush=True)
            print(f"-> {report}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
