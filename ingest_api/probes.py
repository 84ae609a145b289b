"""Readiness: asks every server at once, none longer than its time."""

import asyncio
from collections.abc import Mapping

import structlog

from ingest_api.deps import Probe

log = structlog.get_logger()


async def run_probes(probes: Mapping[str, Probe], timeout_s: float) -> dict[str, bool]:
    """By name, whether each answered in time."""
    answers = await asyncio.gather(*(_answers(name, probe, timeout_s) for name, probe in probes.items()))
    return dict(zip(probes, answers, strict=True))


async def _answers(name: str, probe: Probe, timeout_s: float) -> bool:
    try:
        async with asyncio.timeout(timeout_s):
            return await probe()
    except Exception as error:  # whatever a client raises, the server did not answer
        log.info("probe_failed", server=name, error=str(error) or type(error).__name__)
        return False
