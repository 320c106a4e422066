"""What an episode comes to: its statistics as plain numbers under the names that reports use."""

from metta.game.engine.batch import Episode


def episode_means(episode: Episode) -> dict[str, float]:
    """`env_agent/<stat>` as means over agents, `env_collective/<team>/<stat>` and `env_game/<stat>`."""
    means = {f"env_agent/{name}": float(values.mean()) for name, values in sorted(episode.agent.items())}
    for team, stats in sorted(episode.collective.items()):
        means |= {f"env_collective/{team}/{name}": value for name, value in sorted(stats.items())}
    return means | {f"env_game/{name}": value for name, value in sorted(episode.game.items())}
