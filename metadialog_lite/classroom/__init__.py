"""The classroom: one source for each assignment becomes release, solution and nbgrader course; submissions are graded.

The order of reading: ``assignments`` (source → release and solution), ``course`` (the nbgrader course folder),
``intake`` (what students hand in), ``limits`` and ``execute`` (one submission, one process), ``watch`` (what must not
change), ``grading``, ``grades`` (feedback and table), ``command``.
"""
