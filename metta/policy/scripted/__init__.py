"""Scripted policies: play by rules of their own, from observations alone."""
