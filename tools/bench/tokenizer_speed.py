#!/usr/bin/env python3
"""Speed of encoding against Hugging Face's tokenizers on one core, both runs interleaved; seconds are the
thread's CPU time, so that a busy machine disturbs little.

    tools/bench/tokenizer_speed.py BENCH TOKENIZER_JSON... [--megabytes 10] [--rounds 7]

BENCH is the executable tokenizer_bench (cmake -DEXAONE_BENCH=ON). The text is Korean and English prose with numbers,
punctuation, names nobody has seen and some code, the same for everybody: it comes from a fixed seed. The ids of both
sides are compared first; a difference ends the run. Needs the Python package tokenizers.
"""

import argparse
import os
import random
import statistics
import subprocess
import tempfile
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"
from tokenizers import Tokenizer  # noqa: E402

ENGLISH = """time person year way day thing world life hand part child eye woman place work week case point government
company number group problem fact have say get make go know take see come think look want give use find tell ask seem
feel try leave call good new first last long great little own other old right big high different small large next early
young important few public bad same able about above across after against along among around because before behind below
between beyond during except inside outside through toward under until without language model measure river mountain
season history culture science research engine memory processor sentence paragraph translation question answer reason
market economy energy music painting theatre kitchen garden winter summer morning evening railway station bridge island
harbour village teacher student doctor lawyer farmer writer reader children people system program function variable
window weather temperature pressure material structure surface quality quantity probability distribution experiment
evidence argument conclusion committee industry technology information communication transport development education
environment performance international responsibility understanding relationship organisation particularly nevertheless
immediately approximately unfortunately however therefore although whether perhaps almost always never often""".split()
SUFFIXES = ["", "", "", "", "", "s", "s", "ed", "ing", "er", "ly", "ness", "'s", "ment"]
GLUE = "the of and a to in is that it was for on are as with his they at be this from or had by but not what all were".split()
NOUNS = """사람 시간 나라 세계 문제 생각 마음 사회 문화 역사 경제 정치 교육 과학 기술 연구 언어 모형 문장 단어 질문 대답 이유 결과 방법
도시 마을 바다 강물 산길 하늘 구름 바람 겨울 여름 아침 저녁 학교 학생 선생님 친구 가족 부모님 아이 의사 농부 작가 독자 음악 그림 영화
책상 창문 부엌 정원 기차 정거장 다리 섬 항구 날씨 온도 압력 재료 구조 표면 품질 확률 분포 실험 증거 주장 결론 위원회 산업 정보 통신 교통
환경 개발 성능 책임 이해 관계 조직 대한민국 서울 부산 한국어 인공지능 처리기 기억장치 프로그램 함수 변수 시장 에너지 데이터 컴퓨터""".split()
PARTICLES = "은 는 이 가 을 를 의 에 에서 에게 으로 로 와 과 도 만 까지 부터 보다 처럼 마다 이나 라고 에는 에서는 으로부터 조차 밖에".split()
VERBS = "하 가 오 보 먹 읽 쓰 만들 배우 가르치 생각하 연구하 발전하 시작하 움직이 기다리 바라보 느끼 나누 지키 살펴보 이야기하 설명하 사용하".split()
ENDINGS = "고 지만 면서 는데 므로 니까 다 었다 습니다 겠습니다 세요 기도 려고 도록 거나 게 는 은 던 을 지 네요".split()


def hangul(rng):
    return "".join(chr(rng.randrange(0xAC00, 0xD7A4)) for _ in range(rng.randint(2, 4)))


def name(rng):
    return "".join(rng.choice("bdfghjklmnprstvz") + rng.choice("aeiou") for _ in range(rng.randint(2, 4))).capitalize()


def word(rng, ranks):
    """A word of a list, the first of it most often, as in real text."""
    return ranks[min(int(rng.expovariate(4.0 / len(ranks))), len(ranks) - 1)]


def english(rng):
    words = []
    for _ in range(rng.randint(5, 24)):
        kind = rng.random()
        if kind < 0.40:
            words.append(rng.choice(GLUE))
        elif kind < 0.93:
            words.append(word(rng, ENGLISH) + rng.choice(SUFFIXES))
        elif kind < 0.97:
            words.append(name(rng))
        else:
            words.append(rng.choice([str(rng.randint(0, 3000)), f"{rng.random() * 100:.2f}%", "don't", "I'm", "it's"]))
        if rng.random() < 0.08:
            words[-1] += rng.choice([",", ",", ";", ":", " —"])
    return " ".join(words).capitalize() + rng.choice(["."] * 8 + ["!", "?", "..."])


