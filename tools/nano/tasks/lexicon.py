"""The words the toy world is made of, in Korean and English, and the particles Korean needs after them."""

PEOPLE = {
    "en": ("Anna Ben Carl Dora Emma Finn Grace Hugo Ida Jack Kate Leo Mia Noah Olga Paul Rosa Sam Tina Uma Victor Wendy "
           "Yara Zoe Alan Bella Cora David Ella Frank Gina Henry Iris Jonas Lily Max Nora Oscar Peter Ruth").split(),
    "ko": ("민수 지영 서연 하준 도윤 수아 지호 예은 현우 유진 은지 태민 소라 준영 혜진 동현 미나 성훈 가영 재석 "
           "다은 우진 나영 상민 보라 영호 지은 승현 정아 경수 윤서 하늘 민지 건우 세진 아라 진호 수빈 라온 규리").split(),
}

# English → Korean. The English word of a thing is its singular; PLURALS holds what is not "+s".
CITIES = dict(zip(
    "Seoul Busan Daegu Incheon Gwangju Daejeon Ulsan Suwon Jeju Tokyo Osaka Paris London Berlin Madrid Rome Vienna Oslo "
    "Cairo Lima Delhi Hanoi Bangkok Sydney Toronto Boston Chicago Dallas Dublin Prague".split(),
    "서울 부산 대구 인천 광주 대전 울산 수원 제주 도쿄 오사카 파리 런던 베를린 마드리드 로마 빈 오슬로 "
    "카이로 리마 델리 하노이 방콕 시드니 토론토 보스턴 시카고 댈러스 더블린 프라하".split()))
THINGS = dict(zip(
    "apple pear grape peach melon lemon plum cherry banana orange book pen cup bag hat key lamp ball clock chair coin "
    "stone shell rose candle ticket stamp button brush spoon".split(),
    "사과 배 포도 복숭아 멜론 레몬 자두 체리 바나나 오렌지 책 펜 컵 가방 모자 열쇠 램프 공 시계 의자 동전 "
    "돌 조개 장미 양초 표 우표 단추 붓 숟가락".split()))
ANIMALS = dict(zip(
    "dog cat horse cow pig sheep goat duck hen fox wolf bear deer lion tiger rabbit mouse frog snake turtle whale shark "
    "eagle owl crow ant bee spider monkey camel".split(),
    "개 고양이 말 소 돼지 양 염소 오리 닭 여우 늑대 곰 사슴 사자 호랑이 토끼 쥐 개구리 뱀 거북이 고래 상어 "
    "독수리 올빼미 까마귀 개미 벌 거미 원숭이 낙타".split()))
NATURE = dict(zip(
    "river mountain sea cloud rain snow wind fire tree leaf flower grass sun moon star sky road house door window bread "
    "milk tea salt sugar rice soup paper letter song".split(),
    "강 산 바다 구름 비 눈 바람 불 나무 잎 꽃 풀 해 달 별 하늘 길 집 문 창문 빵 우유 차 소금 설탕 쌀 국 종이 편지 노래".split()))
COLORS = dict(zip("red blue green yellow black white orange purple".split(),
                  "빨간 파란 초록 노란 검은 하얀 주황 보라".split()))
COLOR_NOUNS = dict(zip(COLORS, "빨간색 파란색 초록색 노란색 검은색 하얀색 주황색 보라색".split()))
CONTAINERS = dict(zip("box basket drawer jar bag shelf".split(), "상자 바구니 서랍 병 가방 선반".split()))
WORDS = {"en": list(THINGS) + list(ANIMALS) + list(NATURE),
         "ko": list(THINGS.values()) + list(ANIMALS.values()) + list(NATURE.values())}

_PLURALS = {"peach": "peaches", "cherry": "cherries", "brush": "brushes"}


def plural(word, n):
    if n == 1:
        return word
    return _PLURALS.get(word, word + "s")


def _ends_in(text):
    """The final consonant of the last syllable as it is read aloud: 0 none, 8 ㄹ, another number another one."""
    last = text[-1]
    if "가" <= last <= "힣":
        return (ord(last) - 0xAC00) % 28
    if last.isdigit():
        return {"0": 21, "1": 8, "2": 0, "3": 16, "4": 0, "5": 0, "6": 1, "7": 8, "8": 8, "9": 0}[last]
    return 0 if last.lower() in "aeiouy" else 4


def josa(text, pair):
    """text with the particle that fits it: josa("책", "은는") is "책은"; "으로" stands for 으로/로."""
    final = _ends_in(text)
    if pair == "으로":
        return text + ("로" if final in (0, 8) else "으로")
    if pair == "이에요":
        return text + ("이에요" if final else "예요")
    return text + (pair[0] if final else pair[1])
