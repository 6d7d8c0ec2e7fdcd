"""The held-out suite: accuracy of each task, with thinking and without.

    python tools/nano/evaluate.py FOLDER [--items 1000]                      through transformers
    python tools/nano/evaluate.py FILE.gguf --exaone build/release/exaone    through the engine, one process an item
    python tools/nano/evaluate.py FOLDER --drafts                            how often the first draft is right

Both ways answer the same items greedily. --json FILE keeps every answer, --compare A B counts where two such files differ.
"""

import argparse
import json
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tqdm import tqdm

from tasks import TASKS, draw
from tasks.item import judge, split_output

SEED = 2026
MOST_TOKENS = 300


def suite(task, n):
    """The first n held-out items; of those with pictures the ones whose last message holds them."""
    items, index = [], 0
    while len(items) < n:
        item = draw(task, SEED, index, "test")
        index += 1
        if not item.pictures or not isinstance(item.messages[-1]["content"], str):
            items.append(item)
    return items


def shown(content, calls):
    return content + "".join(json.dumps(call, ensure_ascii=False) for call in calls)


class Transformers:
    def __init__(self, folder, batch, dtype):
        import torch
        from tokenizers import Tokenizer
        from transformers import Exaone4_5_ForConditionalGeneration
        self.torch, self.batch = torch, batch
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.tokenizer = Tokenizer.from_file(str(Path(folder) / "tokenizer.json"))
        self.model = Exaone4_5_ForConditionalGeneration.from_pretrained(folder, dtype=getattr(torch, dtype),
                                                                       attn_implementation="sdpa").to(self.device).eval()

    def answers(self, items, thinking):
        """Raw texts; rows of similar length share a batch."""
        import document
        import drawing
        prompts = []
        for item in items:
            ids = self.tokenizer.encode(document.prompt(item, thinking), add_special_tokens=False).ids
            prompts.append(document.expand_pictures(ids, 67, [drawing.n_tokens(s) for s in item.pictures]))
        order = sorted(range(len(items)), key=lambda i: len(prompts[i]))
        texts = [None] * len(items)
        for at in tqdm(range(0, len(order), self.batch), leave=False):
            chosen = order[at:at + self.batch]
            made = [drawing.patches(drawing.draw(s)) for i in chosen for s in items[i].pictures]
            for i, ids in zip(chosen, self._greedy([prompts[i] for i in chosen], made)):
                texts[i] = self.tokenizer.decode(ids, skip_special_tokens=False)
        return texts

    def _greedy(self, prompts, made):
        torch = self.torch
        longest = max(map(len, prompts))
        ids = torch.tensor([[0] * (longest - len(p)) + p for p in prompts], device=self.device)
        mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts], device=self.device)
        more = {}
        if made:
            more = {"pixel_values": torch.cat([torch.from_numpy(p) for p, _ in made]).to(self.device),
                    "image_grid_thw": torch.tensor([g for _, g in made], device=self.device)}
        written, going, cache = [[] for _ in prompts], [True] * len(prompts), None
        with torch.inference_mode():
            for _ in range(MOST_TOKENS):
                out = self.model(input_ids=ids, attention_mask=mask, past_key_values=cache, use_cache=True, logits_to_keep=1, **more)
                cache, more = out.past_key_values, {}
                ids = out.logits[:, -1].argmax(-1, keepdim=True)
                for row, token in enumerate(ids[:, 0].tolist()):
                    going[row] = going[row] and token != 53
                    if going[row]:
                        written[row].append(token)
                if not any(going):
                    break
                mask = torch.cat([mask, mask.new_ones(len(prompts), 1)], 1)
        return written

    def judged(self, items, thinking):
        for item, text in zip(items, self.answers(items, thinking)):
            content, calls = split_output(text, thinking)
            yield shown(content, calls or []), judge(item.check, content, calls)


