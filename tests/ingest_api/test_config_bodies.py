"""The bodies at the edge name the parts that the model has."""

import msgspec
import pytest
from pydantic import BaseModel

from ingest_api.http.config_bodies import (
    ConfigParts,
    CreateBody,
    DwellBody,
    FieldBody,
    PositiveBody,
    Signed,
    SourceShareBody,
    UpdateBody,
)
from tracking_configs.interest import Dwell, Positive, SourceShare
from tracking_configs.model import ConfigDraft, TrackingConfig
from tracking_configs.patching import IDENTITY, SET_BY_THE_PLATFORM
from tracking_configs.service import Authorship
from tracking_configs.template import FieldSpec


@pytest.mark.parametrize(
    ("body", "struct"),
    [
        (FieldBody, FieldSpec),
        (DwellBody, Dwell),
        (PositiveBody, Positive),
        (SourceShareBody, SourceShare),
        (Signed, Authorship),
    ],
)
def test_a_body_has_the_names_of_its_struct_and_needs_the_same(
    body: type[BaseModel], struct: type[msgspec.Struct]
) -> None:
    fields = msgspec.structs.fields(struct)
    assert {name: field.is_required() for name, field in body.model_fields.items()} == {
        field.name: field.required for field in fields
    }


def test_the_parts_of_a_config_are_those_of_a_draft_without_its_identity() -> None:
    assert set(ConfigParts.model_fields) == set(ConfigDraft.__struct_fields__) - set(IDENTITY)


def test_a_new_config_is_a_draft_and_who_made_it() -> None:
    assert set(CreateBody.model_fields) == {*ConfigDraft.__struct_fields__, *Authorship.__struct_fields__}


def test_what_get_answers_can_be_put_back() -> None:
    assert set(UpdateBody.model_fields) == {*TrackingConfig.__struct_fields__, *SET_BY_THE_PLATFORM}
