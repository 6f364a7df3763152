"""How much of Slurm the fake is, line by line: what docs/fidelity.md is made of.

The denominator is what Slurm's manual pages list (``manual-RELEASE.json``, written by tools/manual_pages.py). What became of a line
is found out by calling the fake (`probe`), and what is carried out has a contract test that shows it on both Slurms: that and a value
to try a line with are all that is written by hand, in ``COMMAND.toml``:

    [options]
    "--begin" = { value = "now+1hour", test = "test_submission.py::test_accepted_but_not_started[fake-begins later]" }
    "--propagate" = { value = "ALL", test = "...", differs = "ALL only; limits are those of the submitter" }

`value` is left out for flags, where ``1`` will do, and for what is refused, which needs no line at all. `test` is the name of a test below
fakeslurm/contract, with or without its parameters. ``make fidelity`` writes the page.
"""

from __future__ import annotations

from fakeslurm.fidelity.judge import Judgement, Status, judge
from fakeslurm.fidelity.registry import RELEASES, Line, lines

__all__ = ["RELEASES", "Judgement", "Line", "Status", "judge", "lines"]
