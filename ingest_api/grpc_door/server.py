"""The gRPC server: the service, the standard health service and reflection."""

import asyncio
from typing import Final

import grpc
import structlog
from grpc_health.v1 import health, health_pb2, health_pb2_grpc  # type: ignore[import-untyped]
from grpc_reflection.v1alpha import reflection  # type: ignore[import-untyped]
from recommender.v1 import behavior_pb2, behavior_pb2_grpc

from ingest_api.deps import DoorDeps
from ingest_api.grpc_door.interceptor import Observed
from ingest_api.grpc_door.servicer import BehaviorServicer
from ingest_api.probes import run_probes
from ingest_api.track import TrackService
from schemas.event import Source

log = structlog.get_logger()

STOP_GRACE_S: Final = 5.0
PROBE_EVERY_S: Final = 2.0
SERVICE: Final = behavior_pb2.DESCRIPTOR.services_by_name["BehaviorService"].full_name


class GrpcDoor:
    """A server that listens, and follows the probes with its health service."""

    def __init__(
        self, server: grpc.aio.Server, health_servicer: health.aio.HealthServicer, watch: "asyncio.Task[None]"
    ) -> None:
        self.server = server
        self._health = health_servicer
        self._watch = watch

    async def stop(self) -> None:
        """Say that it stops, let calls in flight finish for a few seconds, end."""
        self._watch.cancel()
        await asyncio.gather(self._watch, return_exceptions=True)
        await self._health.enter_graceful_shutdown()
        await self.server.stop(STOP_GRACE_S)


async def create_server(deps: DoorDeps, port: int, host: str = "127.0.0.1") -> tuple[GrpcDoor, int]:
    """A started server and the port it is bound to; port 0 takes any free one. Raises RuntimeError when it is taken."""
    server = grpc.aio.server(
        interceptors=[Observed()],
        options=[
            ("grpc.max_receive_message_length", deps.settings.max_batch_bytes),
            ("grpc.so_reuseport", 0),  # a port in use is an error, not a second server behind the first
        ],
    )
    service = TrackService(deps.judge, deps.publisher, deps.clock, Source.GRPC)
    behavior_pb2_grpc.add_BehaviorServiceServicer_to_server(BehaviorServicer(service, deps.settings), server)
    health_servicer = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health_servicer, server)
    reflection.enable_server_reflection((SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
    bound = server.add_insecure_port(f"{host}:{port}")
    await server.start()
    watch = asyncio.create_task(_follow(deps, health_servicer))
    log.warning("authentication_off", door="grpc", advice="keep the port private: any caller acts for any tenant")
    return GrpcDoor(server, health_servicer, watch), bound


async def _follow(deps: DoorDeps, servicer: health.aio.HealthServicer) -> None:
    """The health service says SERVING while every server that is needed to take events answers."""
    states = health_pb2.HealthCheckResponse
    while True:
        checks = await run_probes(deps.probes, deps.settings.probe_timeout_s)
        ready = all(answers for name, answers in checks.items() if name in deps.needed)
        for name in ("", SERVICE):
            await servicer.set(name, states.SERVING if ready else states.NOT_SERVING)
        await asyncio.sleep(PROBE_EVERY_S)
