"""Every language that is told by name, on sentences that people write to assistants."""

import pytest

from datasets.choices import LANGUAGE_NAMES
from datasets.recipes.languages import LANGUAGES, Recogniser
from datasets.statistics import languages

SENTENCES = {
    "zh": ["请帮我写一封请假邮件。", "这台冰箱为什么一直响？", "把下面的数字从小到大排列。"],
    "en": [
        "Please write me a letter of complaint.",
        "Why does my old fridge make this noise?",
        "Sort the following numbers by size.",
    ],
    "ja": [
        "休暇届のメールを書いてください。",
        "冷蔵庫がうるさいのはなぜですか。",
        "次の数字を並べ替えて。",
    ],
    "ko": [
        "휴가 신청 이메일을 써 주세요.",
        "냉장고에서 왜 소리가 나나요?",
        "다음 숫자를 정렬해 주세요.",
    ],
    "de": [
        "Bitte schreibe mir eine Beschwerde an den Vermieter.",
        "Warum brummt mein Kühlschrank so laut?",
        "Sortiere die folgenden Zahlen der Größe nach.",
    ],
    "fr": [
        "Écris-moi une lettre de réclamation, s'il te plaît.",
        "Pourquoi mon frigo fait-il ce bruit ?",
        "Classe les nombres suivants par ordre croissant.",
    ],
    "es": [
        "Escríbeme una carta de queja, por favor.",
        "¿Por qué hace ruido mi nevera vieja?",
        "Ordena los siguientes números de menor a mayor.",
    ],
    "pt": [
        "Escreva uma carta de reclamação, por favor.",
        "Por que a minha geladeira faz esse barulho?",
        "Não sei onde fica a estação de trem.",
    ],
    "it": [
        "Scrivimi una lettera di reclamo, per favore.",
        "Perché il mio vecchio frigorifero fa rumore?",
        "Vorrei prenotare un tavolo per due persone.",
    ],
    "nl": [
        "Schrijf alsjeblieft een klachtenbrief voor mij.",
        "Waarom maakt mijn oude koelkast zoveel lawaai?",
        "Zet de volgende getallen op volgorde van grootte.",
    ],
    "pl": [
        "Napisz mi proszę list z reklamacją.",
        "Dlaczego moja stara lodówka tak hałasuje?",
        "Gdzie jest najbliższy przystanek autobusowy?",
    ],
    "ru": [
        "Напишите, пожалуйста, письмо с жалобой.",
        "Почему мой старый холодильник шумит?",
        "Расположи эти числа по возрастанию.",
    ],
    "uk": [
        "Напишіть, будь ласка, листа зі скаргою.",
        "Чому мій старий холодильник шумить?",
        "Їжак живе у лісі й щовечора шукає їжу.",
    ],
    "el": [
        "Γράψε μου ένα γράμμα παραπόνων.",
        "Γιατί κάνει θόρυβο το ψυγείο μου;",
        "Καλημέρα, τι κάνεις;",
    ],
    "ar": ["من فضلك اكتب لي رسالة شكوى.", "لماذا تصدر ثلاجتي هذا الصوت؟", "رتب الأرقام التالية."],
    "he": ["כתוב לי בבקשה מכתב תלונה.", "למה המקרר שלי עושה רעש?", "שלום, מה שלומך היום?"],
    "hi": ["कृपया मेरे लिए एक शिकायत पत्र लिखें।", "मेरा फ्रिज शोर क्यों करता है?", "नमस्ते, आप कैसे हैं?"],
    "id": [
        "Tolong tuliskan surat pengaduan untuk saya.",
        "Mengapa kulkas lama saya berisik sekali?",
        "Saya ingin pergi ke pasar untuk membeli sayur.",
    ],
    "th": ["ช่วยเขียนจดหมายร้องเรียนให้หน่อย", "ทำไมตู้เย็นของฉันถึงเสียงดัง", "สวัสดีครับ วันนี้อากาศดีมาก"],
    "tr": [
        "Lütfen bana bir şikayet mektubu yaz.",
        "Eski buzdolabım neden bu kadar ses çıkarıyor?",
        "Bugün hava çok güzel, parka gidelim mi?",
    ],
    "vi": [
        "Hãy viết cho tôi một lá thư khiếu nại.",
        "Tại sao tủ lạnh cũ của tôi kêu to thế?",
        "Hôm nay trời đẹp quá, chúng ta đi chơi nhé.",
    ],
}


@pytest.fixture(scope="module")
def recogniser() -> Recogniser:
    return Recogniser()


@pytest.mark.parametrize("code", LANGUAGES)
def test_a_language_is_told(recogniser, code) -> None:
    assert [recogniser.language(text) for text in SENTENCES[code]] == [code] * 3


def test_all_that_can_be_told_has_a_number_and_a_name() -> None:
    assert set(languages.LANGUAGES) == set(LANGUAGE_NAMES)
    assert languages.LANGUAGES[:5] == ("", "zh", "en", "mixed", "other")
    assert len(set(languages.LANGUAGES)) == len(languages.LANGUAGES)
