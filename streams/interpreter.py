"""Python's collector of cycles and its threads, in a process that works off batches."""

import gc
import sys
from typing import Final

OBJECTS: Final = 50_000  # made and not freed, before the collector looks at the young ones; Python's own is 700
SWITCH_S: Final = 0.0005  # for which a thread has the interpreter while others want it; Python's own is ten times that


def settle_interpreter() -> None:
    """Leave alone what is there by now, look at what comes less often, and switch threads often.

    A batch makes thousands of objects that live as long as it does and are in no cycle. By Python's defaults the
    collector looks at them several times a batch, and at everything that is held, thousands of configs among it, now
    and then: each time every event waits. The consumers' threads want the interpreter at each piece of a fetch, and
    must not wait every time until a batch is worked off.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(OBJECTS, 20, 20)
    sys.setswitchinterval(SWITCH_S)
