"""What drivers wait and call commands with; imported when they run as programs."""

import subprocess
import time
from collections.abc import Callable
from typing import Any


def until(condition: Callable[[], Any], what: str, timeout: float = 90, interval: float = 0.2) -> Any:
    """The first true value of `condition()`; TimeoutError, naming `what` did not come, after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {timeout:g} s: {what}")
        time.sleep(interval)
    return value


def run(*argv: str) -> str:
    """What a command prints; RuntimeError with both its outputs when it fails."""
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout
