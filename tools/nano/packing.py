"""Documents packed into rows of fixed length: each token sees its own document only.

Documents come from a fixed order (seed, index), so a run that is resumed at an index goes on with the same data.
"""

import random
from dataclasses import dataclass

import numpy as np
import torch

import document
import drawing
from tasks import draw, draw_chain

IMAGE = 67

# Share of each task among the documents of a stage.
STAGES = {
    "text": {"identity": 5, "words": 12, "arithmetic": 26, "sorting": 10, "table_facts": 12, "instructions": 10, "tool_calls": 15,
             "memory": 7, "chain": 8},
    "pictures": {"pictures": 50, "identity": 3, "words": 6, "arithmetic": 14, "sorting": 5, "table_facts": 6, "instructions": 4,
                 "tool_calls": 7, "memory": 3, "chain": 2},
}
# How often a task's answer is learned with its thinking.
THINKING = {"arithmetic": 0.8}
THINKING_ELSEWHERE = 0.6


@dataclass
class Document:
    ids: list
    learned: list  # for each id: is it the assistant's?
    pictures: list  # scenes
    index: int = -1


@dataclass
class Batch:
    ids: torch.Tensor  # [rows, length] i64
    positions: torch.Tensor  # [rows, length] i64, from 0 in each document
    documents: torch.Tensor  # [rows, length] i64, which document of the row
    targets: torch.Tensor  # [rows, length] i64: the next id where it is learned, else -1
    full_mask: torch.Tensor  # [rows, 1, length, length] bool
    sliding_mask: torch.Tensor
    patches: torch.Tensor = None  # [patches, 1176] f32 of all pictures in order
    grids: torch.Tensor = None  # [pictures, 3]


class Documents:
    def __init__(self, tokenizer, stage, seed):
        self.tokenizer, self.seed = tokenizer, seed
        self.tasks, self.weights = zip(*sorted(STAGES[stage].items()))
        self.stage = stage
        self.newline = tokenizer.encode("\n", add_special_tokens=False).ids[0]

    def of_item(self, item, thinking):
        ids = self.tokenizer.encode(document.conversation(item, thinking), add_special_tokens=False).ids
        ids = document.expand_pictures(ids, IMAGE, [drawing.n_tokens(scene) for scene in item.pictures])
        return Document(ids, document.learned(ids, self.newline), item.pictures)

    def __call__(self, index):
        rng = random.Random(f"{self.seed} {self.stage} {index}")
        task = rng.choices(self.tasks, self.weights)[0]
        item = draw_chain(self.seed, index) if task == "chain" else draw(task, self.seed, f"{self.stage} {index}", "train")
        made = self.of_item(item, rng.random() < THINKING.get(item.task, THINKING_ELSEWHERE))
        made.index = index
        return made


def batch_of(rows, length, window, device):
    """rows: lists of Documents that fit into `length` together."""
    n = len(rows)
    ids, positions = np.zeros((n, length), np.int64), np.zeros((n, length), np.int64)
    owner, targets = np.full((n, length), -1, np.int64), np.full((n, length), -1, np.int64)
    scenes = []
    for r, row in enumerate(rows):
        at = 0
        for d, doc in enumerate(row):
            end = at + len(doc.ids)
            ids[r, at:end], positions[r, at:end], owner[r, at:end] = doc.ids, np.arange(len(doc.ids)), d
            learned = np.array(doc.learned[1:], bool)
            targets[r, at:end - 1] = np.where(learned, doc.ids[1:], -1)
            scenes += doc.pictures
            at = end
    place = torch.arange(length)
    owners = torch.from_numpy(owner)
    causal = place[None, :, None] >= place[None, None, :]
    mask = ((owners[:, :, None] == owners[:, None, :]) & causal)[:, None]
    batch = Batch(torch.from_numpy(ids).to(device), torch.from_numpy(positions).to(device), owners.to(device),
                  torch.from_numpy(targets).to(device), mask.to(device),
                  (mask & (place[:, None] - place[None, :] < window)).to(device))
    if scenes:
        made = [drawing.patches(drawing.draw(scene)) for scene in scenes]
        batch.patches = torch.from_numpy(np.concatenate([p for p, _ in made])).to(device)
        batch.grids = torch.tensor([grid for _, grid in made], device=device)
    return batch


class Packer:
    """Endless micro-batches of about `tokens` tokens; short documents share short rows, long ones long rows."""

    LENGTHS = (256, 1024)

    def __init__(self, documents, tokens, window, device):
        self.documents, self.tokens, self.window, self.device = documents, tokens, window, device
        self.next_index = 0
        self.waiting = {length: [] for length in self.LENGTHS}

    def state(self):
        """Where to go on: the next index, and which documents wait in unfinished rows."""
        return {"next_index": self.next_index,
                "waiting": {length: [[doc.index for doc in row] for row in rows] for length, rows in self.waiting.items()}}

    def restore(self, state):
        self.next_index = state["next_index"]
        self.waiting = {length: [[self.documents(i) for i in row] for row in rows] for length, rows in state["waiting"].items()}

    def __iter__(self):
        while True:
            doc = self.documents(self.next_index)
            self.next_index += 1
            if len(doc.ids) > self.LENGTHS[-1]:
                continue
            length = next(n for n in self.LENGTHS if len(doc.ids) <= n)
            rows = self.waiting[length]
            fits = [row for row in rows if sum(len(d.ids) for d in row) + len(doc.ids) <= length]
            if fits:  # the fullest row that still has room
                max(fits, key=lambda row: sum(len(d.ids) for d in row)).append(doc)
            elif len(rows) < self.tokens // length:
                rows.append([doc])
            else:
                self.waiting[length] = [[doc]]
                yield batch_of(rows, length, self.window, self.device)
