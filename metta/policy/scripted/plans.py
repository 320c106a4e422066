"""The named plans: one planner, told different things."""

import numpy as np
from pydantic import Field

from metta.common.settings import Settings


class Plan(Settings):
    """What the planner is told. Costs are in half steps: a step inside a friendly area costs 2."""

    first_aligners: int = Field(default=2, description="aligners at the start")
    load: int = Field(default=6, description="hearts that an aligner loads")
    up: int = Field(default=3, description="unclaimed hearts at which a miner becomes an aligner")
    patience: int = Field(default=20, description="steps from the hub within which an aligner without hearts is called")
    explore: int = Field(default=16, description="cost of an unknown cell to an aligner with hearts")
    balance: int = Field(default=25, description="cost of ten elements more than of the scarcest")
    part: int = Field(default=30, description="cost of ten elements missing in a deposit")
    patrol: int = Field(default=120, description="steps after which a junction wants to be seen")
    rival: int = Field(default=20, description="cost of ten steps that another aligner is nearer")
    scramblers: int = Field(default=1, description="scramblers while the clips hold few junctions")
    surplus: int = Field(default=30, description="hearts in hand beyond all targets at which mining ends")
    cooldown: int = Field(default=6, description="steps between changes of role")
    first_scouts: int = Field(default=0, description="scouts at the start")
    home: int = Field(default=2, description="cost of a step from an extractor to the nearest depot")
    review: int = Field(default=8, description="steps after which a task is chosen anew")
    vibes: int = Field(default=1, description="show the role by vibe")
    depot: int = Field(default=5, description="worth of ten steps that a junction would save the miners")
    crowded: int = Field(default=4, description="how many more hearts for each aligner more than miners")
    dismiss: int = Field(default=12, description="hearts missing at which an aligner becomes a miner")
    claim: int = Field(default=4, description="hearts set aside for an aligner that comes to load")
    slack: int = Field(default=10, description="surplus of an element that costs nothing at step 100; it grows")
    rate: int = Field(default=17, ge=1, description="steps in which a miner brings in the elements of a heart")

    def array(self) -> np.ndarray:
        """In the order of `layout.PL_…`, int32."""
        return np.array(list(self.model_dump().values()), np.int32)
