"""What runs inside a job: `leader` (the batch script) and `worker` (one per rank). Started by the file ``__main__.py``."""
