"""The template files are the contract's table."""

import pytest

from schemas.actions import BUILT_IN_ACTIONS, SKIP
from tracking_configs.template import FieldSpec, load_templates

# CONTRACTS §2, by hand. A field: type, then range, r: its actions, enum values after =.
TABLE = {
    "video": (
        """duration integer >=1 r:play_end; watch_duration integer >=0 r:play_end;
        completion_rate number 0-1 r:play_end; video_quality string =360p,480p,720p,1080p,2K,4K;
        is_fullscreen boolean; is_muted boolean; playback_speed number 0.25-4; seek_positions array[integer];
        buffer_time integer""",
        "impression click play play_end pause like share comment",
    ),
    "ecommerce": (
        """price number >=0 r:add_cart,order,payment,purchase; currency string ~ r:add_cart,order,payment,purchase;
        quantity integer >=1; discount number 0-1; category_path string; brand string; sku_id string;
        product_tags array[string]; stock_count integer >=0; coupon_id string""",
        "impression click view add_cart order payment purchase",
    ),
    "news": (
        """read_duration integer r:read_end; read_progress number 0-1 r:read_end; word_count integer;
        news_type string; source string; author string; keywords array[string]; is_breaking_news boolean;
        publish_time integer""",
        "impression click read read_end like share comment",
    ),
    "music": (
        """duration integer r:play_end; play_duration integer r:play_end; artist string; album string; genre string;
        bpm integer; language string; is_vip_only boolean; audio_quality string =standard,high,lossless""",
        "impression play play_end pause like add_playlist share",
    ),
    "education": (
        """course_id string r:learn,complete,pause; chapter_id string; lesson_duration integer r:learn,complete,pause;
        study_duration integer r:learn,complete,pause; progress number 0-1; exercise_count integer;
        correct_count integer; score number >=0; difficulty_level string; is_certificate_course boolean""",
        "impression click learn complete pause trial purchase",
    ),
    "content": (
        """content_type string =post,question,answer,gallery,thread r:view,read; word_count integer;
        image_count integer; video_count integer; topic string; content_quality_score number 0-100;
        is_original boolean; author_level string; has_hashtags boolean; hashtags array[string];
        engagement_rate number; read_time_estimate integer""",
        "impression click view read like comment share collect report",
    ),
    "social": (
        """relationship_type string =friend,follow,mutual,suggested r:follow,add_friend,message;
        mutual_friends_count integer; social_distance integer >=1; influence_score number >=0;
        interaction_frequency string; common_interests array; is_verified boolean; follower_count integer;
        following_count integer; post_count integer; similarity_score number""",
        "impression view_profile follow add_friend message ignore block",
    ),
    "personalized": (
        """personalization_score number 0-1 r:positive_feedback,negative_feedback,dismiss,not_interested;
        match_reasons array; user_interests_match number; trending_score number; novelty_score number;
        diversity_group string; recommendation_strategy string =collaborative,content_based,hybrid;
        model_version string; feature_importance object[number]""",
        "impression click positive_feedback negative_feedback dismiss not_interested",
    ),
    "game": (
        """duration integer r:play; bet_amount number >=0 r:bet; win_amount number >=0; category string;
        sub_category string; provider string; rtp number 0-100; volatility string =low,medium,high""",
        "impression view click play bet favorite unfavorite",
    ),
}


def in_a_line(field: FieldSpec) -> str:
    kind = f"{field.field_type}[{field.item_type}]" if field.item_type else field.field_type
    parts = [field.field_name, kind]
    if field.enum_values:
        parts.append("=" + ",".join(field.enum_values))
    if field.pattern:
        parts.append("~")
    if field.max_value is not None:
        parts.append(f"{field.min_value:g}-{field.max_value:g}")
    elif field.min_value is not None:
        parts.append(f">={field.min_value:g}")
    if field.required_for:
        parts.append("r:" + ",".join(field.required_for))
    return " ".join(parts)


@pytest.mark.parametrize("template_id", TABLE)
def test_a_template_is_its_row_of_the_contract(template_id: str) -> None:
    fields, actions = TABLE[template_id]
    template = load_templates()[template_id]
    assert [in_a_line(field) for field in template.fields] == [" ".join(part.split()) for part in fields.split(";")]
    assert [action for action in template.actions if action != SKIP] == actions.split()


def test_there_are_nine_templates() -> None:
    assert set(load_templates()) == set(TABLE)


def test_the_actions_of_all_templates_are_the_built_in_ones() -> None:
    assert {action for template in load_templates().values() for action in template.actions} == BUILT_IN_ACTIONS


def test_skip_belongs_to_every_list() -> None:
    assert all(SKIP in template.actions for template in load_templates().values())


def test_the_aliases_of_audio_quality_are_the_contract_s() -> None:
    audio_quality = load_templates()["music"].fields[-1]
    assert audio_quality.enum_aliases == {"标准": "standard", "高品": "high", "无损": "lossless"}


def test_an_impression_weighs_nothing_and_a_dislike_less() -> None:
    weights = {a: w for template in load_templates().values() for a, w in template.actions.items()}
    assert weights["impression"] == 0
    dislikes = {"skip", "report", "dismiss", "not_interested", "negative_feedback", "ignore", "block", "unfavorite"}
    assert {action for action, weight in weights.items() if weight < 0} == dislikes


def test_every_field_says_what_it_is() -> None:
    assert not [f.field_name for template in load_templates().values() for f in template.fields if not f.description]
