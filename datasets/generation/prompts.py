"""What models are asked, in Chinese and English."""

import re

HAN_SHARE = 0.2  # of a text's letters, from which on it counts as Chinese
PLACES = frozenset({"text", "count", "language"})
_PLACE = re.compile(r"\{([a-z_]{1,40})\}")
_HAN = re.compile("[\u3400-\u9fff]")

SYSTEM = {
    "zh": "你负责为训练语言模型制作数据。只输出所要求的内容，不要任何解释。",
    "en": "You make data for training language models. Write what is asked for and nothing else.",
}
LANGUAGE = {
    "zh": {
        "text": "原文所用的语言", "zh": "中文", "en": "英文", "ja": "日文",
        "fr": "法文", "de": "德文", "es": "西班牙文", "ru": "俄文",
    },
    "en": {
        "text": "the language of the text", "zh": "Chinese", "en": "English", "ja": "Japanese",
        "fr": "French", "de": "German", "es": "Spanish", "ru": "Russian",
    },
}  # fmt: skip
TASKS: dict[str, dict[str, str]] = {
    "pairs": {
        "zh": "根据下面的文本，用{language}写出 {count} 个互不相同的问题或指令，"
        "并给出完整、准确的回答。"
        "问题不看文本也要能读懂，不要提及“文本”或“文中”；回答只依据文本。\n\n文本：\n{text}",
        "en": "From the text below write {count} different questions or instructions in {language},"
        " each with a complete and correct answer. A question must be understood without the text"
        " and not mention it; an answer relies on the text alone.\n\nText:\n{text}",
    },
    "questions": {
        "zh": "根据下面的文本，用{language}写出 {count} 个互不相同、文本能够回答的问题。"
        "问题不看文本也要能读懂，不要提及“文本”或“文中”。\n\n文本：\n{text}",
        "en": "Write {count} different questions in {language} that the text below answers. A"
        " question must be understood without the text and not mention it.\n\nText:\n{text}",
    },
    "answers": {
        "zh": "请用{language}完整、准确地回答下面的问题。"
        "如附有资料，只依据资料回答，但不要提及资料。\n\n{text}",
        "en": "Answer the question below in {language}, completely and correctly. Where material"
        " is given, rely on it alone and do not mention it.\n\n{text}",
    },
    "preference": {
        "zh": "根据下面的文本，用{language}写出 {count} 个互不相同的问题，"
        "每个问题给出一个好回答（准确、完整）"
        "和一个差回答（看似合理，但有错误、遗漏或含糊）。问题不看文本也要能读懂。\n\n文本：\n{text}",
        "en": "From the text below write {count} different questions in {language}, each with a"
        " good answer (correct and complete) and a bad one (plausible, but wrong, incomplete or"
        " vague). A question must be understood without the text.\n\nText:\n{text}",
    },
    "dialogues": {
        "zh": "根据下面的文本，用{language}写出 {count} 段用户与助手之间的多轮对话，"
        "每段 2 到 4 轮，助手只依据文本回答，双方都不提及文本。\n\n文本：\n{text}",
        "en": "From the text below write {count} conversations in {language} between a user and an"
        " assistant, of 2 to 4 exchanges each. The assistant relies on the text alone; neither"
        " mentions it.\n\nText:\n{text}",
    },
    "rewrite": {
        "zh": "用{language}换一种说法改写下面的文本，"
        "意思、事实、数字、代码和占位符保持不变。{style}\n\n{text}",
        "en": "Rewrite the text below in other words, in {language}. Meaning, facts, numbers, code"
        " and placeholders stay as they are. {style}\n\n{text}",
    },
    "translate": {
        "zh": "把下面的文本翻译成{language}。数字、代码和占位符保持不变。\n\n{text}",
        "en": "Translate the text below into {language}. Numbers, code and placeholders stay as"
        " they are.\n\n{text}",
    },
    "diversify": {
        "zh": "下面是一个问题和它的回答。"
        "请用{language}写出另一个同样正确的回答，换一种结构和措辞。{style}\n\n{text}",
        "en": "Below are a question and its answer. Write another answer in {language} that is"
        " as correct, with other words and another structure. {style}\n\n{text}",
    },
    "judge": {
        "zh": "请评价下面这条训练数据的质量，给出 1（无法使用）到 5（优秀）的整数分。"
        "{style}\n\n{text}",
        "en": "Judge the quality of the training example below with a whole number from 1"
        " (useless) to 5 (excellent). {style}\n\n{text}",
    },
}
# How the answer must be written, so that it can be read; added to every task, also to own ones.
FORMS: dict[str, dict[str, str]] = {
    "pairs": {
        "zh": '只输出 JSON 数组：[{"question": "…", "answer": "…"}]',
        "en": 'Write a JSON array only: [{"question": "…", "answer": "…"}]',
    },
    "questions": {
        "zh": '只输出 JSON 字符串数组：["…", "…"]',
        "en": 'Write a JSON array of strings only: ["…", "…"]',
    },
    "answers": {"zh": "只输出回答本身。", "en": "Write the answer only."},
    "preference": {
        "zh": '只输出 JSON 数组：[{"question": "…", "good": "…", "bad": "…"}]',
        "en": 'Write a JSON array only: [{"question": "…", "good": "…", "bad": "…"}]',
    },
    "dialogues": {
        "zh": '只输出 JSON 数组，每段对话是一个字符串数组，用户与助手交替，用户先说：[["…", "…"]]',
        "en": "Write a JSON array only; each conversation is an array of strings, user and"
        ' assistant in turn, the user first: [["…", "…"]]',
    },
    "rewrite": {"zh": "只输出改写后的文本。", "en": "Write the new text only."},
    "translate": {"zh": "只输出译文。", "en": "Write the translation only."},
    "diversify": {"zh": "只输出新的回答。", "en": "Write the new answer only."},
    "judge": {
        "zh": '只输出 JSON 对象：{"score": 3, "reason": "一句话"}',
        "en": 'Write a JSON object only: {"score": 3, "reason": "one sentence"}',
    },
}


def language_of(text: str) -> str:
    """`zh` or `en`: in which of them to ask about a text."""
    letters = sum(map(str.isalpha, text))
    return "zh" if len(_HAN.findall(text)) > HAN_SHARE * letters else "en"


def places_unknown(template: str) -> list[str]:
    """Places of an own template that nothing is put into."""
    return [name for name in _PLACE.findall(template) if name not in PLACES]


def messages_of(
    task: str, text: str, *, into: str = "text", template: str = "", **values: object
) -> list[dict[str, str]]:
    """The question about a text, with an answer in the language `into`; `text` is its own.

    `template` takes the place of the task's own words; how to write the answer is always said.
    """
    language = into if into in TASKS[task] else language_of(text)
    given = {"style": "", **values, "text": text, "language": LANGUAGE[language][into]}
    words = _PLACE.sub(
        lambda match: str(given.get(match[1], match[0])), template or TASKS[task][language]
    )
    return [
        {"role": "system", "content": SYSTEM[language]},
        {"role": "user", "content": f"{words}\n\n{FORMS[task][language]}"},
    ]
