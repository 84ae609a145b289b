"""Why an item is in a list: a code kept with the list, and its text in the reader's language."""

from typing import Final

import msgspec

DEFAULT_LANGUAGE: Final = "en"

TEXTS: Final[dict[str, dict[str, str]]] = {  # code -> language -> template; {subject} is Reason.subject
    "liked_item": {"en": "Because you liked {subject}", "zh": "因为你喜欢《{subject}》"},
    "hot_category": {"en": "Popular in {subject}", "zh": "{subject}热门"},
    "hot_scenario": {"en": "Popular here right now", "zh": "当前场景热门"},
    "hot_global": {"en": "Popular right now", "zh": "当下热门"},
    "rising": {"en": "Rising right now", "zh": "正在上升"},
    "new_item": {"en": "New", "zh": "新品"},
    "configured": {"en": "Our selection", "zh": "精选推荐"},
}


class Reason(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """A reason as stored: `subject` is the title of the anchor item or the category, `item_id` the anchor item."""

    code: str
    subject: str = ""
    item_id: str = ""


def reason_text(reason: Reason, language: str = DEFAULT_LANGUAGE) -> str:
    """The reason as a sentence; `zh-CN` is read as zh, a language without texts as English."""
    texts = TEXTS.get(reason.code)
    if texts is None:
        return ""
    template = texts.get(language.lower().replace("_", "-").split("-")[0], texts[DEFAULT_LANGUAGE])
    return template.replace("{subject}", reason.subject)
