"""The game once more, in slow plain Python written from the rules: what the compiled engine is compared with."""
