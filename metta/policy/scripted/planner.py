"""Who does what: roles of the agents that may choose, by hearts, targets and threats."""

from metta.policy.scripted.areas import distance
from metta.policy.scripted.compiled import kernel
from metta.policy.scripted.layout import (
    AG_CELL,
    AG_CHOSEN,
    AG_FIXED,
    AG_FRAMED,
    AG_GEAR,
    AG_HEART,
    AG_LENGTH,
    AG_MIND,
    AG_ROLE,
    AG_TASK,
    ALIGNER,
    FAR,
    GEAR,
    GHOSTS,
    HUB_CELL,
    IDLE,
    JUNCTION,
    LOAD,
    MI_EXPLORED,
    MI_STEP,
    MI_THINGS,
    MINER,
    NEUTRAL,
    NONE,
    PL_CLAIM,
    PL_COOLDOWN,
    PL_CROWDED,
    PL_DISMISS,
    PL_FIRST_ALIGNERS,
    PL_FIRST_SCOUTS,
    PL_PATIENCE,
    PL_SCRAMBLERS,
    PL_SURPLUS,
    PL_UP,
    SCOUT,
    SCRAMBLER,
    SIZE,
    TH_KIND,
    TH_OWNER,
    THEIRS,
)  # fmt: skip
from metta.policy.scripted.needs import can_pay, cargo, supply

MANY = 8  # junctions of the clips for which there is one more scrambler
UNSEEN = 10  # targets expected where nobody has been
STATIONS = 4 * SIZE  # cells from the hub to the middle of its stations (rules 9.1)


@kernel
def _belongs(s, m, g):
    """May the mind choose this agent's role?"""
    return s.agents[g, AG_MIND] == m and s.agents[g, AG_FIXED] == NONE and s.agents[g, AG_FRAMED]


@kernel
def count_junctions(s, m, owner):
    """Junctions of that owner that the mind knows."""
    total = 0
    for i in range(s.minds[m, MI_THINGS]):
        if s.things[m, i, TH_KIND] == JUNCTION and s.things[m, i, TH_OWNER] == owner:
            total += 1
    return total


@kernel
def count_ghosts(s, m):
    total = 0
    for slot in range(GHOSTS):
        total += s.ghosts[m, slot, 0] > 0
    return total


@kernel
def set_role(s, g, role):
    """Give a role; the agent looks for a task anew."""
    if s.agents[g, AG_ROLE] != role:
        s.agents[g, AG_ROLE] = role
        s.agents[g, AG_TASK], s.agents[g, AG_LENGTH], s.agents[g, AG_CHOSEN] = IDLE, 0, -FAR


@kernel
def _first_roles(t, s, m, members):
    """Roles at the start of an episode: a few aligners and scouts, the rest miners."""
    scouts = t.plan[PL_FIRST_SCOUTS]
    for g in members:
        if not _belongs(s, m, g) or s.agents[g, AG_ROLE] != NONE:
            continue
        if scouts > 0:
            set_role(s, g, SCOUT)
            scouts -= 1
        else:
            set_role(s, g, MINER)
    for _ in range(t.plan[PL_FIRST_ALIGNERS]):
        _recruit(s, m, members, MINER, ALIGNER)


@kernel
def _recruit(s, m, members, old, role):
    """Give `role` to the agent of role `old` (NONE: any other) that loses least by it; was there one?"""
    best, chosen = FAR, -1
    for g in members:
        now = s.agents[g, AG_ROLE]
        if not _belongs(s, m, g) or now == role or (old != NONE and now != old) or s.agents[g, AG_TASK] == GEAR:
            continue
        if now == SCRAMBLER:
            continue
        loss = distance(s.agents[g, AG_CELL], HUB_CELL + STATIONS) + cargo(s, g)
        if s.agents[g, AG_GEAR] == ALIGNER:
            loss += 15 + (0 if s.agents[g, AG_HEART] == 0 else 4 * s.agents[g, AG_HEART])
        if loss < best:
            best, chosen = loss, g
    if chosen < 0:
        return False
    set_role(s, chosen, role)
    return True


@kernel
def _census(t, s, m, members, role):
    """How many agents have a role, the hearts they hold, and those that the others will soon load."""
    count, hearts, wanted = 0, 0, 0
    for g in members:
        if s.agents[g, AG_MIND] == m and s.agents[g, AG_ROLE] == role:
            count += 1
            hearts += s.agents[g, AG_HEART]
            if s.agents[g, AG_HEART] == 0 or s.agents[g, AG_TASK] == LOAD:
                wanted += max(0, t.plan[PL_CLAIM] - s.agents[g, AG_HEART])
    return count, hearts, wanted


@kernel
def plan_roles(t, s, m, members):
    """Change at most one role: scramblers by threat, aligners by hearts that wait for one, else miners."""
    step = s.minds[m, MI_STEP]
    if step <= 1:
        _first_roles(t, s, m, members)
        return
    if step < 20 or step % t.plan[PL_COOLDOWN]:
        return
    ready = supply(s, m)
    threats, targets = count_junctions(s, m, THEIRS) + count_ghosts(s, m), count_junctions(s, m, NEUTRAL)
    if step >= s.minds[m, MI_EXPLORED]:
        targets += UNSEEN
    scramblers, weapons, _ = _census(t, s, m, members, SCRAMBLER)
    aligners, hearts, claimed = _census(t, s, m, members, ALIGNER)
    miners, _, _ = _census(t, s, m, members, MINER)
    wanted = min(t.plan[PL_SCRAMBLERS], threats) + threats // MANY
    armed = ready + weapons > 0 and can_pay(s, m, SCRAMBLER)
    if scramblers < wanted and armed and _recruit(s, m, members, NONE, SCRAMBLER):
        return
    spare = ready - claimed
    enough = t.plan[PL_UP] + t.plan[PL_CROWDED] * max(0, aligners - miners)
    plenty = hearts >= targets + t.plan[PL_SURPLUS]  # enough is mined: keep watch
    if (spare >= enough or plenty) and can_pay(s, m, ALIGNER):
        _recruit(s, m, members, MINER, ALIGNER)
    elif not plenty and aligners > 1 and spare < -t.plan[PL_DISMISS] and can_pay(s, m, MINER):
        _dismiss(t, s, m, members)


@kernel
def _dismiss(t, s, m, members):
    """Let an aligner near the hub mine that has no hearts."""
    for g in members:
        if not _belongs(s, m, g) or s.agents[g, AG_ROLE] != ALIGNER or s.agents[g, AG_HEART] > 0:
            continue
        if distance(s.agents[g, AG_CELL], HUB_CELL) < t.plan[PL_PATIENCE] and s.agents[g, AG_TASK] != GEAR:
            set_role(s, g, MINER)
            return
