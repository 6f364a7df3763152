"""For all tests. Property tests: every run has a seed of its own, which is printed, and a failure says how it is replayed. What only asks the
real Slurm is asked once more when it fails, and that is said. On demand a sample of the tests is enough for the fake's commands.
"""

from __future__ import annotations

import random
from collections.abc import Generator, Sequence
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings

T = TypeVar("T")

LEFT_OUT = pytest.StashKey[int]()
LEFT_OUT_KEY = "left_out_of_commands"
"""How many tests ``--sample-of-commands`` leaves out; the key is for what xdist's workers say."""

ONE_IN = 3
"""Of how many tests ``--sample-of-commands`` takes one, with one of its cases."""

CHANCES = 5
"""How many tests of a run may fail once on the real Slurm. Its daemons, and srun's messages, race with one another under load; what fails more
often than that is no chance."""

MINUTES = ("test_lifecycle.py", "test_deadline.py", "test_clients.py", "test_differential.py")
"""Files whose tests take a minute and more, as Slurm counts time limits in minutes. While they wait others can run."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--examples", type=int, default=100, help="examples of each property test that does not say how many it needs"
    )
    parser.addoption(
        "--sample-of-commands",
        action="store_true",
        help=f"the fake's commands (fake-cli) get one in {ONE_IN} tests, with one case of each; which follows from the seed",
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


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """xdist: its workers collect the same tests; one that has crashed says nothing."""
    if hasattr(node, "workeroutput"):
        node.config.stash[LEFT_OUT] = node.workeroutput.get(LEFT_OUT_KEY, 0)


def pytest_report_header(config: pytest.Config) -> str:
    return _options(config)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The real Slurm alone gets another chance: a race in a test of the fake or of slurmkit is ours."""
    if config.option.sample_of_commands:
        surplus = beyond_the_sample(items, config.option.hypothesis_seed)
        items[:] = [item for item in items if item not in surplus]
        config.hook.pytest_deselected(items=list(surplus))
        config.stash[LEFT_OUT] = getattr(config, "workeroutput", {})[LEFT_OUT_KEY] = len(surplus)
    slow = [item for item in items if item.path.name in MINUTES]
    others = [item for item in items if item.path.name not in MINUTES]
    items[:] = spread(slow, others, getattr(config, "workerinput", {}).get("workercount", 1))
    for item in items:
        parameters = _parameters(item)
        on_real = "real" in (parameters.get("slurm_kind"), parameters.get("client_slurm"))
        if on_real and "slurm_cluster" not in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.flaky(reruns=1))


def _parameters(item: pytest.Item) -> dict[str, Any]:
    parameters: dict[str, Any] = getattr(getattr(item, "callspec", None), "params", {})
    return parameters


def beyond_the_sample(items: Sequence[pytest.Item], seed: object) -> set[pytest.Item]:
    """What need not go through the fake's commands: the fake in this process and the real Slurm get every case of every test."""
    cases: dict[str, list[pytest.Item]] = {}
    for item in items:
        if _parameters(item).get("slurm_kind") == "fake-cli":
            cases.setdefault(item.nodeid.partition("[")[0], []).append(item)
    for test, of_test in cases.items():
        draw = random.Random(f"{seed} {test}")
        if draw.randrange(ONE_IN) == 0:
            of_test.remove(draw.choice(of_test))
    return {item for of_test in cases.values() for item in of_test}


def spread(slow: Sequence[T], others: Sequence[T], workers: int) -> list[T]:
    """`slow` among the first two thirds of what each worker of xdist begins with, which are slices of equal length: neither do all of them wait
    at once, nor do the others wait for one of them at the end."""
    order = []
    for worker in range(workers):
        mine = slow[worker::workers]
        rest = others[len(others) * worker // workers : len(others) * (worker + 1) // workers]
        gap = len(rest) * 2 // 3 // max(len(mine), 1)
        for place, one in enumerate(mine):
            order += [one, *rest[place * gap : (place + 1) * gap]]
        order += rest[len(mine) * gap :]
    return order


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    terminalreporter.write_line(f"property tests: {_options(config)}")
    if left_out := config.stash.get(LEFT_OUT, 0):
        terminalreporter.write_line(f"not in the sample of what is tried through the fake's commands: {left_out} tests")
    repeated = _repeated(config)
    for report in repeated:
        terminalreporter.write_sep("_", f"failed, and was run again: {report.nodeid}")
        terminalreporter.write_line(report.longreprtext)
    if repeated:
        terminalreporter.write_line(f"{len(repeated)} tests were run again on the real Slurm; {CHANCES} may be")


def pytest_sessionfinish(session: pytest.Session) -> None:
    if len(_repeated(session.config)) > CHANCES:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _repeated(config: pytest.Config) -> list[pytest.TestReport]:
    """The reports of what failed and was run again; none in a worker of xdist."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    repeated: list[pytest.TestReport] = [] if reporter is None else reporter.stats.get("rerun", [])
    return repeated


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed and getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
        command = f"python -m pytest '{item.nodeid}' {_options(item.config)}"
        report.sections.append(("replay", command))
    return report


def _options(config: pytest.Config) -> str:
    return f"--hypothesis-seed={config.option.hypothesis_seed} --examples={config.option.examples}"
