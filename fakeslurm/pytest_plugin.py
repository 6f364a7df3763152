"""The pytest plugin: the `--slurm` option, the fixtures `fake_slurm`, `fake_slurm_session`, `slurm` and `slurm_cluster`, and the markers.

Loaded by every pytest run of an environment that has the distribution installed, so nothing heavy is imported before a fixture is used.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from fakeslurm import FakeSlurm
    from fakeslurm.contract.harness import SlurmUnderTest
    from fakeslurm.throwaway import ThrowawaySlurm
    from slurmkit import Cluster

KINDS = ("fake", "fake-cli", "real", "site")
MARKERS = (
    "fake_slurm(nodes=, cpus_per_node=, version=, clock=): how the fake of this test is built; the arguments are FakeSlurm's",
    "slurm_conf(line, ...): lines of slurm.conf for the fixture slurm, on the fake and on a throwaway Slurm of four nodes n1 to n4",
    "slurm_real_only(reason): run only on a real Slurm (--slurm=real or site)",
    "slurm_version(min=, max=): run only on Slurm versions in this range, e.g. min='23.02' (both ends included)",
)
_TESTED = "slurm"
"""The user property of a test's report that says which Slurm it ran on: it comes from pytest-xdist's workers, too."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("slurm", "tests against Slurm")
    group.addoption(
        "--slurm",
        choices=KINDS,
        default=None,
        help="the cluster behind the slurm fixtures: fake (in this process), fake-cli (the fake's commands on PATH), "
        "real (a private throwaway Slurm), site (the Slurm on PATH). Default: the ini option slurm_kinds",
    )
    group.addoption(
        "--slurm-version", default=None, help="the version profile of the fakes: 22.05 or 24.11 (default: FakeSlurm's)"
    )
    group.addoption(
        "--slurm-workdir",
        default=None,
        type=Path,
        help="a directory that all nodes of the site share; for --slurm=site (default: pytest's temporary directory)",
    )
    parser.addini(
        "slurm_kinds",
        type="args",
        default=["fake"],
        help="kinds to run when --slurm is not given; one that this machine does not have is skipped, counted and named",
    )


