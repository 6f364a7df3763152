"""Side by side: the same job on the fake and on a throwaway real Slurm."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from fakeslurm import FakeSlurm
from fakeslurm.contract import recorder
from fakeslurm.contract.environments import normalized
from fakeslurm.throwaway import ThrowawaySlurm, unavailable_reason
from slurmkit import Cluster
from slurmkit.backends.cli import CliBackend

pytestmark = pytest.mark.skipif(unavailable_reason() is not None, reason=f"a real Slurm: {unavailable_reason()}")


def contexts(cluster: Cluster) -> list[dict[str, Any]]:
    job = cluster.submit(recorder.context_of_rank.with_options(nodes=3, ntasks=7, job_name="compared", time=5))
    return [comparable(context) for context in job.results(timeout=60)]


def comparable(context: Mapping[str, Any]) -> dict[str, Any]:
    """A JobContext without what no two jobs share: ids, ports, paths and times. Hosts are called alike here."""
    own = ("job_id", "master_port", "job_dir", "output_dir")
    fields = {name: value for name, value in context.items() if name not in own}
    return fields | {"environment": normalized(context["environment"])}


def test_every_field_of_every_rank(tmp_path: Path) -> None:
    """3 nodes, 7 tasks: 4, 2 and 1."""
    with ThrowawaySlurm() as real:
        backend = CliBackend(environ=real.environ())
        with Cluster(backend, job_root=tmp_path / "real") as cluster:
            on_real = contexts(cluster)
        version = re.match(r"\d+\.\d+", real.version)
        assert version is not None
    with FakeSlurm(version=version[0]) as fake, Cluster(fake.backend(), job_root=tmp_path / "fake") as cluster:
        on_fake = contexts(cluster)
    assert [context["rank"] for context in on_real] == list(range(7))
    for rank, (left, right) in enumerate(zip(on_real, on_fake, strict=True)):
        assert left == right, f"rank {rank}"
