"""``python -m fakeslurm.differential``: how many examples, from which seed, on how many clusters at once."""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.errors import Flaky, HypothesisException
from hypothesis.stateful import run_state_machine_as_test

from fakeslurm.differential.machine import machine
from fakeslurm.differential.session import PATIENCE, Arena
from fakeslurm.differential.sides import FakeSide, RealSide, next_job_id, real_slurm
from fakeslurm.profiles import PROFILES
from fakeslurm.throwaway import unavailable_reason

_ROUND = 25
"""Examples that are drawn from one seed."""


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="fakeslurm.differential", description=__doc__)
    parser.add_argument("--examples", type=int, default=100)
    parser.add_argument("--seed", type=int, default=None, help="default: any; it is printed")
    parser.add_argument("--version", help="22.05, 24.11: fail unless the installed Slurm is of this release")
    parser.add_argument(
        "--clusters", type=int, default=1, help="real Slurms at once, each with its share of the examples"
    )
    parser.add_argument("--steps", type=int, default=12, help="commands of an example, at most")
    parser.add_argument(
        "--against", choices=["fake", "real"], default="fake", help="real: two real Slurms, to see what chance is"
    )
    parser.add_argument(
        "--patience",
        type=float,
        default=PATIENCE,
        help="seconds until both sides have to say the same (default %(default)g)",
    )
    parser.add_argument("--no-arrays", action="store_true", help="submit no job arrays")
    parser.add_argument("--no-shrink", action="store_true", help="print the first failing example as it is")
    parser.add_argument("--keep-going", action="store_true", help="go on with the next seed after a disagreement")
    chosen = parser.parse_args(argv)
    # So that no cluster is left behind; hypothesis would take SystemExit for what an example has found, and go on.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    reason = unavailable_reason()
    if reason is not None:
        print(f"no real Slurm to compare with: {reason}", file=sys.stderr)
        return 2
    first = random.SystemRandom().randrange(1_000_000) if chosen.seed is None else chosen.seed
    return _shards(chosen, first) if chosen.clusters > 1 else _run(chosen, first)


def _shards(chosen: argparse.Namespace, first: int) -> int:
    """One process for each cluster; their seeds are far apart."""
    share = -(-chosen.examples // chosen.clusters)
    words = [
        sys.executable,
        "-m",
        "fakeslurm.differential",
        f"--examples={share}",
        f"--steps={chosen.steps}",
        f"--against={chosen.against}",
        f"--patience={chosen.patience}",
    ]
    words += [
        f"--{name.replace('_', '-')}" for name in ("no_arrays", "no_shrink", "keep_going") if getattr(chosen, name)
    ]
    words += [] if chosen.version is None else [f"--version={chosen.version}"]
    with ExitStack() as stack:
        shards = []
        for number in range(chosen.clusters):
            shard = subprocess.Popen([*words, f"--seed={first + number * 100_000}"])
            stack.callback(shard.terminate)
            shards.append(shard)
        return max(shard.wait() for shard in shards)


def _run(chosen: argparse.Namespace, first: int) -> int:
    began = time.monotonic()
    counts: Counter[str] = Counter()
    examples = disagreements = passing = 0
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="differential-")))
        real = stack.enter_context(real_slurm())
        right = RealSide(real)
        version = ".".join(real.version.split(".")[:2])
        if chosen.version not in (None, version):
            print(f"--version={chosen.version}: the Slurm that is installed is {version}", file=sys.stderr)
            return 2
        if chosen.against == "real":
            other = stack.enter_context(real_slurm())
            left: RealSide | FakeSide = RealSide(other, name="left")
        else:
            other = real
            left = FakeSide(version)
        arena = Arena(
            left,
            right,
            root,
            lambda: max(next_job_id(real), next_job_id(other)),
            patience=chosen.patience,
            arrays=not chosen.no_arrays,
            tells_of_last_element=PROFILES[version].tells_of_last_element,
        )
        phases = [Phase.generate] if chosen.no_shrink else [Phase.generate, Phase.shrink]
        for number in range(-(-chosen.examples // _ROUND)):
            wanted = min(_ROUND, chosen.examples - number * _ROUND)
            how = settings(
                max_examples=wanted, stateful_step_count=chosen.steps, deadline=None, database=None, phases=phases,
                suppress_health_check=list(HealthCheck), print_blob=False, report_multiple_bugs=False,
            )  # fmt: skip
            arena.examples = 0
            try:
                run_state_machine_as_test(seed(first + number)(machine(arena)), settings=how)
            except (AssertionError, HypothesisException, ExceptionGroup) as error:
                # Hypothesis has replayed the same commands: what does not come again is chance, or depends on how busy the machine is.
                came_again = not isinstance(error, Flaky)
                disagreements += came_again
                passing += not came_again
                print(f"== seed {first + number}, after {arena.examples} examples\n{_text(error)}\n", flush=True)
                if came_again and not chosen.keep_going:
                    examples += arena.examples
                    break
            examples += arena.examples
        counts = arena.counts
    took = time.monotonic() - began
    calls = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
    print(
        f"Slurm {version} against {chosen.against}: seeds {first} to {first + number}, {examples} examples, "
        f"{disagreements} disagreements{f' (and {passing} that did not come again)' if passing else ''}, {took:.0f} s ({calls})",
        flush=True,
    )
    return 1 if disagreements else 0


def _text(error: BaseException) -> str:
    """With what was seen before, when it did not happen again; of an error without a text where it came from."""
    if isinstance(error, BaseExceptionGroup):
        return "\n".join([str(error), *map(_text, error.exceptions)])
    return str(error) or "".join(traceback.format_exception(error))


if __name__ == "__main__":
    sys.exit(main())
