"""Python's collector of cycles, in a process that works off batches."""

import gc
from typing import Final

OBJECTS: Final = 50_000  # made and not freed, before the collector looks at the young ones; Python's own is 700


def settle_collector() -> None:
    """Leave what is there by now to itself for good, and look at what comes less often.

    A batch makes thousands of objects that live as long as it does and are in no cycle. By Python's defaults the
    collector looks at them several times a batch, and at everything that is held, thousands of configs among it, now
    and then: each time every event waits.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(OBJECTS, 20, 20)
