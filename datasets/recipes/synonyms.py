"""A small list of words that may stand for each other in almost any sentence."""

import re

_ENGLISH = """
big large|small little|begin start|finish complete|help assist|show display|buy purchase|fast quick
explain clarify|choose select|make create|answer reply|question query|often frequently|maybe perhaps
important significant|easy simple|hard difficult|problem issue|idea thought|example instance
describe depict|improve enhance|need require|use employ|give provide|get obtain|tell inform
correct right|wrong incorrect|error mistake|method approach|result outcome|reason cause
almost nearly|quickly rapidly|happy glad|sad unhappy|smart clever|whole entire|main principal
different distinct|similar alike|rich wealthy|kind type|job task|way manner|total overall
enough sufficient|usually normally|besides moreover|however nevertheless|therefore thus
people persons|child kid|children kids|house home|car vehicle|film movie|photo picture
"""
_CHINESE = """
帮助 协助|开始 着手|结束 完结|重要 关键|简单 容易|困难 艰难|问题 疑问|方法 办法|原因 缘由|结果 成果
快速 迅速|经常 常常|可能 也许|因为 由于|所以 因此|但是 不过|如果 假如|虽然 尽管|立刻 马上|非常 十分
美丽 漂亮|高兴 开心|难过 伤心|聪明 聪慧|努力 勤奋|喜欢 喜爱|讨厌 厌恶|认为 觉得|知道 了解|告诉 告知
说明 解释|选择 挑选|使用 运用|提供 给予|获得 得到|提高 提升|减少 降低|增加 增多|改变 改动
例子 实例|主要 首要|全部 所有|大概 大约|通常 一般|必须 务必|应该 应当|目前 现在|以前 从前|最后 最终
"""
_GROUPS = [group.split() for group in re.split(r"[|\n]", _ENGLISH + _CHINESE) if group]


def _by_word() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for group in _GROUPS:
        for word in group:
            found.setdefault(word, []).extend(other for other in group if other != word)
    return found


SYNONYMS = _by_word()
_LATIN = "|".join(word for word in SYNONYMS if word.isascii())
_SIGNS = "|".join(word for word in SYNONYMS if not word.isascii())
WORDS = re.compile(rf"(?i:\b(?:{_LATIN})\b)|(?:{_SIGNS})")
