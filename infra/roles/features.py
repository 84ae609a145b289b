"""How long features live and when sessions are closed, as the settings say: one answer for who writes and rebuilds."""

from infra.settings import Settings
from streams.features.model import Lifetimes
from streams.features.watermark import Closing

DAY_S = 24 * 60 * 60


def lifetimes_of(settings: Settings) -> Lifetimes:
    return Lifetimes(recent_s=settings.recent_days * DAY_S)


def closing_of(settings: Settings) -> Closing:
    return Closing(settings.session_lateness_s * 1000, settings.session_idle_s * 1000)
