"""Every name of `mettagrid` 0.8.4 and `cogames` 0.8.1 that is offered here, by module, and where it lives."""

HOME = "metta.compat"
CVC = "cogames.cogs_vs_clips"
RULES = "games of other rules are not offered; missions of this one: docs/missions.md"
MAPS = "maps are those of MapGen's arenas, AsciiMapBuilder and RandomMapBuilder"
FILES = "a file of yours with such a class plays; nets of ours: class=lstm, class=tutorial (docs/nets.md)"


def _from(place: str, names: str) -> dict[str, str]:
    """Names that are called the same at their place below metta.compat; `old=new` where they are not."""
    pairs = [name.partition("=") for name in names.split()]
    return {old: f"{HOME}.{place}:{new or old}" for old, _, new in pairs}


ACTION = _from("observation", "Action")
SEEN = _from("observation", "Action AgentObservation Location ObservationToken")
RUN = (
    _from("simulation", "Buffers Simulation Simulator SimulatorEventHandler")
    | _from("simulated", "SimulationAgent")
    | _from("grid_objects", "BoundingBox")
)
CONFIG = _from("config", "MettaGridConfig GameConfig Config")
TREE = CONFIG | _from(
    "config",
    "AgentConfig AgentReward CollectiveConfig GridObjectConfig InventoryConfig ObsConfig GlobalObsConfig "
    "ResourceLimitsConfig ActionsConfig EventConfig",
)
PUFFER = _from("puffer", "MettaGridPufferEnv PufferMettaGridEnv=MettaGridPufferEnv")
SITES = _from(
    "catalogue",
    "COGSGUARD_ARENA COGSGUARD_MACHINA_1 HELLO_WORLD MACHINA_1 SITES get_map make_cogsguard_arena_site "
    "make_cogsguard_machina1_site",
)
COG = {"CogConfig": "metta.game.mission:CogSettings", "CogTeam": "metta.game.mission:TeamSettings"}
MISSION = _from(
    "missions", "CvCMission CoGameMission=CvCMission CoGameMissionVariant CoGameSite MAP_MISSION_DELIMITER"
) | _from("variants", "NumCogsVariant")

