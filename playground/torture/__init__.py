"""The proof: random tables, random changes, a live writer and faults, until a row is lost.

Contract: ``script/torture [--minutes N] [--rounds N] [--seed S]`` runs rounds against private
servers, one with GTIDs and one without, and exits 0 when every row of every round was right. All
that a round *chooses* follows from its seed, which is printed: ``--seed S --rounds 1`` chooses the
same again. When things happen is up to the machine. Nothing it starts survives it.

A reader's map, in the order of a round:

- ``plan``: what a round chooses, from a seed, before anything is started;
- ``tables``, ``columns``: a random table and its rows; ``alters``: a random change that fits it;
- ``faults``: what goes wrong, and when; ``attempt``, ``engine_process``: one run of the engine in a
  process of its own, which can be killed; the checksum's repairs are off there, so that it cannot
  hide a row that the copy lost;
- ``rounds``: the round itself: attempt after attempt until the change is made;
- ``verify``: whether every row is right, and nothing was left behind;
- ``report``: what is told.

Half of the rounds write on through the swap and are compared with the writer's ledger. The other
half defer the swap, stop the writer before it, and compare every row with what the server's own
ALTER makes of the old table: that works for changes of type, too.
"""
