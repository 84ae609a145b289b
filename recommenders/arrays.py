"""The kinds of columns that the parts exchange."""

import numpy as np
import numpy.ma  # np.unique imports it when first called: 50 ms in the middle of a list
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
Column = npt.NDArray[np.generic]
