"""One step of all minds: read, plan, act."""

import numpy as np

from metta.policy.scripted.areas import clear_mind
from metta.policy.scripted.compiled import entry
from metta.policy.scripted.decode import clear_marks, decode, forget_agent
from metta.policy.scripted.layout import AG_FIXED, AG_FRAMED, AG_NEXT, AG_ROLE, MI_STEP
from metta.policy.scripted.moves import act, note_progress
from metta.policy.scripted.planner import plan_roles
from metta.policy.scripted.suspicion import feel, review

AGENT_STRIDE = 1000003  # between the random numbers of neighbours


@entry
def begin_episodes(s, ended, agents, minds, roles, rotate, keys, episodes):
    """Forget everything of the environments marked in `ended`. roles int32: fixed ones in turn, NONE where free.

    keys uint64 [E]: what the random numbers of an environment's agents follow from.
    """
    for e in range(len(ended)):
        if not ended[e]:
            continue
        ended[e] = False
        for m in range(e * minds, (e + 1) * minds):
            clear_mind(s, m)
        for a in range(agents):
            g = e * agents + a
            forget_agent(s, g, e * minds + a * minds // agents)
            turn = a + rotate * episodes[e]
            s.agents[g, AG_FIXED] = s.agents[g, AG_ROLE] = roles[turn % len(roles)]
            s.agents[g, AG_NEXT] = -1
            s.rng[g] = keys[e] + np.uint64(a * AGENT_STRIDE + episodes[e])
        episodes[e] += 1


@entry
def step_all(t, s, envs, agents, minds, tokens):
    """Actions of all agents for observations uint8 [G, 200, 3]."""
    for e in range(envs):
        members = range(e * agents, (e + 1) * agents)
        for m in range(e * minds, (e + 1) * minds):
            clear_marks(s, m)
            s.minds[m, MI_STEP] += 1
        for g in members:
            decode(t, s, g, tokens[g])
            note_progress(s, g)
            if s.agents[g, AG_FRAMED]:
                feel(s, g)
        for m in range(e * minds, (e + 1) * minds):
            review(s, m, members)
            plan_roles(t, s, m, members)
        for g in members:
            s.actions[g] = act(t, s, members, g)