OFFERED: dict[str, dict[str, str]] = {
    "mettagrid": ACTION | CONFIG | PUFFER,
    "mettagrid.types": ACTION,
    "mettagrid.base_config": _from("config", "Config"),
    "mettagrid.mettagrid_c": _from(
        "observation",
        "PackedCoordinate dtype_actions dtype_masks dtype_observations dtype_rewards dtype_success dtype_terminals "
        "dtype_truncations",
    ),
    "mettagrid.simulator": SEEN | RUN,
    "mettagrid.simulator.interface": SEEN | _from("simulation", "SimulatorEventHandler"),
    "mettagrid.simulator.simulator": RUN,
    "mettagrid.simulator.rollout": _from("rollout", "Rollout"),
    "mettagrid.simulator.replay_log_writer": _from("replay", "EpisodeReplay InMemoryReplayWriter ReplayLogWriter"),
    "mettagrid.simulator.time_averaged_stats": _from("handlers", "TimeAveragedStatsHandler"),
    "mettagrid.config": {},
    "mettagrid.config.mettagrid_config": TREE,
    "mettagrid.config.obs_config": _from("config", "GlobalObsConfig ObsConfig"),
    "mettagrid.config.event_config": _from("config", "EventConfig"),
    "mettagrid.config.reward_config": _from("config", "AgentReward reward statReward"),
    "mettagrid.config.game_value": _from("config", "InventoryValue StatValue inv stat"),
    "mettagrid.config.action_config": _from(
        "config", "ActionConfig ActionsConfig AttackActionConfig ChangeVibeActionConfig MoveActionConfig"
    )
    | _from("vibes", "CHANGE_VIBE_PREFIX CardinalDirection CardinalDirections"),
    "mettagrid.config.vibes": _from("vibes", "VIBES VIBE_BY_NAME") | _from("config", "Vibe"),
    "mettagrid.config.id_map": _from("observation", "ObservationFeatureSpec") | _from("id_map", "IdMap"),
    "mettagrid.envs": {},
    "mettagrid.envs.mettagrid_puffer_env": _from("puffer", "MettaGridPufferEnv"),
    "mettagrid.envs.pettingzoo_env": _from("pettingzoo", "MettaGridPettingZooEnv"),
    "mettagrid.envs.early_reset_handler": _from("handlers", "EarlyResetHandler"),
    "mettagrid.envs.stats_tracker": _from("handlers", "StatsTracker"),
    "mettagrid.map_builder": _from("map_config", "GameMap MapBuilder MapBuilderConfig"),
    "mettagrid.map_builder.map_builder": _from(
        "map_config", "AnyMapBuilderConfig=AnyMapBuilder GameMap MapBuilder MapBuilderConfig"
    ),
    "mettagrid.map_builder.ascii": _from("map_config", "AsciiMapBuilder AsciiMapBuilderConfig"),
    "mettagrid.map_builder.random_map": _from("map_config", "RandomMapBuilder RandomMapBuilderConfig"),
    "mettagrid.mapgen": {},
    "mettagrid.mapgen.mapgen": _from("map_config", "MapGen MapGenConfig"),
    "mettagrid.mapgen.scenes": {},
    "mettagrid.mapgen.scenes.base_hub": _from("map_config", "BaseHub BaseHubConfig"),
    "mettagrid.mapgen.scenes.building_distributions": _from("map_config", "DistributionConfig DistributionType"),
    "mettagrid.policy": {},
    "mettagrid.policy.policy": _from(
        "policy", "AgentPolicy MultiAgentPolicy PolicySpec StatefulAgentPolicy StatefulPolicyImpl"
    )
    | _from("policies.nim", "NimMultiAgentPolicy"),
    "mettagrid.policy.policy_env_interface": _from("environment", "PolicyEnvInterface"),
    "mettagrid.policy.policy_registry": _from("policy", "PolicyRegistryMeta get_policy_registry"),
    "mettagrid.policy.loader": _from(
        "loading",
        "discover_and_register_policies get_policy_class_shorthand initialize_or_load_policy resolve_policy_class_path",
    ),
    "mettagrid.policy.prepare_policy_spec": _from("uris", "load_policy_spec_from_path"),
    "mettagrid.policy.submission": _from("policy", "POLICY_SPEC_FILENAME SubmissionPolicySpec"),
    "mettagrid.policy.utils": _from("lstm_state", "LSTMState LSTMStateDict LSTMStateTuple"),
    "mettagrid.policy.token_encoder": _from("tokens", "coordinates"),
    "mettagrid.policy.lstm": _from("policies.nets", "LSTMAgentPolicy LSTMPolicy LSTMPolicyNet obs_to_obs_tensor"),
    "mettagrid.policy.stateless": _from("policies.nets", "StatelessPolicy StatelessPolicyNet"),
    "mettagrid.policy.noop": _from("policies.simple", "NoopAgentPolicy NoopPolicy"),
    "mettagrid.policy.random_agent": _from("policies.simple", "RandomAgentPolicy RandomMultiAgentPolicy"),
    "mettagrid.renderer": {},
    "mettagrid.renderer.renderer": _from("rollout", "Renderer"),
    "mettagrid.renderer.miniscope": {},
    "mettagrid.renderer.miniscope.buffer": _from("text_map", "MapBuffer"),
    "mettagrid.renderer.miniscope.symbol": _from("text_map", "DEFAULT_SYMBOL_MAP get_symbol_for_object"),
    "mettagrid.runner": {},
    "mettagrid.runner.rollout": _from("rollout", "resolve_env_for_seed run_episode_local")
    | _from("evaluating", "run_multi_episode_rollout"),
    "mettagrid.simulator.multi_episode": {},
    "mettagrid.simulator.multi_episode.rollout": _from("evaluating", "EpisodeRolloutResult MultiEpisodeRolloutResult"),
    "mettagrid.simulator.multi_episode.summary": _from(
        "evaluating",
        "MultiEpisodeRolloutPolicySummary MultiEpisodeRolloutSummary build_multi_episode_rollout_summaries",
    ),
    "mettagrid.util": {},
    "mettagrid.util.uri_resolvers": {},
    "mettagrid.util.uri_resolvers.schemes": _from("uris", "policy_spec_from_uri"),
    "mettagrid.util.module": _from("loading", "load_symbol"),
    "mettagrid.util.stats_writer": _from("handlers", "NoopStatsWriter StatsWriter"),
    "cogames": {},
    "cogames.core": MISSION,
    "cogames.device": _from("devices", "resolve_training_device"),
    "cogames.game": _from("catalogue", "load_mission_config load_mission_config_from_python save_mission_config"),
    "cogames.evaluate": _from("evaluating", "evaluate"),
    "cogames.play": _from("rollout", "play run_episode_local"),
    "cogames.train": _from("training", "train"),
    "cogames.cli": {},
    "cogames.cli.mission": _from(
        "catalogue",
        "find_mission get_all_eval_missions get_all_missions get_mission get_mission_name_and_config load_mission_set "
        "parse_variants",
    ),
    "cogames.cli.policy": _from("rollout", "PolicySpecWithProportion parse_policy_spec"),
    "cogames.policy": {},
    "cogames.policy.starter_agent": _from(
        "policies.starter", "ELEMENTS StarterCogPolicyImpl StarterCogState StarterPolicy WANDER_DIRECTIONS WANDER_STEPS"
    )
    | {"GEAR": "metta.game.resources:GEAR"},
    "cogames.policy.role_policies": _from(
        "policies.starter", "AlignerRolePolicy MinerRolePolicy ScoutRolePolicy ScramblerRolePolicy"
    ),
    "cogames.policy.tutorial_policy": _from(
        "policies.tutorial", "TutorialAgentPolicy TutorialPolicy TutorialPolicyNet"
    ),
    CVC: {},
    f"{CVC}.mission": MISSION,
    f"{CVC}.missions": _from(
        "catalogue",
        "CogsGuardBasicMission CogsGuardMachina1Mission AlignerTutorialMission MinerTutorialMission MISSIONS "
        "ScoutTutorialMission ScramblerTutorialMission get_core_missions get_missions make_cogsguard_mission make_game",
    ),
    f"{CVC}.cog": COG,
    f"{CVC}.team": COG,
    f"{CVC}.clips": {"ClipsConfig": "metta.game.mission:ClipsSettings"},
    f"{CVC}.weather": {"WeatherConfig": "metta.game.mission:WeatherSettings"},
    f"{CVC}.config": _from("vibes", "CvCConfig"),
    f"{CVC}.sites": SITES,
    f"{CVC}.terrain": _from("map_config", "MachinaArena MachinaArenaConfig SequentialMachinaArena")
    | _from("variants", "MapSeedVariant"),
    f"{CVC}.clip_difficulty": _from(
        "variants", "COGSGUARD_DIFFICULTIES CogsGuardDifficulty EASY HARD MEDIUM get_cogsguard_difficulty"
    ),
    f"{CVC}.reward_variants": _from("variants", "AVAILABLE_REWARD_VARIANTS apply_reward_variants"),
    f"{CVC}.variants": _from(
        "variants",
        "BalancedCornersVariant BraveheartVariant CavesVariant CityVariant ClipsEasyVariant ClipsHardVariant "
        "ClipsMediumVariant ClipsWaveOnlyVariant DarkSideVariant DesertVariant DistantResourcesVariant "
        "EmptyBaseVariant EnergizedVariant ForcedRoleVibesVariant ForestVariant HIDDEN_VARIANTS MultiTeamVariant "
        "NoClipsVariant NoVibesVariant NoWeatherVariant NumCogsVariant QuadrantBuildingsVariant "
        "RandomizeSpawnsVariant SingleResourceUniformVariant Small50Variant SuperChargedVariant ThickSkinnedVariant "
        "VARIANTS",
    ),
    f"{CVC}.evals": {},
    f"{CVC}.evals.difficulty_variants": _from("variants", "DIFFICULTY_VARIANTS DifficultyLevel"),
    f"{CVC}.tutorials": {},
}

