"""Write down what Slurm's manual pages list: the denominator of docs/fidelity.md.

``tools/manual_pages.py RELEASE DIRECTORY`` reads DIRECTORY/sbatch.1.gz and its like and writes fakeslurm/fidelity/manual-RELEASE.json.
The pages come with the packages; where documentation is not installed (containers) unpack them:

    apt-get download slurm-client && dpkg-deb -x slurm-client_*.deb DIR
    tools/manual_pages.py 22.05 DIR/usr/share/man/man1

For 24.11 the same in a Debian 13 system, whose pages are in ~/.cache/fakeslurm/debian13/usr/share/man/man1.
"""

from __future__ import annotations

import gzip
import json
import re
import sys
from pathlib import Path

COMMANDS = ("sbatch", "srun", "salloc", "squeue", "sacct", "scancel", "scontrol", "sinfo", "sstat", "sacctmgr")
DATA = Path(__file__).parents[1] / "fakeslurm" / "fidelity"

UPDATES = re.compile(r"(JOB|STEP|NODE|PARTITION|RESERVATION)S - SPECIFICATIONS FOR .*UPDATE")
INPUT = re.compile(r"(INPUT )?ENVIRONMENT VARIABLES")

Item = tuple[str, int, str]
"""Section, depth of indentation, text."""


def plain(line: str) -> str:
    """A line of troff as it is read."""
    line = re.sub(r"\\f(\(..|\[[^\]]*\]|.)", "", line)
    return line.replace(r"\-", "-").replace(r"\&", "").strip()


def items(page: str) -> list[Item]:
    """The tags of the page's lists (.TP), in their order."""
    found: list[Item] = []
    section, depth, tag_follows = "", 0, False
    for line in page.splitlines():
        if line.startswith((".SH", ".SS")):
            section, depth, tag_follows = plain(line[3:]).strip('"'), 0, False
        elif line.startswith(".RS"):
            depth += 1
        elif line.startswith(".RE"):
            depth = max(0, depth - 1)  # one too many in the pages of sbatch, srun and salloc
        elif line.startswith(".TP"):
            tag_follows = True
        elif tag_follows and line.strip():
            found.append((section, depth, plain(line.removeprefix(".B "))))
            tag_follows = False
    return found


def lines(page: str) -> dict[str, dict[str, str]]:
    """What the page lists, by kind: the name of each line, and how the page writes it."""
    listed: dict[str, dict[str, str]] = {}

    def add(kind: str, name: str, text: str) -> None:
        listed.setdefault(kind, {}).setdefault(name, text)

    keyword = ""
    for section, depth, text in items(page):
        first = re.split(r"[ =\[<]", text)[0]
        if section == "OPTIONS" and text.startswith("-"):
            names = re.findall(r"(?:^|[ ,])(--?[A-Za-z][A-Za-z0-9_-]*)", text)
            add("options", next((name for name in names if name.startswith("--")), names[0]), text)
        elif section == "COMMANDS" and depth == 0:
            keyword = first
            add("keywords", keyword, text)
        elif (section == "COMMANDS" and depth == 1 and keyword == "show") or section == "ENTITIES":
            add("entities", f"show {first}", text)
        elif section == "INTERACTIVE COMMANDS":
            add("interactive", f"interactive {first}", text)
        elif match := UPDATES.match(section):
            if depth == 0:
                add("updates", f"update {match[1].lower()} {first}", text)
        elif INPUT.fullmatch(section) or section == "OUTPUT ENVIRONMENT VARIABLES":
            for variable in re.findall(r"[A-Z]+_[A-Z0-9_*#]+", text.partition(" (")[0]):
                add("output" if section.startswith("OUTPUT") else "input", variable, text)
    return listed


def main(release: str, directory: Path) -> None:
    found = {}
    for command in COMMANDS:
        with gzip.open(directory / f"{command}.1.gz", "rt", encoding="utf-8") as file:
            found[command] = lines(file.read())
    (DATA / f"manual-{release}.json").write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
