from __future__ import annotations

import pytest

from knowledge.language_code import SAMPLE, language_code

TEXTS = {
    "en": "Travel is booked by the office, and receipts have to be handed in after it.",
    "de": "Reisen werden vom Büro gebucht, und Belege sind nach zehn Tagen einzureichen.",
    "fr": "Les voyages sont réservés par le bureau, et les reçus sont remis dans les dix jours.",
    "es": "Los viajes los reserva la oficina, y los recibos se entregan en un plazo de diez días.",
    "it": "I viaggi sono prenotati dall'ufficio e le ricevute vanno consegnate entro dieci giorni.",
    "pt": "As viagens são reservadas pelo escritório e os recibos não podem ser entregues depois.",
    "nl": "Reizen worden door het kantoor geboekt en de bonnen zijn na tien dagen in te leveren.",
    "sv": "Resor bokas av kontoret och kvitton ska lämnas in till oss efter resan, inte före den.",
    "pl": "Podróże są rezerwowane przez biuro, a rachunki należy oddać w ciągu dziesięciu dni.",
    "tr": "Seyahatler ofis tarafından ayrılır ve makbuzlar on gün içinde teslim edilir, daha sonra "
    "değil, çünkü bu kural için bir istisna yok.",
    "ru": "Поездки заказывает бюро, и чеки нужно сдать не позже чем через десять дней.",
    "uk": "Поїздки замовляє бюро, і чеки треба здати не пізніше ніж за десять днів після подорожі.",
    "ar": "يحجز المكتب الرحلات وتسلم الإيصالات خلال عشرة أيام.",
    "fa": "سفرها را دفتر رزرو می‌کند و رسیدها باید تا ده روز تحویل داده شوند.",
    "ja": "出張は事務所が予約し、領収書は十日以内に提出する。",
    "zh": "出差由办公室预订，收据应在十天内提交。",
    "ko": "출장은 사무실에서 예약하고 영수증은 열흘 안에 제출한다.",
    "el": "Τα ταξίδια τα κλείνει το γραφείο.",
    "he": "הנסיעות מוזמנות על ידי המשרד.",
    "hi": "यात्राएँ कार्यालय द्वारा बुक की जाती हैं।",
    "th": "สำนักงานจองการเดินทาง",
}


@pytest.mark.parametrize("language", TEXTS)
def test_a_sentence_is_enough(language: str) -> None:
    assert language_code(TEXTS[language]) == language


@pytest.mark.parametrize(
    "text", ["", "4711 0815 12,5 %", "INV-2024/017", "Zebra Otter", "\U0001f5fc !?", "A7:F7 | | |"]
)
def test_what_does_not_tell_is_unknown(text: str) -> None:
    assert language_code(text) == ""


def test_most_of_a_text_decides() -> None:
    quoted = f"{TEXTS['en']} {TEXTS['en']} „{TEXTS['de']}“ {TEXTS['en']}"
    assert language_code(quoted) == "en"
    assert language_code(f"{TEXTS['zh'] * 3} (OECD, 2024)") == "zh"


def test_a_long_text_is_read_at_its_beginning_middle_and_end() -> None:
    figures = "4711 " * SAMPLE
    assert language_code(f"{figures}{TEXTS['de'] * 20}{figures}") == "de"
    assert language_code(f"{figures}{figures}{TEXTS['ru'] * 20}") == "ru"
