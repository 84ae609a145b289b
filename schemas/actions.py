"""The union of the built-in templates' actions (CONTRACTS §2); a test holds it equal to the template files."""

from typing import Final

SKIP: Final = "skip"  # belongs to every template's list

BUILT_IN_ACTIONS: Final = frozenset(
    """
    impression click play play_end pause like share comment
    view add_cart order payment purchase
    read read_end
    add_playlist
    learn complete trial
    collect report
    view_profile follow add_friend message ignore block
    positive_feedback negative_feedback dismiss not_interested
    bet favorite unfavorite
    skip
    """.split()
)
