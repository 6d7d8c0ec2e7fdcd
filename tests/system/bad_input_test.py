#!/usr/bin/env python3
"""Whatever is wrong with the input: the right exit code, one line on stderr, nothing on stdout."""

import json
import resource
import struct
import subprocess
import unittest

from black_box import (BAD_INPUT, BINARY, DENSE, DENSE_GGUF, HYBRID, IO, MEMORY, MODELS, NESTED, SANITIZED, UNSUPPORTED,
                       USAGE, BlackBox, edit_json, edit_safetensors_header, exaone, gguf_key, gguf_tensor, jsonl, write_safetensors)

PIECES = 16 if SANITIZED else 64


class Usage(BlackBox):
    def test_no_subcommand(self):
        self.fail_with(USAGE)

    def test_unknown_subcommand(self):
        self.fail_with(USAGE, "sing")

    def test_unknown_flag(self):
        self.fail_with(USAGE, "run", "-m", DENSE, "--frobnicate")

    def test_values_out_of_range(self):
        for flags in (["--temp", "-1"], ["--temp", "warm"], ["--top-p", "0"], ["--top-p", "1.5"], ["-n", "-3"],
                      ["-t", "0"], ["--think", "perhaps"], ["--temp", "nan"]):
            with self.subTest(flags=flags):
                self.fail_with(USAGE, "run", "-m", DENSE, "-p", "x", *flags)


class Files(BlackBox):
    def commands(self, model):
        yield ["run", "-m", model, "-p", "x", "-n", "1"]
        yield ["inspect", model]

    def refuse(self, code, model, saying=()):
        for command in self.commands(model):
            with self.subTest(command=command[0]):
                self.fail_with(code, *command, saying=saying)

    def test_missing_file(self):
        self.refuse(IO, self.scratch / "absent.gguf", ["absent.gguf"])

    def test_missing_file_with_a_line_break_in_its_name(self):
        self.refuse(IO, self.scratch / "two\nlines.gguf")

    def test_not_a_model(self):
        path = self.scratch / "notes.txt"
        path.write_text("These are notes, not weights.\n")
        self.refuse(BAD_INPUT, path, ["notes.txt"])

    def test_not_a_model_but_named_like_one(self):
        for name in ("x.gguf", "x.safetensors"):
            path = self.scratch / name
            path.write_text("These are notes, not weights.\n")
            self.refuse(BAD_INPUT, path)

    def test_empty_file(self):
        for name in ("x.gguf", "x.safetensors"):
            path = self.scratch / name
            path.touch()
            self.refuse(BAD_INPUT, path)

    def test_folder_that_is_no_model(self):
        self.scratch.joinpath("readme.txt").write_text("hello\n")
        self.refuse(BAD_INPUT, self.scratch)

    def test_shard_missing(self):
        folder = self.copy_folder(HYBRID)
        folder.joinpath("model-00002-of-00002.safetensors").unlink()
        self.refuse(IO, folder, ["model-00002-of-00002.safetensors"])

    def test_config_is_not_json(self):
        folder = self.copy_folder(DENSE)
        folder.joinpath("config.json").write_text('{"model_type": "exaone4",')
        self.refuse(BAD_INPUT, folder, ["config.json"])

    def test_unknown_architecture(self):
        folder = self.copy_folder(DENSE)
        edit_json(folder / "config.json", lambda c: c.update(model_type="parrot"))
        self.fail_with(UNSUPPORTED, "run", "-m", folder, "-p", "x", saying=["parrot"])

        data = bytearray(DENSE_GGUF.read_bytes())
        at = gguf_key(data, "general.architecture") + 4
        self.assertEqual(data[at:at + 15], struct.pack("<Q", 7) + b"exaone4")
        data[at + 8:at + 15] = b"parrot9"
        path = self.scratch / "parrot.gguf"
        path.write_bytes(data)
        self.fail_with(UNSUPPORTED, "run", "-m", path, "-p", "x", saying=["parrot9"])

    def test_unknown_tensor_type(self):
        folder = self.copy_folder(DENSE)
        edit_safetensors_header(folder / "model.safetensors",
                                lambda h: h["model.norm.weight"].update(dtype="F4_ODD"))
        self.refuse(UNSUPPORTED, folder, ["model.norm.weight"])

        data = bytearray(DENSE_GGUF.read_bytes())
        at = gguf_tensor(data, "output_norm.weight")
        struct.pack_into("<I", data, at + 4 + 8, 9999)
        path = self.scratch / "odd.gguf"
        path.write_bytes(data)
        self.refuse(UNSUPPORTED, path, ["output_norm.weight"])

    def test_wrong_shapes(self):
        def swap(header):
            header["model.layers.1.mlp.down_proj.weight"]["shape"].reverse()

        folder = self.copy_folder(DENSE)
        edit_safetensors_header(folder / "model.safetensors", swap)
        self.fail_with(BAD_INPUT, "run", "-m", folder, "-p", "x",
                       saying=["model.layers.1.mlp.down_proj.weight", 128, 256])

        data = bytearray(DENSE_GGUF.read_bytes())
        at = gguf_tensor(data, "blk.1.ffn_down.weight") + 4
        width, height = struct.unpack_from("<QQ", data, at)
        struct.pack_into("<QQ", data, at, height, width)
        path = self.scratch / "swapped.gguf"
        path.write_bytes(data)
        self.fail_with(BAD_INPUT, "run", "-m", path, "-p", "x", saying=["blk.1.ffn_down.weight", 128, 256])

    def test_shape_larger_than_the_file(self):
        folder = self.copy_folder(DENSE)
        edit_safetensors_header(folder / "model.safetensors",
                                lambda h: h["model.norm.weight"].update(shape=[2**62, 2**62]))
        self.refuse(BAD_INPUT, folder, ["model.norm.weight"])

        data = bytearray(DENSE_GGUF.read_bytes())
        struct.pack_into("<Q", data, gguf_tensor(data, "output_norm.weight") + 4, 2**60)
        path = self.scratch / "huge.gguf"
        path.write_bytes(data)
        self.refuse(BAD_INPUT, path, ["output_norm.weight"])

    def test_tensor_missing(self):
        folder = self.copy_folder(DENSE)
        edit_safetensors_header(folder / "model.safetensors", lambda h: h.update(
            {"model.layers.0.self_attn.v_proj.weird": h.pop("model.layers.0.self_attn.v_proj.weight")}))
        self.fail_with(BAD_INPUT, "run", "-m", folder, "-p", "x", saying=["model.layers.0.self_attn.v_proj.wei"])

    def test_config_that_contradicts_itself(self):
        for changes in ({"num_attention_heads": 5}, {"num_hidden_layers": 0}, {"rms_norm_eps": "small"},
                        {"head_dim": -32}, {"num_hidden_layers": 10**9}, {"vocab_size": 10**12}):
            with self.subTest(changes=changes):
                folder = self.copy_folder(DENSE)
                edit_json(folder / "config.json", lambda c, changes=changes: c.update(changes))
                self.fail_with(BAD_INPUT, "run", "-m", folder, "-p", "x")
                for file in folder.iterdir():
                    file.unlink()
                folder.rmdir()

    def test_no_tokenizer(self):
        folder = self.copy_folder(DENSE)
        folder.joinpath("tokenizer.json").unlink()
        self.fail_with(BAD_INPUT, "run", "-m", folder, "-p", "x", saying=["tokenizer"])

        data = DENSE_GGUF.read_bytes().replace(b"tokenizer.ggml.", b"tokenizer.none.")
        path = self.scratch / "mute.gguf"
        path.write_bytes(data)
        self.fail_with(BAD_INPUT, "run", "-m", path, "-p", "x", saying=["tokenizer"])

    def test_tokenizer_larger_than_the_model(self):
        def narrow(header):
            entry = header["model.embed_tokens.weight"]
            entry["shape"][0] -= 100
            begin, end = entry["data_offsets"]
            gap = 100 * entry["shape"][1] * 2
            header["spare"] = {"dtype": "BF16", "shape": [100, entry["shape"][1]], "data_offsets": [end - gap, end]}
            entry["data_offsets"] = [begin, end - gap]

        folder = self.copy_folder(DENSE)
        edit_safetensors_header(folder / "model.safetensors", narrow)
        edit_json(folder / "config.json", lambda c: c.update(vocab_size=900))
        self.fail_with(BAD_INPUT, "run", "-m", folder, "-p", "x")


