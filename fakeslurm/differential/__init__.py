"""The differential machine: the same generated commands on the fake and on a throwaway real Slurm, and what they answer compared.

``python -m fakeslurm.differential --examples 1000 --seed 7`` (or ``make differential EXAMPLES=1000 SEED=7``). What is not
compared, and why, is `fakeslurm.differential.exclusions`, which docs/differential.md prints.
"""
