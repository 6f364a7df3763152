"""The ``slurmkit`` command. It needs the extra ``slurmkit[cli]``; the library itself does not."""

from __future__ import annotations

import sys
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

    return app


def main() -> None:
    """Entry point of the console script."""
    try:
        app = build()
    except ImportError as error:
        sys.exit(f"slurmkit: the command line needs the extra 'cli' ({error}): pip install 'slurmkit[cli]'")
    app(prog_name="slurmkit")
