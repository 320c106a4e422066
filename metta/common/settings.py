"""Base of every settings model."""

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """Settings with strict keys: an unknown one is an error, never dropped."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True)
