"""Notebooks as experiments: one run, a sweep over many settings, and the report over a folder of runs.

``notebook`` checks parameters before anything is started, ``grid`` spells out the settings, ``execute`` makes one run,
``kernels`` and ``zygote`` keep a warm process for it, ``engine`` hands runs to dask, ``store`` keeps what came of them,
``sweep`` puts these together, and ``report`` reads a folder of runs.
"""
