"""`bench --site SITE memora ...`: what administrators do, with progress bars.

With `--json` a command prints one JSON document instead, for programs. `--site all` runs it on each
site that has memora. A command that fails exits with code 1 and prints a line on stderr; with
`--json` it prints a document that has `error` and `code`.
"""

from __future__ import annotations

from typing import Final

import click

from memora.commands.cache import rebuild, reconcile
from memora.commands.demo import clear_demo_data, make_demo_data
from memora.commands.door import door
from memora.commands.durability import make_durable
from memora.commands.forecast import forecast
from memora.commands.jobs import cancel
from memora.commands.journal import drain, mend_clock
from memora.commands.poison import poison, replay
from memora.commands.questions import restore, retire
from memora.commands.scheduling import compare_schedulers, train
from memora.commands.seasons import archive, delete_eligible, partitions
from memora.commands.status import status
from memora.commands.students import export_player, forget


@click.group("memora")
def memora() -> None:
    """Spaced-repetition reviews: health, cache, journal, seasons, archive."""


for command in (
    status,
    door,
    forecast,
    rebuild,
    reconcile,
    train,
    compare_schedulers,
    drain,
    mend_clock,
    make_durable,
    poison,
    replay,
    retire,
    restore,
    cancel,
    archive,
    delete_eligible,
    partitions,
    export_player,
    forget,
    make_demo_data,
    clear_demo_data,
):
    memora.add_command(command)

commands: Final = [memora]
