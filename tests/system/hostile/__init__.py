"""What hostile peers send, as a table: each case over every transport and in every state where it applies.

    cases.py       what a case is, and what it grows to
    peer.py        a hostile peer: one connection, brought to a state by a transport
    control.py     two clients, in a process of their own, that talk all along and must not notice
    world.py       the daemon under attack, and what must hold when an attack is over (THREATS §1, CTL)
    cases_*.py     the table, by sections of THREATS §1
"""
