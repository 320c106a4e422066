"""The original's side of a paired measurement: runs under a Python that has cogames and mettagrid.

Cells of a notebook run under any Python. The other side (`benchmarks.original`) starts it with the work's name and its
settings as JSON; then it gets a line of JSON for each round and answers with one. Its own words, those of the libraries
among them, go to standard error.
"""

# pyright: basic, reportMissingImports=false

import contextlib
import json
import os
import platform
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

PACKAGES = ("cogames", "mettagrid", "pufferlib-core", "torch", "numpy")
PREPARED = 64  # random actions, used in turn
MOVES = 5  # of the flat actions, with waiting; the vibes follow
TIME_LIMIT_MS = 10_000  # of an action, the original's own
FOREVER = 10**12  # agent-steps


class Channel:
    """Lines of JSON on what were standard input and output."""

    def __init__(self):
        self._out = os.fdopen(os.dup(1), "w", buffering=1)
        os.dup2(2, 1)

    def answer(self, reply):
        """Answer, and wait for the next request; the program ends when there is none, whatever threads it has."""
        self._out.write(json.dumps(reply) + "\n")
        line = sys.stdin.readline()
        if not line:
            os._exit(0)
        return json.loads(line)


def versions():
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def mission_config(name, agents=None, steps=None, seed=None):
    """The original's mission; with a seed its map is the one that `cogames` plays for it."""
    from cogames.cli.mission import get_mission
    from mettagrid.runner.rollout import resolve_env_for_seed

    config = get_mission(name, cogs=agents)[1]
    if steps is not None:
        config.game.max_steps = steps
    return config if seed is None else resolve_env_for_seed(config, seed)


