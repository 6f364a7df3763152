"""The ``slurmkit`` command. It needs the extra ``slurmkit[cli]``; the library itself does not."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from slurmkit import __version__

if TYPE_CHECKING:
    import typer

__all__ = ["build", "main"]


def build() -> typer.Typer:
    """The command line. Raises ImportError where typer is not installed."""
    import typer

    app = typer.Typer(help="Run Python functions on Slurm.", add_completion=False, no_args_is_help=True)

    def show_version(wanted: bool) -> None:
        if wanted:
            typer.echo(f"slurmkit {__version__}")
            raise typer.Exit

    @app.callback()
    def options(
        version: bool = typer.Option(
            False, "--version", help="Show the version and exit.", callback=show_version, is_eager=True
        ),
    ) -> None:
        pass

    root_option = typer.Option(None, help="Where job directories go. Default: $SLURMKIT_JOB_ROOT or ~/.slurmkit/jobs.")
    sbatch_option = typer.Option(
        [], "--option", "-o", metavar="NAME=VALUE", help="An sbatch option of the small job, such as partition=debug."
    )

    @app.command()
    def doctor(
        job_root: Path | None = root_option,
        option: list[str] = sbatch_option,
        submit: bool = typer.Option(True, help="Submit a small job to see what its node sees."),
        wait: float = typer.Option(120.0, min=0.0, metavar="SECONDS", help="How long that job may wait and run."),
    ) -> None:
        """Look whether what slurmkit needs works here. Exits with 1 when something does not."""
        from slurmkit.doctor import examine
        from slurmkit.errors import OptionError

        options = dict(_name_and_value(text) for text in option)
        is_well = True
        try:
            for finding in examine(job_root=job_root, options=options, submit=submit, patience=wait):
                typer.echo(f"{finding.level:8}{finding.about}: {finding.says}")
                if finding.advice:
                    typer.echo(f"{'':8}-> {finding.advice}")
                is_well = is_well and finding.level != "error"
        except OptionError as error:
            raise typer.BadParameter(str(error), param_hint="--option") from error
        raise typer.Exit(0 if is_well else 1)

    def _name_and_value(text: str) -> tuple[str, str]:
        name, equals, value = text.partition("=")
        if not equals:
            raise typer.BadParameter(f"{text!r} is not NAME=VALUE, such as partition=debug", param_hint="--option")
        return name, value

    return app


def main() -> None:
    """Entry point of the console script."""
    try:
        app = build()
    except ImportError as error:
        sys.exit(f"slurmkit: the command line needs the extra 'cli' ({error}): pip install 'slurmkit[cli]'")
    app(prog_name="slurmkit")
