"""Parameters of notebook 00: whose bot one chats with, and with how many speakers it is tried out."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from metadialog_lite.lab.parameters import Parameters

SHIPPED = ("meta_sgd", "hypernetwork", "parameters", "augmentation")


class StartParameters(Parameters):
    """What notebook 00 can be told. It uses a shipped checkpoint of restaurants.en and trains nothing."""

    offered: ClassVar[tuple[str, ...]] = SHIPPED
    without: ClassVar[tuple[str, ...]] = ("world", "corpus", "inner_lr", "inner_steps", "meta_steps", "tasks",
                                          "outer_lr", "query_turns", "start", "device")

    learner: str = "meta_sgd"
    shots: int = Field(16, ge=1, le=32)
    eval_tasks: int = Field(20, ge=2, le=10_000)

    def __str__(self) -> str:
        return (f"chat with {self.learner} on {self.world}: {self.shots} support turns, {self.eval_tasks} speakers, "
                f"seed {self.seed}")