def korean(rng):
    words = []
    for _ in range(rng.randint(4, 15)):
        kind = rng.random()
        if kind < 0.60:
            words.append(word(rng, NOUNS) + rng.choice(PARTICLES))
        elif kind < 0.90:
            words.append(word(rng, VERBS) + rng.choice(ENDINGS))
        elif kind < 0.95:
            words.append(hangul(rng) + rng.choice(PARTICLES))
        else:
            words.append(rng.choice([f"{rng.randint(1, 12)}월", f"{rng.randint(1900, 2030)}년", f"{rng.randint(1, 99)}%",
                                     "(" + word(rng, ENGLISH) + ")", "'" + word(rng, NOUNS) + "'"]))
        if rng.random() < 0.07:
            words[-1] += ","
    return " ".join(words) + rng.choice(["다.", "요.", "습니다.", "까?", "!", "."])


def code(rng):
    a, b = rng.choice(ENGLISH), rng.choice(ENGLISH)
    return (f"\ndef {a}_{b}({b}, n={rng.randint(0, 99)}):\n    # {korean(rng)}\n"
            f"    return [{b}[i] * {rng.randint(2, 9)} for i in range(n)]\n")


def make_text(n_bytes):
    rng = random.Random(20240801)
    parts, size = [], 0
    while size < n_bytes:
        kind = rng.random()
        if kind < 0.02:
            part = code(rng)
        elif kind < 0.5:
            part = " ".join(english(rng) for _ in range(rng.randint(1, 6))) + rng.choice(["\n", "\n\n"])
        else:
            part = " ".join(korean(rng) for _ in range(rng.randint(1, 6))) + rng.choice(["\n", "\n\n"])
        parts.append(part)
        size += len(part.encode())
    return "".join(parts).encode()[:n_bytes].decode(errors="ignore")


def ours(bench, tokenizer, path):
    lines = subprocess.run([bench, tokenizer, path], check=True, capture_output=True, text=True).stdout.split("\n")
    load = float(lines[0].split()[1])
    _, n_bytes, n_tokens, ids_hash, seconds = lines[1].split()
    return load, (int(n_bytes), int(n_tokens), int(ids_hash)), float(seconds)


def hash_of(ids):
    value = 0
    for i in ids:
        value = (value * 1000003 + i) & 0xFFFFFFFFFFFFFFFF
    return value


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("bench")
    parser.add_argument("tokenizers", nargs="+")
    parser.add_argument("--megabytes", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()

    text = make_text(int(options.megabytes * 1e6))
    lines = text.splitlines(keepends=True)
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", newline="", suffix=".txt") as file:
        file.write(text)
        file.flush()
        n_bytes = len(text.encode())
        print(f"{n_bytes / 1e6:.1f} MB, {len(text.split())} words, {len(set(text.split()))} different, "
              f"{len(lines)} lines")
        for path in options.tokenizers:
            begin = time.thread_time()
            theirs = Tokenizer.from_file(path)
            their_load = time.thread_time() - begin
            ids = theirs.encode(text, add_special_tokens=False).ids
            expected = (n_bytes, len(ids), hash_of(ids))
            loads, speeds, whole, by_line = [], [], [], []
            for _ in range(options.rounds):
                load, found, seconds = ours(options.bench, path, file.name)
                if found != expected:
                    raise SystemExit(f"{path}: bytes, tokens, hash are {found}, with Hugging Face {expected}")
                loads.append(load)
                speeds.append(n_bytes / 1e6 / seconds)
                begin = time.thread_time()
                theirs.encode(text, add_special_tokens=False)
                whole.append(n_bytes / 1e6 / (time.thread_time() - begin))
                begin = time.thread_time()
                theirs.encode_batch_fast(lines, add_special_tokens=False)
                by_line.append(n_bytes / 1e6 / (time.thread_time() - begin))
            print(os.path.basename(path))
            for label, values in (("exaone.cpp encode", speeds), ("tokenizers encode", whole),
                                  ("tokenizers encode_batch_fast, a line each", by_line)):
                print(f"  {label:42} median {statistics.median(values):7.2f} MB/s, "
                      f"{min(values):7.2f} to {max(values):7.2f}")
            for label, values in (("encode", whole), ("encode_batch_fast", by_line)):
                ratios = [a / b for a, b in zip(speeds, values)]
                print(f"  ratio to {label:33} median {statistics.median(ratios):7.1f}, "
                      f"{min(ratios):.1f} to {max(ratios):.1f}")
            print(f"  load: {1e3 * statistics.median(loads):.0f} ms, tokenizers {1e3 * their_load:.0f} ms")


if __name__ == "__main__":
    main()
