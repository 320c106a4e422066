"""Where processes of a sweep or of several jobs run: on this machine, on a Ray cluster, in a queue of SLURM."""
