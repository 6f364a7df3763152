"""Slurm's vocabulary as pure values and functions: no I/O, no clock, no process."""
