"""The tasks of EXAONE-nano and the two ways to draw from them: for training, or held out."""

import random

from . import arithmetic, identity, instructions, memory, pictures, sorting, table_facts, tool_calls, words
from .item import assistant_message, held_out

TASKS = {"identity": identity.make, "words": words.make, "arithmetic": arithmetic.make, "sorting": sorting.make,
         "table_facts": table_facts.make, "instructions": instructions.make, "tool_calls": tool_calls.make,
         "memory": memory.make, "pictures": pictures.make}
CHAINED = ("identity", "words", "arithmetic", "sorting", "memory")


def _draw(rng, task, wanted_held_out):
    while True:
        item = TASKS[task](rng)
        if held_out(task, item.key) == wanted_held_out:
            return item


def draw(task, seed, index, split):
    """The index-th item of a split ("train" or "test"): the same for the same arguments, on every machine."""
    return _draw(random.Random(f"{seed} {task} {split} {index}"), task, split == "test")


def draw_chain(seed, index):
    """Several training items as one conversation, so that a question follows others as it does in a chat."""
    rng = random.Random(f"{seed} chain {index}")
    items = [_draw(rng, rng.choice(CHAINED), False) for _ in range(rng.randint(2, 5))]
    messages = []
    for item in items[:-1]:
        messages += item.messages + [assistant_message(item)]
    last = items[-1]
    last.messages = messages + last.messages
    return last


def draw_told(seed, index):
    """A training item on pictures that are told in words."""
    return pictures.told(draw("pictures", seed, f"told {index}", "train"))
