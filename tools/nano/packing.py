"""Documents packed into rows of fixed length: each token sees its own document only.

Documents come from a fixed order (seed, index), so a run that is resumed at an index goes on with the same data.
"""

import random
from dataclasses import dataclass

import numpy as np
import torch

import document
import drawing
from tasks import draw, draw_chain, draw_told

IMAGE = 67
LONGEST = 768  # documents with more tokens are left out

# Share of each task among the documents.
SHARES = {"pictures": 30, "told": 14, "arithmetic": 12, "table_facts": 10, "tool_calls": 6, "sorting": 5, "words": 5, "memory": 5,
          "instructions": 5, "chain": 4, "identity": 4}
# What is no task of its own.
DRAWN = {"chain": draw_chain, "told": draw_told}
# How often a task's answer is learned with its thinking.
THINKING = {"arithmetic": 0.8, "pictures": 0.8}
THINKING_ELSEWHERE = 0.6


@dataclass
class Document:
    ids: list
    learned: list  # for each id: is it the assistant's?
    pictures: list  # scenes
    index: int = -1


@dataclass
class Batch:
    ids: torch.Tensor  # [rows, length] i64, 0 after a document's end
    targets: torch.Tensor  # [rows, length] i64: the next id where it is learned, else -1
    n_tokens: int
    n_learned: int
    n_drafted: int  # learned tokens with a token before them to draft from
    patches: torch.Tensor = None  # [patches, 1176] f32 of all pictures in order
    grids: torch.Tensor = None  # [pictures, 3]
    cells: torch.Tensor = None  # [picture tokens, 3] i64: see drawing.cells
    following: tuple = None  # where the next batch begins


class Documents:
    def __init__(self, tokenizer, seed):
        self.tokenizer, self.seed = tokenizer, seed
        self.tasks, self.weights = zip(*sorted(SHARES.items()))
        self.newline = tokenizer.encode("\n", add_special_tokens=False).ids[0]

    def of_item(self, item, thinking):
        ids = self.tokenizer.encode(document.conversation(item, thinking), add_special_tokens=False).ids
        ids = document.expand_pictures(ids, IMAGE, [drawing.n_tokens(scene) for scene in item.pictures])
        return Document(ids, document.learned(ids, self.newline), item.pictures)

    def __call__(self, index):
        rng = random.Random(f"{self.seed} document {index}")
        task = rng.choices(self.tasks, self.weights)[0]
        item = DRAWN[task](self.seed, index) if task in DRAWN else draw(task, self.seed, f"document {index}", "train")
        made = self.of_item(item, rng.random() < THINKING.get(item.task, THINKING_ELSEWHERE))
        made.index = index
        return made


def batch_of(documents, device):
    """One row a document; the rest of a shorter row is padding, which later positions alone could see."""
    length = -(-max(len(doc.ids) for doc in documents) // 8) * 8
    ids, targets = np.zeros((len(documents), length), np.int64), np.full((len(documents), length), -1, np.int64)
    for row, doc in enumerate(documents):
        n = len(doc.ids)
        ids[row, :n] = doc.ids
        targets[row, :n - 1] = np.where(np.array(doc.learned[1:], bool), doc.ids[1:], -1)
    batch = Batch(torch.from_numpy(ids).to(device), torch.from_numpy(targets).to(device), sum(len(doc.ids) for doc in documents),
                  int((targets >= 0).sum()), int((targets[:, 1:] >= 0).sum()))
    scenes = [scene for doc in documents for scene in doc.pictures]
    if scenes:
        made = [drawing.patches(drawing.draw(scene)) for scene in scenes]
        batch.patches = torch.from_numpy(np.concatenate([p for p, _ in made])).to(device)
        batch.grids = torch.tensor([grid for _, grid in made], device=device)
        batch.cells = torch.from_numpy(np.concatenate([drawing.cells(scene) for scene in scenes])).to(device)
    return batch


class Batches:
    """Endless micro-batches of about `tokens` places. Each pool of documents is cut by length, so that little is padding,
    and its batches come in an order of their own. Of several workers each takes every `stride`-th pool."""

    POOL = 512

    def __init__(self, documents, tokens, device, first=(0, 0), stride=1):
        self.documents, self.tokens, self.device, self.stride = documents, tokens, device, stride
        self.pool, self.place = first  # where to go on

    def __iter__(self):
        while True:
            batches = self._pool(self.pool)
            while self.place < len(batches):
                made = batch_of(batches[self.place], self.device)
                self.place += 1
                made.following = (self.pool, self.place)
                yield made
            self.pool, self.place = self.pool + self.stride, 0

    def _pool(self, number):
        docs = [self.documents(number * self.POOL + i) for i in range(self.POOL)]
        docs = sorted((doc for doc in docs if len(doc.ids) <= LONGEST), key=lambda doc: len(doc.ids))
        batches = []
        for doc in reversed(docs):
            if not batches or (len(batches[-1]) + 1) * len(batches[-1][0].ids) > self.tokens:
                batches.append([])
            batches[-1].append(doc)
        random.Random(f"{self.documents.seed} pool {number}").shuffle(batches)
        return batches
