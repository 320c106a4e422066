"""The reference runs on machina_1: PPO with gradient TD while half of the segments clone a scripted teacher."""

from metta.config.job import Job

REFERENCE = {"total_timesteps": 20_000_000_000, "batch_size": 2_097_152}
SMALL = {"total_timesteps": 8_000_000, "batch_size": 8192, "minibatch_size": 1024, "update_epochs": 2}
LOSSES = {
    "ppo_actor": {"enabled": True, "ent_coef": 0.01, "norm_adv": True, "clip_coef": 0.22},
    "ppo_critic": {"enabled": True, "vf_coef": 0.5, "critic_update": "gtd_lambda"},
    "sliced_scripted_cloner": {
        "enabled": True,
        "action_loss_coef": 1,
        "student_led_proportion": 0.5,
        "teacher_led_proportion": 0.5,
        "restrict_ppo_to_ppo_mask": False,  # PPO learns from all segments
    },
}


def train(supervisor: str = "metta://policy/cogsguard?gear=10", small: bool = False) -> Job:
    """Train on machina_1 as the reference runs did; small: a few minutes on two cores."""
    return Job(
        "train",
        mission="cogsguard_machina_1.basic",
        agent="map" if small else "machina1",
        trainer={**(SMALL if small else REFERENCE), "losses": LOSSES},
        training_env={"supervisor_policy_uri": supervisor},
    )
