"""Junctions of the clips that nobody sees: an aligner feels their area, for it takes all influence (rules 5)."""

from metta.policy.scripted.areas import add_area, distance, set_owner
from metta.policy.scripted.compiled import kernel
from metta.policy.scripted.layout import (
    AG_CELL,
    AG_FELT,
    AG_GEAR,
    AG_INFLUENCE,
    AG_MIND,
    AG_WAS,
    ALIGNER,
    FREE,
    GHOSTS,
    JUNCTION,
    MI_STEP,
    MI_THINGS,
    RADIUS,
    SIZE,
    TEAM_JUNCTION,
    TH_CELL,
    TH_KIND,
    TH_OWNER,
    TH_SEEN,
    THEIRS,
    UNKNOWN,
)  # fmt: skip

SIGHT = 5
FORGET = 120  # steps after which a suspicion ends
STALE = 15  # steps for which a sighting holds


@kernel
def reaches(cell, other):
    """Does the area of a junction on one cell cover the other?"""
    dr, dc = cell // SIZE - other // SIZE, cell % SIZE - other % SIZE
    return dr * dr + dc * dc <= RADIUS * RADIUS


@kernel
def _suspect_junction(s, m, cell, before):
    """Blame the known junction that was unseen for longest and reaches `cell` but not `before`; was there one?"""
    worst, chosen = s.minds[m, MI_STEP] - STALE, -1
    for i in range(s.minds[m, MI_THINGS]):
        kind = s.things[m, i, TH_KIND]
        if (kind != JUNCTION and kind != TEAM_JUNCTION) or s.things[m, i, TH_SEEN] >= worst:
            continue
        if reaches(s.things[m, i, TH_CELL], cell) and (before == cell or not reaches(s.things[m, i, TH_CELL], before)):
            worst, chosen = s.things[m, i, TH_SEEN], i
    if chosen >= 0:
        set_owner(s, m, chosen, THEIRS)
    return chosen >= 0


@kernel
def _suspect_place(s, m, cell, before):
    """Blame a junction never seen, straight ahead at the edge of what its area would reach."""
    step = cell - before
    if step == 0:
        return
    for k in range(RADIUS, SIGHT, -1):
        there = cell + k * step
        if not 0 <= there < s.at.shape[1]:
            continue
        if s.at[m, there] == UNKNOWN or (s.at[m, there] == FREE and k <= SIGHT + 2):
            for slot in range(GHOSTS):
                if s.ghosts[m, slot, 0] == 0:
                    s.ghosts[m, slot, 0], s.ghosts[m, slot, 1] = there, s.minds[m, MI_STEP]
                    s.ghosts[m, slot, 2] = cell
                    add_area(s.enemy[m], there, 1)
                    return


@kernel
def feel(s, g):
    """Draw conclusions from the influence that an aligner lost."""
    m, cell = s.agents[g, AG_MIND], s.agents[g, AG_CELL]
    felt, before = s.agents[g, AG_FELT], s.agents[g, AG_WAS]
    s.agents[g, AG_FELT] = s.agents[g, AG_INFLUENCE] if s.agents[g, AG_GEAR] == ALIGNER else 0
    s.agents[g, AG_WAS] = cell
    if s.agents[g, AG_GEAR] != ALIGNER or felt < 2 or s.agents[g, AG_INFLUENCE] > 0 or s.enemy[m, cell] > 0:
        return
    if not _suspect_junction(s, m, cell, before):
        _suspect_place(s, m, cell, before)


@kernel
def _is_settled(s, m, felt):
    """Does a known junction of the clips explain the suspicion?"""
    for i in range(s.minds[m, MI_THINGS]):
        if s.things[m, i, TH_OWNER] == THEIRS and reaches(s.things[m, i, TH_CELL], felt):
            return True
    return False


@kernel
def review(s, m, members):
    """Drop suspicions that are old, explained or looked into."""
    for slot in range(GHOSTS):
        there = s.ghosts[m, slot, 0]
        if there == 0:
            continue
        done = s.minds[m, MI_STEP] - s.ghosts[m, slot, 1] > FORGET or _is_settled(s, m, s.ghosts[m, slot, 2])
        for g in members:
            if s.agents[g, AG_MIND] == m and distance(s.agents[g, AG_CELL], there) <= SIGHT // 2:
                done = True
        if done:
            add_area(s.enemy[m], there, -1)
            s.ghosts[m, slot, 0] = 0
