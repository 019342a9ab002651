"""The names and shapes of the tensors that a family predicts from an Architecture."""

from .naming import *  # noqa: F403
