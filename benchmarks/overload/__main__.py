"""
``python -m benchmarks.overload``, from the root of the tree.
"""

import sys

from benchmarks.overload.command import main

sys.exit(main())
