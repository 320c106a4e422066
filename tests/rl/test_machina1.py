"""The reference run of the guides, scaled down: machina_1, the preset of those runs, PPO beside a cloned teacher."""

import json
import os
import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from metta.config.runner import run
from metta.rl.run.metrics import Metrics
from metta.rl.run.signals import Stop
from metta.rl.trainer import Trainer

RECIPE = "recipes.experiment.machina1_cloner.train"
# Two words make it small; the others only say where it lies and how long it goes on.
SMALL = ["trainer.batch_size=1024", "trainer.minibatch_size=256"]
PLACE = ["system.data_dir=.", "system.threads=1", "device=cpu", "training_env.map_pool=2", "mission.cogs=2"]


def rows(name: str) -> list[dict[str, float]]:
    return [json.loads(line) for line in (Path(name) / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.chdir(tmp_path)
    return [RECIPE, *SMALL, *PLACE]


def test_it_trains_and_its_losses_fall(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    quick = ["trainer.optimizer.learning_rate=0.003", "mission.max_steps=100"]
    assert run([*words, *quick, "run=falls", "trainer.total_timesteps=14_336"]) == 0, capsys.readouterr().err
    told = rows("falls")
    first, last = (sum(row["losses/supervised_action_loss"] for row in part) / 3 for part in (told[:3], told[-3:]))
    assert last < 0.95 * first
    assert {"losses/gtd_aux_loss", "losses/gtd_critic_loss", "losses/teacher_agreement"} <= told[-1].keys()
    evaluate = ["cogsguard.evaluate", "run=falls", "episodes=1", "max_steps=20", "system.data_dir=.", "device=cpu"]
    assert run(evaluate) == 0, capsys.readouterr().err


def test_it_goes_on_bit_for_bit(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert run([*words, "run=whole", "trainer.total_timesteps=3072"]) == 0
    learn, seen = Trainer.learn, []

    def learned(self: Trainer, stop: Stop) -> Metrics:
        metrics = learn(self, stop)
        seen.append(self.progress.epoch)
        if self.progress.epoch == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return metrics

    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "learn", learned)
        assert run([*words, "run=parts", "trainer.total_timesteps=3072"]) == 0
    assert seen[-1] < 3
    assert run([*words, "run=parts", "trainer.total_timesteps=3072"]) == 0
    whole, parts = (load_file(f"{name}/checkpoints/{name}:v3/model.safetensors") for name in ("whole", "parts"))
    assert whole.keys() == parts.keys() and all(torch.equal(whole[key], parts[key]) for key in whole)