for role in ("aligner", "miner", "scout", "scrambler"):
    title = f"{role.capitalize()}RewardsVariant"
    both = _from("variants", title) | _from("catalogue", f"{role.capitalize()}TutorialMission")
    more = _from("variants", "AllJunctionsClipsAligned") if role == "scrambler" else {}
    OFFERED |= {f"{CVC}.{folder}{role}_tutorial": both | more for folder in ("", "tutorials.")}
tutorial = _from("catalogue", "CogsGuardTutorialMission")
OFFERED |= {f"{CVC}.{folder}cogsguard_tutorial": tutorial for folder in ("", "tutorials.")}

# What a module also has because it imports it from another, and people take it from there.
AGAIN = {
    "mettagrid.simulator": "ReplayLogWriter",
    "mettagrid.simulator.interface": "ObservationFeatureSpec PackedCoordinate",
    "mettagrid.simulator.simulator": "Action AgentObservation CHANGE_VIBE_PREFIX Location ObservationFeatureSpec "
                                     "ObservationToken",
    "mettagrid.simulator.rollout": "AgentPolicy Renderer Simulator SimulatorEventHandler",
    "mettagrid.config.mettagrid_config": "ActionConfig AnyMapBuilderConfig AsciiMapBuilder AttackActionConfig "
                                         "CardinalDirection CardinalDirections ChangeVibeActionConfig IdMap "
                                         "InventoryValue MoveActionConfig RandomMapBuilder StatValue",
    "mettagrid.config.reward_config": "InventoryValue StatValue",
    "mettagrid.config.action_config": "Action VIBES Vibe",
    "mettagrid.envs.mettagrid_puffer_env": "Buffers MettaGridConfig PolicyEnvInterface PolicySpec Simulation Simulator "
                                           "dtype_actions dtype_masks dtype_observations dtype_rewards "
                                           "dtype_terminals dtype_truncations",
    "mettagrid.policy.policy": "Action AgentObservation PolicyEnvInterface PolicyRegistryMeta Simulation",
    "mettagrid.policy.policy_env_interface": "CHANGE_VIBE_PREFIX MettaGridConfig ObservationFeatureSpec",
    "mettagrid.policy.loader": "AgentPolicy MultiAgentPolicy PolicyEnvInterface PolicySpec get_policy_registry "
                               "load_symbol",
    "mettagrid.runner.rollout": "EpisodeReplay EpisodeRolloutResult MultiEpisodeRolloutResult PolicySpec Rollout",
    "cogames.core": "AnyMapBuilderConfig MettaGridConfig",
    "cogames.cli.mission": "CoGameMissionVariant CoGameSite CvCMission HIDDEN_VARIANTS MAP_MISSION_DELIMITER "
                           "NumCogsVariant SITES VARIANTS get_cogsguard_difficulty load_mission_config",
    "cogames.cli.policy": "PolicySpec policy_spec_from_uri resolve_policy_class_path",
    "cogames.policy": "MultiAgentPolicy",
    **{f"cogames.policy.{name}": "MultiAgentPolicy PolicyEnvInterface StatefulAgentPolicy"
       for name in ("role_policies", "starter_agent", "tutorial_policy")},
    f"{CVC}.mission": "ClipsConfig CogConfig CogTeam CvCConfig MettaGridConfig WeatherConfig",
    f"{CVC}.missions": "COGSGUARD_ARENA COGSGUARD_MACHINA_1 CvCMission make_cogsguard_machina1_site",
    f"{CVC}.cog": "CvCConfig",
    f"{CVC}.team": "CvCConfig",
    f"{CVC}.sites": "BaseHub BaseHubConfig CoGameSite DistributionConfig DistributionType MachinaArena MapGen "
                    "SequentialMachinaArena",
    f"{CVC}.terrain": "BaseHub BaseHubConfig CoGameMissionVariant DistributionConfig MapGen",
    f"{CVC}.variants": "CoGameMissionVariant CvCConfig MettaGridConfig",
}  # fmt: skip
PLACES = {name: place for offered in OFFERED.values() for name, place in offered.items()}
for module, names in AGAIN.items():
    OFFERED[module] = OFFERED[module] | {name: PLACES[name] for name in names.split()}

# What is not offered, with the way here.
REFUSED: dict[str, str] = {
    **{name: f"metta offers no {name}; {FILES}"
       for name in ("mettagrid.policy.puffer_default", "mettagrid.policy.pufferlib", "cogames.policy.pufferlib_policy",
                    "cogames.policy.trainable_policy_template", "cogames.policy.chaos_monkey",
                    "cogames.policy.tutorial_overlay_policy")},
    **{f"mettagrid.{place}": f"metta offers no mettagrid.{place}; {RULES}"
       for place in ("builder", "config.mettagrid_config.WallConfig")},
    **{f"mettagrid.map_builder.{name}": f"metta offers no mettagrid.map_builder.{name}; {MAPS}"
       for name in ("maze", "perimeter_incontext")},
    f"{CVC}.sites.TRAINING_FACILITY": "metta offers no TRAINING_FACILITY, on which cogames cannot play a mission; "
                                      "the smallest site: get_mission('cogsguard_tutorial')[2].site",
    f"{CVC}.sites.EVALS": "metta offers no EVALS, it has no maps of cogames; a file of your own: get_map('FILE.map'), "
                          "missions of ours: load_mission_set('diagnostic_evals')",
}  # fmt: skip
