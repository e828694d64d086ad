"""What people read of what steps found, dropped and parted."""

from django.utils.translation import gettext_lazy

from datasets.recipes.parameters import Text

MASKED: dict[str, Text] = {
    "email": gettext_lazy("E-mail addresses"),
    "phone": gettext_lazy("Phone numbers"),
    "id_card": gettext_lazy("Identity and passport numbers"),
    "bank_card": gettext_lazy("Bank cards and IBANs"),
    "ip": gettext_lazy("IP addresses"),
    "key": gettext_lazy("Keys and tokens"),
    "name": gettext_lazy("Names"),
    "address": gettext_lazy("Postal addresses"),
}
REASONS: dict[str, Text] = {
    "too_short": gettext_lazy("too short"),
    "too_long": gettext_lazy("too long"),
    "repetitive": gettext_lazy("too repetitive"),
    "symbols": gettext_lazy("too many signs"),
    "language": gettext_lazy("another language"),
    "pattern": gettext_lazy("by the pattern"),
    "stops": gettext_lazy("the engine would stop at them"),
    "duplicate": gettext_lazy("said before"),
    "near_duplicate": gettext_lazy("nearly said before"),
    "elsewhere": gettext_lazy("said in another dataset"),
    "unfit": gettext_lazy("does not fit the format"),
    "empty": gettext_lazy("without text"),
    "too_close": gettext_lazy("too much like their row"),
    "too_far": gettext_lazy("too little like their row"),
    "unreadable": gettext_lazy("answers could not be read"),
    "cut_short": gettext_lazy("answers were cut short: raise “Longest answer in tokens”"),
    "filtered": gettext_lazy("the provider's filter broke answers off"),
    "refused": gettext_lazy("the model was not allowed to answer"),
    "poor": gettext_lazy("judged too poor"),
    "not_sampled": gettext_lazy("not drawn"),
    "joined": gettext_lazy("joined with other messages"),
    "no_conversation": gettext_lazy("without a conversation"),
    "no_order": gettext_lazy("without a time or number"),
    "speaker": gettext_lazy("by speakers who are left out"),
    "system_inside": gettext_lazy("notices within a conversation"),
    "assistant_first": gettext_lazy("said by the assistant before anybody asked"),
    "unanswered": gettext_lazy("not answered"),
    "talk_too_long": gettext_lazy("in a conversation that is too long"),
}
PARTS: dict[str, Text] = {
    "train": gettext_lazy("Training"),
    "validation": gettext_lazy("Validation"),
    "test": gettext_lazy("Test"),
}
PARTED: dict[str, Text] = {
    "several": gettext_lazy("texts or questions in several parts"),
}
VARIED: dict[str, Text] = {
    "noise": gettext_lazy("Slips of the pen"),
    "synonyms": gettext_lazy("Other words"),
}
MADE: dict[str, Text] = {
    "messages": gettext_lazy("messages in conversations"),
    "pairs": gettext_lazy("questions with answers"),
    "questions": gettext_lazy("questions"),
    "answers": gettext_lazy("answers"),
    "preference": gettext_lazy("questions with a better and a worse answer"),
    "dialogues": gettext_lazy("conversations"),
    "rewrite": gettext_lazy("rewritten"),
    "translate": gettext_lazy("translated and back"),
    "diversify": gettext_lazy("answered in other words"),
    "score_1": gettext_lazy("score 1"),
    "score_2": gettext_lazy("score 2"),
    "score_3": gettext_lazy("score 3"),
    "score_4": gettext_lazy("score 4"),
    "score_5": gettext_lazy("score 5"),
}
