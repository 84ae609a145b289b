"""Every part that a pipeline file may name, and the building of a pipeline out of a file.

A new source, hydrator or filter is one file and one line here.
"""

from collections.abc import Callable, Mapping
from typing import Final, TypeVar

from recommenders.candidates import Query
from recommenders.filters.already_seen import AlreadySeen
from recommenders.filters.inactive import Inactive
from recommenders.filters.out_of_scene import OutOfScene
from recommenders.hydrators.catalogue import CatalogueHydrator
from recommenders.mix import SourceWeights, quota_of
from recommenders.runner import Runner, Stages
from recommenders.scenes import Part, Pipeline, PipelineFileError, SourcePart
from recommenders.scorers.weighted import WeightedScorer
from recommenders.selectors.top import Top
from recommenders.sources.hot import HotSource
from recommenders.sources.item_cf import ItemCFSource
from recommenders.sources.new_items import NewItemsSource
from recommenders.stages import Filter, Hydrator, QueryHydrator, Scorer, Selector, Source, Stage
from recommenders.stores import Stores

QUERY_HYDRATORS: Final[dict[str, Callable[[Stores, Part], QueryHydrator]]] = {}

SOURCES: Final[dict[str, Callable[[Stores, SourcePart], Source]]] = {
    "item_cf": ItemCFSource,
    "hot": HotSource,
    "new_items": NewItemsSource,
}

HYDRATORS: Final[dict[str, Callable[[Stores, Part], Hydrator]]] = {
    "catalogue": CatalogueHydrator,
}

FILTERS: Final[dict[str, Callable[[Stores, Part], Filter]]] = {
    "already_seen": AlreadySeen,
    "inactive": Inactive,
    "out_of_scene": OutOfScene,
}

SCORERS: Final[dict[str, Callable[[Stores, Pipeline], Scorer]]] = {
    "weighted": lambda stores, pipeline: WeightedScorer(SourceWeights(pipeline.sources)),
}

SELECTORS: Final[dict[str, Callable[[Stores, Pipeline], Selector]]] = {
    "top": lambda stores, pipeline: Top(pipeline.selector.size, _slots(pipeline)),
}

P = TypeVar("P")
S = TypeVar("S", bound=Part)


def build_runner(pipeline: Pipeline, stores: Stores, *, patience: float = 1.0) -> Runner:
    """The pipeline over a tenant's stores. Raises PipelineFileError for a part that does not exist."""

    def stage(kind: str, registry: Mapping[str, Callable[[Stores, S], P]], settings: S) -> Stage[P]:
        return _stage(settings, _find(kind, registry, settings.part)(stores, settings))

    def whole(kind: str, registry: Mapping[str, Callable[[Stores, Pipeline], P]], settings: Part) -> Stage[P]:
        return _stage(settings, _find(kind, registry, settings.part)(stores, pipeline))

    return Runner(
        Stages(
            query_hydrators=[stage("query hydrator", QUERY_HYDRATORS, each) for each in pipeline.query_hydrators],
            sources=[stage("source", SOURCES, each) for each in pipeline.sources],
            hydrators=[stage("hydrator", HYDRATORS, each) for each in pipeline.hydrators],
            filters=[stage("filter", FILTERS, each) for each in pipeline.filters],
            scorers=[whole("scorer", SCORERS, each) for each in pipeline.scorers],
            selector=whole("selector", SELECTORS, pipeline.selector),
        ),
        patience=patience,
    )


def _find(kind: str, registry: Mapping[str, P], name: str) -> P:
    if name not in registry:
        raise PipelineFileError("pipeline", f"there is no {kind} {name!r}, only {', '.join(registry) or 'none'}")
    return registry[name]


def _stage(settings: Part, part: P) -> Stage[P]:
    def enabled(query: Query) -> bool:
        if isinstance(settings, SourcePart) and quota_of(settings, query.mix) == 0:
            return False
        return settings.enabled and (not settings.scenes or query.scene.name in settings.scenes)

    return Stage(settings.part, part, settings.budget_ms, enabled)


def _slots(pipeline: Pipeline) -> dict[int, tuple[int, ...]]:
    columns = {source.part: column for column, source in enumerate(pipeline.sources)}
    return {columns[source]: places for source, places in pipeline.selector.slots.items()}
