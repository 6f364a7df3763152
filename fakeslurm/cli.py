"""The command ``fakeslurm``: run any program on a Slurm that is there for as long as the program runs."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack

from fakeslurm.model import PROFILES

__all__ = ["main"]

_NOT_FOUND = 127
_NOT_EXECUTABLE = 126
_FORWARDED = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


def main(argv: Sequence[str] | None = None) -> int:
    """The return code: that of the program, 128 + signal when it died of one, 127 when there is no such program."""
    parser = _parser()
    options = parser.parse_args(argv)
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not command:
        parser.error("run: no program to run; usage: fakeslurm run [OPTIONS] -- PROGRAM [ARGS...]")
    with ExitStack() as stack:
        return _run(command, _environment(options, parser, stack))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fakeslurm", description="Slurm without a cluster.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser(
        "run",
        help="run a program that finds sbatch, squeue, sacct, scancel, scontrol, srun and sinfo on its PATH",
        usage="fakeslurm run [--nodes N] [--cpus-per-node C] [--version V | --real] [--timeline FILE] -- PROGRAM [ARGS...]",
    )
    run.add_argument("--nodes", type=int, default=4, metavar="N", help="number of nodes, n1 to nN (default: 4)")
    run.add_argument("--cpus-per-node", type=int, default=4, metavar="C", help="CPUs of each node (default: 4)")
    run.add_argument("--version", choices=list(PROFILES), help="the Slurm to be like (default: 22.05)")
    run.add_argument("--real", action="store_true", help="a throwaway real Slurm instead of the fake")
    run.add_argument("--timeline", metavar="FILE", help="draw what was where and when: out.html, or out.svg")
    run.add_argument("command", nargs=argparse.REMAINDER, metavar="PROGRAM", help="the program and its arguments")
    return parser


def _environment(options: argparse.Namespace, parser: argparse.ArgumentParser, stack: ExitStack) -> Mapping[str, str]:
    """Start the Slurm that was asked for; the environment that leads there. The picture is drawn when it ends."""
    if options.real and options.timeline is not None:
        parser.error(f"run: --timeline {options.timeline} with --real: a real Slurm keeps no history")
    if options.real and options.version is not None:
        parser.error(f"run: --version {options.version} with --real: a real Slurm has the version that is installed")
    size = {"nodes": options.nodes, "cpus_per_node": options.cpus_per_node}
    try:
        if options.real:
            from fakeslurm.throwaway import SlurmUnavailable, ThrowawaySlurm

            try:
                return stack.enter_context(ThrowawaySlurm(**size)).environ()
            except SlurmUnavailable as error:
                parser.exit(1, f"fakeslurm: {error}\n")
        from fakeslurm.fake import FakeSlurm

        version = {} if options.version is None else {"version": options.version}
        slurm = stack.enter_context(FakeSlurm(**size, **version))
        if options.timeline is not None:
            stack.callback(lambda: slurm.timeline().save(options.timeline))
        return slurm.environ()
    except ValueError as error:
        parser.error(f"run: {error}")


def _run(command: Sequence[str], environ: Mapping[str, str]) -> int:
    try:
        process = subprocess.Popen(command, env=environ)
    except FileNotFoundError:
        print(f"fakeslurm: {command[0]}: command not found", file=sys.stderr)
        return _NOT_FOUND
    except PermissionError as error:
        print(f"fakeslurm: {command[0]}: {error.strerror}", file=sys.stderr)
        return _NOT_EXECUTABLE
    returncode = _wait(process)
    return 128 - returncode if returncode < 0 else returncode


def _wait(process: subprocess.Popen[bytes]) -> int:
    """Wait for the program, and pass on the signals that are sent to this process.

    Through the wakeup descriptor: with several threads a signal may reach another one, and then interrupts nothing here.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    for number in (*_FORWARDED, signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, lambda _number, _frame: None)
    while process.poll() is None:
        for received in os.read(reading, 512):
            if received in _FORWARDED or (received == signal.SIGINT and not _from_terminal()):
                process.send_signal(received)
    return int(process.returncode)


def _from_terminal() -> bool:
    """Whether a Ctrl-C has reached the program already, as it reaches everything in the foreground of a terminal."""
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except (OSError, ValueError):
        return False
