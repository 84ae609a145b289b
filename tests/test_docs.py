"""Docs say what the code says."""

from pathlib import Path

import pytest

from schemas.keys import KINDS
from tests.generated import DOCS, GENERATED

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("name", GENERATED)
def test_a_generated_page_is_up_to_date(name: str) -> None:
    assert (DOCS / name).read_text() == GENERATED[name](), "run: make generate"


def test_each_redis_key_is_documented() -> None:
    page = (DOCS / "redis.md").read_text()
    assert not [kind for kind in KINDS if f"`{kind}" not in page]


def test_each_room_has_a_readme_and_the_main_one_links_it() -> None:
    page = (ROOT / "README.md").read_text()
    rooms = ("schemas", "tracking_configs", "ingest_api", "streams", "recommenders", "infra", "tests")
    assert not [room for room in rooms if not (ROOT / room / "README.md").exists() or f"{room}/" not in page]


def test_each_record_of_a_decision_is_numbered_without_a_gap() -> None:
    numbers = [int(file.name[:4]) for file in sorted((DOCS / "adr").glob("*.md"))]
    assert numbers == list(range(1, len(numbers) + 1))
