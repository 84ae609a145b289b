"""The tenants' pipeline files, read again now and then, so that a change needs no restart."""

import asyncio
from pathlib import Path
from typing import Final

from cachetools import TTLCache

from recommenders.scenes import Pipeline, load_pipeline

KEPT_S: Final = 30.0
KEPT: Final = 1000


class Pipelines:
    """A tenant's pipeline. Raises PipelineFileError for a file that cannot be used."""

    def __init__(self, pipelines_dir: Path | None) -> None:
        self._dir = pipelines_dir
        self._kept: TTLCache[str, Pipeline] = TTLCache(KEPT, KEPT_S)

    async def get(self, tenant: str) -> Pipeline:
        pipeline = self._kept.get(tenant)
        if pipeline is None:
            pipeline = self._kept[tenant] = await asyncio.to_thread(load_pipeline, tenant, self._dir)
        return pipeline
