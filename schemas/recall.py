"""The recall sources of the recommender, by the names that a scenario's recall mix and a pipeline file use."""

from typing import Final

RECALL_SOURCES: Final = ("item_cf", "hot", "new_items")