class Engine:
    def __init__(self, exaone, model, parallel):
        self.exaone, self.model, self.parallel = exaone, model, parallel

    def _run(self, item, thinking):
        with tempfile.TemporaryDirectory() as folder:
            command = [self.exaone, "run", "-m", self.model, "--json", "--think", "on" if thinking else "off", "--temp", "0",
                       "-n", str(MOST_TOKENS), "-t", "1"]
            messages = item.messages
            if item.pictures:
                import drawing
                messages = messages[:-1]
                command += ["-p", "".join(part.get("text", "") for part in item.messages[-1]["content"])]
                for n, scene in enumerate(item.pictures):
                    drawing.draw(scene).save(f"{folder}/{n}.png")
                    command += ["--image", f"{folder}/{n}.png"]
            if messages:
                # The engine asks that each result names its call.
                messages = json.loads(json.dumps(messages))
                for n, call in enumerate(c for m in messages for c in m.get("tool_calls", [])):
                    call["id"] = f"call_{n}"
                for n, message in enumerate(m for m in messages if m["role"] == "tool"):
                    message["tool_call_id"] = f"call_{n}"
                Path(folder, "messages.json").write_text(json.dumps(messages, ensure_ascii=False))
                command += ["--messages", f"{folder}/messages.json"]
            if item.tools:
                Path(folder, "tools.json").write_text(json.dumps(item.tools, ensure_ascii=False))
                command += ["--tools", f"{folder}/tools.json"]
            done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
        return json.loads(done.stdout)

    def judged(self, items, thinking):
        with ThreadPoolExecutor(self.parallel) as pool:
            for item, made in zip(items, tqdm(pool.map(lambda i: self._run(i, thinking), items), total=len(items), leave=False)):
                calls = [{"name": c["function"]["name"], "arguments": json.loads(c["function"]["arguments"])} for c in made["tool_calls"]]
                finished = made["finish_reason"] != "length"
                yield shown(made["content"], calls), finished and judge(item.check, made["content"], calls)


def first_drafts(folder, n):
    """Share of right first drafts along the held-out answers, per task: teacher-forced, in fp32."""
    import torch
    from safetensors.torch import load_file
    from tokenizers import Tokenizer
    from model import Nano
    from packing import Documents, batch_of
    tokenizer = Tokenizer.from_file(str(Path(folder) / "tokenizer.json"))
    nano = Nano(tokenizer.get_vocab_size()).eval()
    weights = load_file(Path(folder) / "model.safetensors")
    nano.main.load_state_dict({k: v for k, v in weights.items() if not k.startswith("mtp.")}, strict=False)
    nano.mtp.load_state_dict({k[4:]: v for k, v in weights.items() if k.startswith("mtp.")})
    documents = Documents(tokenizer, SEED)
    for task in TASKS:
        right = drafted = 0
        for item in suite(task, n):
            batch = batch_of([documents.of_item(item, True)], "cpu")
            with torch.inference_mode():
                right += int(nano.losses(batch, True)["right"])
            drafted += batch.n_drafted
        print(f"{task:14}{right / drafted:8.3f}  of {drafted} drafts")


def compare(first, second):
    one, two = (json.loads(Path(p).read_text()) for p in (first, second))
    for name in sorted(one.keys() & two.keys()):
        same = sum(a["answer"].strip() == b["answer"].strip() for a, b in zip(one[name], two[name]))
        print(f"{name:28}{same} of {min(len(one[name]), len(two[name]))} answers equal")


def main():
    parser = argparse.ArgumentParser(description="Measure EXAONE-nano on its held-out suite")
    parser.add_argument("model", nargs="?", help="a Hugging Face folder, or a GGUF file with --exaone")
    parser.add_argument("--exaone", help="the engine's binary")
    parser.add_argument("--items", type=int, default=1000, help="items of each task")
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=list(TASKS))
    parser.add_argument("--batch", type=int, default=50)
    parser.add_argument("--dtype", default="bfloat16", choices=("bfloat16", "float32"))
    parser.add_argument("--parallel", type=int, default=2, help="engine processes at a time")
    parser.add_argument("--json", help="file for every answer")
    parser.add_argument("--drafts", action="store_true")
    parser.add_argument("--compare", nargs=2, metavar=("A", "B"))
    options = parser.parse_args()
    if options.compare:
        return compare(*options.compare)
    if options.drafts:
        return first_drafts(options.model, options.items)
    asked = (Engine(options.exaone, options.model, options.parallel) if options.exaone
             else Transformers(options.model, options.batch, options.dtype))
    kept = {}
    print(f"{'task':14}{'thinking':>10}{'without':>10}   of {options.items} held-out items")
    for task in options.tasks:
        items, shares = suite(task, options.items), []
        for thinking in (True, False):
            results = list(asked.judged(items, thinking))
            kept[f"{task} {'thinking' if thinking else 'without'}"] = [
                {"key": item.key, "answer": text, "right": right} for item, (text, right) in zip(items, results)]
            shares.append(sum(right for _, right in results) / len(results))
        print(f"{task:14}{shares[0]:10.3f}{shares[1]:10.3f}", flush=True)
        if options.json:
            Path(options.json).write_text(json.dumps(kept, ensure_ascii=False, indent=1))


if __name__ == "__main__":
    main()
