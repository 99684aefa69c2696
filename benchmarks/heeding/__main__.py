"""
``python -m benchmarks.heeding``, from the root of the tree.
"""

import sys

from benchmarks.heeding.command import main

sys.exit(main())
