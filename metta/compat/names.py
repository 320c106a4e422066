"""Every name of `mettagrid` 0.8.4 and `cogames` 0.8.1 that is offered here, by module, and where it lives."""

OBSERVATION = "metta.compat.observation"


def _from(place: str, names: str) -> dict[str, str]:
    """Names that are called the same at their place; `old=new` where they are not."""
    pairs = [name.partition("=") for name in names.split()]
    return {old: f"{place}:{new or old}" for old, _, new in pairs}


SEEN = _from(OBSERVATION, "Action AgentObservation Location ObservationToken")

OFFERED: dict[str, dict[str, str]] = {
    "mettagrid": _from(OBSERVATION, "Action"),
    "mettagrid.types": _from(OBSERVATION, "Action"),
    "mettagrid.mettagrid_c": _from(
        OBSERVATION,
        "PackedCoordinate dtype_actions dtype_masks dtype_observations dtype_rewards dtype_terminals dtype_truncations",
    ),
    "mettagrid.simulator": SEEN,
    "mettagrid.simulator.interface": SEEN,
    "mettagrid.config": {},
    "mettagrid.config.id_map": _from(OBSERVATION, "ObservationFeatureSpec"),
    "mettagrid.policy": {},
    "mettagrid.policy.policy": _from(
        "metta.compat.policy", "AgentPolicy MultiAgentPolicy PolicySpec StatefulAgentPolicy StatefulPolicyImpl"
    ),
    "mettagrid.policy.policy_env_interface": _from("metta.compat.environment", "PolicyEnvInterface"),
    "mettagrid.policy.policy_registry": _from("metta.compat.policy", "PolicyRegistryMeta get_policy_registry"),
    "mettagrid.policy.loader": _from(
        "metta.compat.loading", "discover_and_register_policies initialize_or_load_policy resolve_policy_class_path"
    ),
    "mettagrid.policy.utils": _from("metta.compat.lstm_state", "LSTMState LSTMStateDict LSTMStateTuple"),
    "mettagrid.policy.token_encoder": _from("metta.compat.tokens", "coordinates"),
    "mettagrid.policy.noop": _from("metta.compat.policies.simple", "NoopAgentPolicy NoopPolicy"),
    "mettagrid.policy.random_agent": _from("metta.compat.policies.simple", "RandomAgentPolicy RandomMultiAgentPolicy"),
    "mettagrid.util": {},
    "mettagrid.util.module": _from("metta.compat.loading", "load_symbol"),
    "cogames": {},
    "cogames.policy": {},
    "cogames.policy.starter_agent": _from(
        "metta.compat.policies.starter",
        "ELEMENTS GEAR StarterCogPolicyImpl StarterCogState StarterPolicy WANDER_DIRECTIONS WANDER_STEPS",
    )
    | {"GEAR": "metta.game.resources:GEAR"},
    "cogames.policy.role_policies": _from(
        "metta.compat.policies.starter", "AlignerRolePolicy MinerRolePolicy ScoutRolePolicy ScramblerRolePolicy"
    ),
    "cogames.policy.tutorial_policy": _from(
        "metta.compat.policies.tutorial", "TutorialAgentPolicy TutorialPolicy TutorialPolicyNet"
    ),
}

# What is not offered, with the way here.
NETS = "train and play our own nets: class=lstm, class=tutorial (docs/nets.md)"
REFUSED: dict[str, str] = {
    "mettagrid.policy.policy.NimMultiAgentPolicy": "metta runs no Nim; write a MultiAgentPolicy with step_batch",
    "mettagrid.policy.lstm": f"metta offers no mettagrid.policy.lstm; {NETS}",
    "mettagrid.policy.stateless": f"metta offers no mettagrid.policy.stateless; {NETS}",
    "mettagrid.policy.puffer_default": f"metta offers no mettagrid.policy.puffer_default; {NETS}",
}
