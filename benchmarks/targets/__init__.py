"""
The gateways that are measured, each optional, all alike to the measurements.
"""
