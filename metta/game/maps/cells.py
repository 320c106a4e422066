"""Codes of map cells: one byte a cell, `kind | team << 5` (team 0..7 for agents, hubs, stations, team junctions)."""

EMPTY, WALL, AGENT, JUNCTION, TEAM_JUNCTION, HUB = range(6)
ALIGNER, SCRAMBLER, MINER, SCOUT = range(6, 10)  # gear stations
OXYGEN, CARBON, GERMANIUM, SILICON, CHEST = range(10, 15)  # extractors, then the chest

KIND_MASK = 31
TEAM_SHIFT = 5
