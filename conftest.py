"""Property tests: every run has a seed of its own, which is printed, and a failure says how it is replayed."""

from __future__ import annotations

import random
from collections.abc import Generator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--examples", type=int, default=100, help="examples of each property test that does not say how many it needs"
    )


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    if config.option.hypothesis_seed is None:
        handed_on = getattr(config, "workerinput", {}).get("hypothesis_seed")
        config.option.hypothesis_seed = handed_on or random.SystemRandom().randrange(1, 10**9)
    settings.register_profile(
        "slurmkit",
        max_examples=config.option.examples,
        deadline=None,  # time on a machine that does other things as well says nothing
        derandomize=False,
        database=None,  # what a run tries follows from its seed alone
        print_blob=False,
        suppress_health_check=[HealthCheck.too_slow],
    )
    settings.load_profile("slurmkit")


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """xdist: its workers have the same seed."""
    node.workerinput["hypothesis_seed"] = node.config.option.hypothesis_seed


def pytest_report_header(config: pytest.Config) -> str:
    return _options(config)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    terminalreporter.write_line(f"property tests: {_options(config)}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed and getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
        command = f"python -m pytest '{item.nodeid}' {_options(item.config)}"
        report.sections.append(("replay", command))
    return report


def _options(config: pytest.Config) -> str:
    return f"--hypothesis-seed={config.option.hypothesis_seed} --examples={config.option.examples}"
