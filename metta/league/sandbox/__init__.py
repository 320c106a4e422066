"""What a stranger's policy code runs in: it sees Python, this package and its own files, and reaches nothing else."""
