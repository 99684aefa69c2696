"""
``python -m benchmarks``, from the root of the tree.
"""

import sys

from benchmarks.command import main

sys.exit(main())
