"""Talking heads from one photo and speech.

The packages follow the DAG: corpus → features → models → training → synthesis → evaluation → report.
"""