def env(channel, mission, agents, envs):
    """Steps of the trainer's environments, which stand at different places of their episodes.

    New episodes start outside of the measured time, map by map: the other side's come from a pool.
    """
    from mettagrid import PufferMettaGridEnv
    from mettagrid.simulator import Simulator

    configs = [mission_config(mission, agents, seed=seed) for seed in range(envs)]
    players = [PufferMettaGridEnv(Simulator(), config, seed=seed) for seed, config in enumerate(configs)]
    agents, length = players[0].num_agents, configs[0].game.max_steps
    actions = np.random.default_rng(0).integers(0, MOVES, (PREPARED, envs, agents)).astype(np.int32)
    left = [length - length * index // envs for index in range(envs)]
    for index, player in enumerate(players):
        player.reset()
        for step in range(length - left[index]):
            player.step(actions[step % PREPARED, index])
    request = channel.answer({"versions": versions()})
    while True:
        seconds = 0.0
        for step in range(request["steps"]):
            for index in np.flatnonzero(np.equal(left, 0)):
                players[index].reset()
                left[index] = length
            start = time.process_time()
            for player, action in zip(players, actions[step % PREPARED], strict=True):
                player.step(action)
            seconds += time.process_time() - start
            left = [rest - 1 for rest in left]
        tokens = sum(int((player.observations[..., 0] != 0xFF).sum()) for player in players)
        reply = {"agent_steps": request["steps"] * envs * agents, "seconds": seconds}
        request = channel.answer({**reply, "tokens_per_agent": tokens / (envs * agents)})


def train(channel, mission, agents, envs, policy, batch, minibatch, folder):
    """Epochs of `cogames train`, one a round; its checkpoints go to the folder."""
    import torch
    from cogames.train import train as cogames_train
    from mettagrid.policy.loader import resolve_policy_class_path
    from pufferlib import pufferl

    class Paced(pufferl.PuffeRL):
        """The original's trainer; it waits before every epoch."""

        def evaluate(self):
            if self.epoch == 0:
                channel.answer({"versions": versions()})
            self.since, self.before = time.process_time(), self.global_step
            return super().evaluate()

        def train(self):
            logs = super().train()
            seconds = time.process_time() - self.since
            channel.answer({"agent_steps": self.global_step - self.before, "seconds": seconds})
            return logs

    pufferl.PuffeRL = Paced
    cogames_train(
        env_cfg=mission_config(mission, agents),
        policy_class_path=resolve_policy_class_path(policy),
        device=torch.device("cpu"),
        initial_weights_path=None,
        num_steps=FOREVER,
        checkpoints_path=Path(folder),
        seed=42,
        batch_size=batch,
        minibatch_size=minibatch,
        vector_num_envs=envs,
    )


def notebook(channel, cells):
    """Epochs of PuffeRL, or steps of its environments alone, as the cells of a notebook set them up; one a round."""
    space: dict[str, Any] = {"__name__": "__main__"}
    for cell in cells:
        exec(compile(cell, "cell", "exec"), space)
    trainer, vecenv = space["trainer"], space["vecenv"]
    trainer.print_dashboard = lambda *args, **kwargs: None
    agents = vecenv.num_agents
    actions = np.random.default_rng(0).integers(0, MOVES, (PREPARED, agents))

    def train():
        trainer.evaluate()
        trainer.train()
        return trainer.config["batch_size"]

    def env(steps):
        for step in range(steps):
            vecenv.recv()
            vecenv.send(actions[step % PREPARED])
        return steps * agents

    rounds = {"train": train, "env": env}
    said = {"versions": versions(), "parameters": trainer.model_size, "threads": space["torch"].get_num_threads()}
    request = channel.answer({**said, "batch": trainer.config["batch_size"], "agents": agents})
    while True:
        start = time.process_time()
        steps = rounds[request.pop("round")](**request)
        request = channel.answer({"agent_steps": steps, "seconds": time.process_time() - start})


def evaluate(channel, mission, policy, steps):
    """Episodes of `cogames scrimmage`, one a round, from its map to its statistics."""
    from mettagrid.policy.loader import resolve_policy_class_path
    from mettagrid.policy.policy import PolicySpec
    from mettagrid.runner.rollout import run_multi_episode_rollout

    config = mission_config(mission, steps=steps)
    spec = PolicySpec(class_path=resolve_policy_class_path(policy))
    request = channel.answer({"versions": versions()})
    while True:
        start = time.process_time()
        run_multi_episode_rollout(
            policy_specs=[spec],
            assignments=[0] * config.game.num_agents,
            env_cfg=config,
            episodes=1,
            seed=request["seed"],
            max_action_time_ms=TIME_LIMIT_MS,
        )
        seconds = time.process_time() - start
        request = channel.answer({"agent_steps": steps * config.game.num_agents, "seconds": seconds})


def play(channel, mission, seeds, folder):
    """Episodes on maps of these seeds in lockstep: the other side reads observations and writes actions, in files.

    Files hold plain arrays: observations uint8 [E, A, tokens, 3], actions int32 [E, A] (flat ids).
    """
    from mettagrid.policy.policy_env_interface import PolicyEnvInterface
    from mettagrid.simulator import Simulator

    games = [Simulator().new_simulation(mission_config(mission, seed=seed), seed) for seed in seeds]
    info = PolicyEnvInterface.from_mg_cfg(games[0].config)
    shape = (len(games), games[0].num_agents)
    observations = np.memmap(Path(folder) / "observations", np.uint8, "w+", shape=(*shape, *games[0].observation_shape))
    actions = np.memmap(Path(folder) / "actions", np.int32, "w+", shape=shape)

    def show():
        for index, game in enumerate(games):
            observations[index] = game._c_sim.observations()

    show()
    said = {
        "features": {feature.id: feature.name for feature in info.obs_features},
        "tags": info.tags,
        "actions": games[0].action_names,
        "agents": shape[1],
        "steps": games[0].config.game.max_steps,
    }
    channel.answer({"versions": versions(), **said})
    while not games[0].is_done():
        for game, flat in zip(games, actions, strict=True):  # as the original's rollout does: a move or a vibe
            moves = flat < MOVES
            game._c_sim.actions()[:] = np.where(moves, flat, 0)
            game._c_sim.vibe_actions()[:] = np.where(moves, 0, flat)
            game.step()
        show()
        channel.answer({"rewards": [game.episode_rewards.tolist() for game in games]})


if __name__ == "__main__":
    works = {work.__name__: work for work in (env, train, notebook, evaluate, play)}
    works[sys.argv[1]](Channel(), **json.loads(sys.argv[2]))
