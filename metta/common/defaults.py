"""What holds where nothing is said, for everything that plays: commands, recipes, evaluation while training."""

MISSION = "cogsguard_arena.basic"
TEAM = "cogsguard?gear=10"  # what is watched: a scripted team that plays the whole game
EPISODES = 10  # of each mission
SEED = 42  # of the first episode, of its map, and of a run of training, which draws its maps from seeds far from it
ACTION_TIMEOUT_MS = 250  # that a policy's own code has for a step of an environment
SCORE = "overview/reward"  # metric by which a run is judged where one number is asked for
