"""Array libraries behind one small contract, which covers only what the Array API standard leaves open.

The formulas come as functions written in the standard; a backend brings arrays to the device and back, compiles a
function or k iterations of it, waits for results, and says what it ran on. A backend knows one library, imports it
only inside functions, and knows nothing of networks. A library's settings are changed only while one of our functions
runs; what a library reads only once per process (JAX its threads, CuPy its precision) is set when the backend is
opened.
"""

from ssnn.backends.accumulation import Accumulation, even_size
from ssnn.backends.base import Backend, Program
from ssnn.backends.options import DTYPES, PRECISIONS, Availability, Description, Options
from ssnn.backends.registry import BUILT_IN, available_backends, names, open_backend

__all__ = [
    "BUILT_IN",
    "DTYPES",
    "PRECISIONS",
    "Accumulation",
    "Availability",
    "Backend",
    "Description",
    "Options",
    "Program",
    "available_backends",
    "even_size",
    "names",
    "open_backend",
]