class Memory(BlackBox):
    LIMIT_BYTES = 512 << 20

    @unittest.skipIf(SANITIZED, "a sanitizer needs address space of its own")
    def test_weights_that_do_not_fit(self):
        folder = self.copy_folder(DENSE)
        path = folder / "model.safetensors"
        data = path.read_bytes()
        length = struct.unpack_from("<Q", data)[0]
        header, n_rows, body = json.loads(data[8:8 + length]), 4_000_000, b""
        embedding = header.pop("model.embed_tokens.weight")
        for name, entry in header.items():
            if name != "__metadata__":
                begin, end = entry["data_offsets"]
                entry["data_offsets"] = [len(body), len(body) + end - begin]
                body += data[8 + length + begin:8 + length + end]
        embedding["shape"][0] = n_rows
        total = len(body) + n_rows * embedding["shape"][1] * 2
        embedding["data_offsets"] = [len(body), total]
        text = json.dumps({**header, "model.embed_tokens.weight": embedding}).encode()
        with open(path, "wb") as file:
            file.write(struct.pack("<Q", len(text)) + text + body)
            file.truncate(8 + len(text) + total)  # the embedding is a hole: a gigabyte that takes no disk
        edit_json(folder / "config.json", lambda c: c.update(vocab_size=n_rows))
        done = subprocess.run([BINARY, "run", "-m", folder, "-p", "x", "-n", "1"], capture_output=True, check=False,
                              timeout=120, preexec_fn=lambda: resource.setrlimit(
                                  resource.RLIMIT_AS, (self.LIMIT_BYTES, self.LIMIT_BYTES)))
        self.assertEqual((done.returncode, done.stdout), (MEMORY, b""), done.stderr)
        self.assertTrue(done.stderr.startswith(b"exaone: ") and done.stderr.count(b"\n") == 1, done.stderr)


