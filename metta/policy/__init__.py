"""Policies: nets, checkpoints, and everything that plays."""