def pytest_configure(config: pytest.Config) -> None:
    for line in MARKERS:
        config.addinivalue_line("markers", line)
    kind = config.getoption("--slurm")
    if kind is not None and (reason := _missing(kind)) is not None:
        raise pytest.UsageError(f"--slurm={kind}: {reason}")
    for name in config.getini("slurm_kinds"):
        if name not in KINDS:
            raise pytest.UsageError(f"ini option slurm_kinds: {name!r} is not one of {', '.join(KINDS)}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many tests ran on which Slurm, one line each."""
    reports = (report for of_outcome in terminalreporter.stats.values() for report in of_outcome)
    tested = Counter(
        value
        for report in reports
        if isinstance(report, pytest.TestReport) and report.when == "call" and report.outcome in ("passed", "failed")
        for name, value in report.user_properties
        if name == _TESTED
    )
    for name, number in sorted(tested.items()):
        terminalreporter.write_line(f"Slurm {name}: {number} tests")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "slurm_kind" not in metafunc.fixturenames:
        return
    asked = metafunc.config.getoption("--slurm")
    kinds = [asked] if asked is not None else metafunc.config.getini("slurm_kinds")
    params = []
    for kind in kinds:
        reason = None if asked is not None else _missing(kind)
        marks = () if reason is None else (pytest.mark.skip(reason=f"--slurm={kind} was not asked for, and: {reason}"),)
        params.append(pytest.param(kind, marks=marks))
    metafunc.parametrize("slurm_kind", params, indirect=True, scope="session")


def _missing(kind: str) -> str | None:
    """Why this machine cannot be `kind`, None when it can."""
    if kind == "real":
        from fakeslurm.throwaway import unavailable_reason

        return unavailable_reason()
    if kind == "site":
        import shutil

        return None if shutil.which("sbatch") else "there is no sbatch on PATH"
    return None


def _fake(request: pytest.FixtureRequest, **defaults: Any) -> FakeSlurm:
    from fakeslurm import FakeSlurm

    marker = request.node.get_closest_marker("fake_slurm")
    arguments = {**defaults, **(marker.kwargs if marker else {})}
    version = request.config.getoption("--slurm-version")
    if version is not None:
        arguments.setdefault("version", version)
    if marker and marker.args:
        raise pytest.UsageError(
            f"the fake_slurm marker takes keywords only (nodes=, cpus_per_node=, ...), not {marker.args!r}"
        )
    return FakeSlurm(**arguments)


@pytest.fixture
def fake_slurm(request: pytest.FixtureRequest) -> Iterator[FakeSlurm]:
    """A fresh `FakeSlurm` for this test, built with the arguments of the marker ``@pytest.mark.fake_slurm(...)``.

    With ``clock="virtual"`` the time of this process is frozen as well: ``time.time()`` and ``datetime.now()`` are those of the fake.
    """
    with _fake(request) as slurm:
        if getattr(request.node.get_closest_marker("fake_slurm"), "kwargs", {}).get("clock") == "virtual":
            with slurm.freeze():
                yield slurm
        else:
            yield slurm


@pytest.fixture(scope="session")
def fake_slurm_session(request: pytest.FixtureRequest) -> Iterator[FakeSlurm]:
    """One `FakeSlurm` with default arguments for the whole session."""
    with _fake(request) as slurm:
        yield slurm


@pytest.fixture(scope="session")
def slurm_kind(request: pytest.FixtureRequest) -> str:
    """Which cluster this run is on: fake, fake-cli, real or site."""
    kind: str = request.param
    return kind


class _RealSlurms:
    """The throwaway Slurm of the moment. One configuration is kept up for the tests that follow one another with it."""

    def __init__(self) -> None:
        self._running: ThrowawaySlurm | None = None
        self._conf: tuple[str, ...] | None = None

    def get(self, conf: tuple[str, ...]) -> ThrowawaySlurm:
        if self._running is None or conf != self._conf:
            self.close()
            from fakeslurm.throwaway import ThrowawaySlurm

            slurm = ThrowawaySlurm(extra_conf=conf)
            if slurm.unavailable_reason is not None:
                pytest.skip(f"--slurm=real: {slurm.unavailable_reason}")
            self._running, self._conf = slurm.start(), conf
        return self._running

    def close(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            running.close()

    def release(self, conf: tuple[str, ...] | None) -> None:
        """A cluster that no other may run beside ends when the next test, with `conf`, is not for it."""
        if self._running is not None and self._running.is_exclusive and conf != self._conf:
            self.close()


_REAL_SLURMS = _RealSlurms()


@pytest.fixture(scope="session")
def _real_slurms() -> Iterator[_RealSlurms]:
    yield _REAL_SLURMS
    _REAL_SLURMS.close()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(nextitem: pytest.Item | None) -> None:
    marker = None if nextitem is None else nextitem.get_closest_marker("slurm_conf")
    call = getattr(nextitem, "callspec", None)
    is_real = call is not None and call.params.get("slurm_kind") == "real"
    _REAL_SLURMS.release(marker.args if marker is not None and is_real else None)


@pytest.fixture
def slurm(
    request: pytest.FixtureRequest, slurm_kind: str, _real_slurms: _RealSlurms, tmp_path: Path
) -> Iterator[SlurmUnderTest]:
    """The Slurm under test, whichever it is: `run(argv)`, `sbatch(script)`, `wait(job_id)`, `backend()`, `version`, `workdir`."""
    from fakeslurm.contract.harness import SlurmUnderTest

    if request.node.get_closest_marker("slurm_real_only") and slurm_kind not in ("real", "site"):
        pytest.skip("slurm_real_only: needs --slurm=real or --slurm=site")
    conf = _conf(request)
    if slurm_kind == "real":
        under_test = SlurmUnderTest.on_real(_real_slurms.get(conf), workdir=tmp_path)
    elif slurm_kind == "site":
        if conf:
            pytest.skip("slurm_conf: a site has the configuration that it has")
        under_test = SlurmUnderTest.on_site(workdir=_site_workdir(request, tmp_path))
    else:
        fake = _fake(request, **_lines_for_fake(conf))
        under_test = SlurmUnderTest.on_fake(fake, workdir=tmp_path, commands=slurm_kind == "fake-cli")
    with under_test:
        if marker := request.node.get_closest_marker("slurm_version"):
            _skip_unless_version(under_test.version, **marker.kwargs)
        if under_test.is_real:
            under_test.wait_idle()
        request.node.user_properties.append((_TESTED, f"{under_test.version} ({slurm_kind})"))
        yield under_test


def _conf(request: pytest.FixtureRequest) -> tuple[str, ...]:
    marker = request.node.get_closest_marker("slurm_conf")
    if marker is None:
        return ()
    if marker.kwargs or not marker.args or not all(isinstance(line, str) for line in marker.args):
        raise pytest.UsageError(
            f"the slurm_conf marker takes lines of slurm.conf ('MinJobAge=5', ...), not {marker.args!r} {marker.kwargs!r}"
        )
    lines: tuple[str, ...] = marker.args
    return lines


def _lines_for_fake(conf: tuple[str, ...]) -> dict[str, Any]:
    """FakeSlurm's arguments for the lines: they change the cluster that a throwaway Slurm is, too."""
    if not conf:
        return {}
    from fakeslurm import Partition

    return {"nodes": 4, "partitions": [Partition("debug", default=True)], "conf": conf}


@pytest.fixture
def slurm_cluster(slurm: SlurmUnderTest) -> Iterator[Cluster]:
    """A `slurmkit.Cluster` on the Slurm under test, with its job root in the test's own directory."""
    from slurmkit import Cluster

    with Cluster(slurm.backend(), job_root=slurm.workdir / "jobs") as cluster:
        yield cluster


def _site_workdir(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    shared: Path | None = request.config.getoption("--slurm-workdir")
    if shared is None:
        return tmp_path
    workdir = shared / tmp_path.relative_to(tmp_path.parents[1])
    workdir.mkdir(parents=True)
    return workdir


def _skip_unless_version(version: str, *, min: str | None = None, max: str | None = None) -> None:
    from fakeslurm.contract.harness import release

    if (min is not None and release(version) < release(min)) or (max is not None and release(version) > release(max)):
        pytest.skip(f"slurm_version: this is Slurm {version}, the test is for {min or 'any'} to {max or 'any'}")
