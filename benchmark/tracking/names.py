"""Names of trackers and their modes, as the command line offers them."""

from typing import Literal, get_args

LoggerName = Literal["csv", "wandb", "tensorboard", "none"]
LOGGERS: tuple[LoggerName, ...] = get_args(LoggerName)
WandbMode = Literal["offline", "online", "disabled"]
WANDB_MODES: tuple[WandbMode, ...] = get_args(WandbMode)