class Truncated(BlackBox):
    """A file cut anywhere is refused before anything is printed."""

    def test_gguf(self):
        whole = DENSE_GGUF.read_bytes()
        path = self.scratch / "cut.gguf"
        for i in range(PIECES):
            path.write_bytes(whole[:len(whole) * i // PIECES])
            with self.subTest(part=f"{i}/{PIECES}"):
                self.fail_with(BAD_INPUT, "run", "-m", path, "-p", "x", "-n", "1", saying=["cut.gguf"])
                self.fail_with(BAD_INPUT, "inspect", path, saying=["cut.gguf"])

    def test_safetensors(self):
        folder = self.copy_folder(NESTED)
        path = folder / "model.safetensors"
        whole = path.read_bytes()
        for i in range(PIECES):
            path.write_bytes(whole[:len(whole) * i // PIECES])
            with self.subTest(part=f"{i}/{PIECES}"):
                self.fail_with(BAD_INPUT, "run", "-m", folder, "-p", "x", "-n", "1", saying=["model.safetensors"])

    def test_tokenizer_json(self):
        whole = (DENSE / "tokenizer.json").read_bytes()
        path = self.scratch / "tokenizer.json"
        for i in range(PIECES):
            path.write_bytes(whole[:len(whole) * i // PIECES])
            with self.subTest(part=f"{i}/{PIECES}"):
                self.fail_with(BAD_INPUT, "tokenize", "-m", path, stdin=b"x", saying=["tokenizer.json"])


class Prompts(BlackBox):
    def test_longer_than_the_context(self):
        line = self.fail_with(BAD_INPUT, "run", "-m", DENSE, "-c", "64", stdin=b"one two three four " * 100)
        self.assertIn("64", line)
        n_tokens = [int(word) for word in line.replace(",", " ").split() if word.isdigit() and int(word) > 64]
        self.assertTrue(n_tokens, f"expected the number of prompt tokens in: {line}")

    def test_context_beyond_the_model(self):
        done = exaone("run", "-m", DENSE, "-c", "100000000", "-p", "x", "-n", "1")
        self.assertIn(done.returncode, (USAGE, BAD_INPUT))

    def test_invalid_utf8(self):
        for stdin in (b"abc\xff", b"\xc3", b"\xed\xa0\x80", b"\xf5\x80\x80\x80"):
            for command in (["run", "-m", DENSE, "-n", "1"], ["tokenize", "-m", DENSE]):
                with self.subTest(stdin=stdin, command=command[0]):
                    self.fail_with(BAD_INPUT, *command, stdin=stdin, saying=["UTF-8"])

    def test_template_error(self):
        template = self.scratch / "chat.jinja"
        request = jsonl([{"messages": [{"role": "user", "content": "x"}]}])
        for text in ("{% if messages %}", "{{ raise_exception('no luck today') }}", "{{ messages[0] + 1 }}",
                     "{% for i in range(1000000000) %}x{% endfor %}"):
            with self.subTest(template=text):
                template.write_text(text)
                self.fail_with(BAD_INPUT, "template", "--template", template, stdin=request)
        folder = self.copy_folder(DENSE)
        folder.joinpath("chat_template.jinja").write_text("{{ raise_exception('no luck today') }}")
        self.fail_with(BAD_INPUT, "run", "-m", folder, "-p", "x", saying=["no luck today"])

    def test_broken_requests(self):
        for stdin in (b"{", b"[]\n", b"null\n", b'{"messages": 1}\n', b"[" * 100_000,
                      b'{"messages": [{"role": "user", "content": "\xff"}]}\n'):
            with self.subTest(stdin=stdin[:40]):
                self.fail_with(BAD_INPUT, "template", "-m", DENSE, "--jsonl", stdin=stdin)

    def test_broken_ids(self):
        for stdin in (b"12 x", b"999999999", b"-1", b"99999999999999999999999"):
            with self.subTest(stdin=stdin):
                self.fail_with(BAD_INPUT, "tokenize", "-m", DENSE, "--detokenize", stdin=stdin)


class References(BlackBox):
    def test_reference_of_another_model(self):
        self.fail_with(BAD_INPUT, "verify", "-m", DENSE, "--reference", NESTED / "reference.safetensors")

    def test_missing_reference(self):
        self.fail_with(IO, "verify", "-m", DENSE, "--reference", MODELS / "absent.safetensors")

    def test_output_that_cannot_be_written(self):
        self.fail_with(IO, "logits", "-m", DENSE, "--input", self.input(), "--output", "/proc/none/out.safetensors")

    def test_ids_outside_the_vocabulary(self):
        self.fail_with(BAD_INPUT, "logits", "-m", DENSE, "--input", self.input([1, 1000]), "--output",
                       self.scratch / "out.safetensors")
        self.assertFalse((self.scratch / "out.safetensors").exists())

    def input(self, ids=(1, 2, 3)):
        path = self.scratch / "in.safetensors"
        write_safetensors(path, {"ids": list(ids)})
        return path


if __name__ == "__main__":
    unittest.main()
