"""The Slurms that the clients run on: the commands of the fake, and a throwaway real Slurm."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import installed
import pytest
import real_site

from fakeslurm import FakeSlurm
from fakeslurm.throwaway import ThrowawaySlurm, unavailable_reason


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "client_slurm" not in metafunc.fixturenames:
        return
    asked = metafunc.config.getoption("--slurm")
    kinds = ["fake", "real"] if asked is None else ["fake" if asked == "fake-cli" else asked]
    metafunc.parametrize("client_slurm", kinds, indirect=True, scope="session")


@pytest.fixture(scope="session")
def client_slurm(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[str, str]]:
    """The environment that leads a client to one Slurm or the other."""
    if request.param == "site":
        pytest.skip("the clients are compared on the fake and on a throwaway Slurm")
    if request.param == "fake":
        version = request.config.getoption("--slurm-version")
        profile = {} if version is None else {"version": version}
        with FakeSlurm(
            min_job_age=20, **profile
        ) as fake:  # like the throwaway Slurm: clients decide by it whom they ask
            yield fake.environ()
    elif reason := unavailable_reason():
        pytest.skip(f"--slurm=real was not asked for, and: {reason}")
    else:
        with ThrowawaySlurm() as real:
            yield real_site.environment(real, tmp_path_factory.mktemp("bin"))


@pytest.fixture
def python_of() -> Callable[[str], Path]:
    """The interpreter of a client's environment; without PyPI the test is skipped, in CI it fails."""

    def find(client: str) -> Path:
        try:
            return installed.python(client)
        except installed.RegistryUnreachableError as error:
            if os.environ.get("CI") == "true":
                raise
            pytest.skip(f"PyPI cannot be reached to install {client}: {error}")

    return find
