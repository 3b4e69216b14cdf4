"""The three challenges as experiments: too little data, computing cost, and generalisation (notebook 09).

    python -m metadialog_lite.challenges tasks     meta-training on 8, 32, 128, 512 and ever new speakers
    python -m metadialog_lite.challenges orders    first against second order, with one and with three inner steps
    python -m metadialog_lite.challenges costs     time and memory of one outer step

Each writes one file to ``data/results/challenges`` (schema: ``schema.py``), with the command in it. Trainings are
limited by *steps*, not by seconds, so that the same command gives the same losses; only the seconds differ.
"""
