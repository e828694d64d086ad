"""Run by the engine's own Python: at which rows its chat templates stop.

Arguments: a file with `rows` (each with `messages`, `system` and `tools`), a folder to work in and
the file for the answers: by name of all templates, whether they stop at each row; and `templates`.
"""

import json
import sys
from pathlib import Path

from llamafactory.data.template import TEMPLATES
from trainer_runtime.description import templates


class Characters:
    """Parts texts into characters: what a template does with a row depends on no tokenizer."""

    bos_token_id = eos_token_id = 0

    def encode(self, text, add_special_tokens):
        """One number for each character."""
        return list(map(ord, text))

    def convert_tokens_to_ids(self, token):
        """Any token is the same."""
        return 0


class Processor:
    """Whatever a model that takes files has to prepare these, of which there are none."""

    def __getattr__(self, name):
        """Anything that is asked for."""
        if name.endswith(("_token", "_sequence")):
            return ""
        if name.endswith("_kernel_size"):
            return (1, 1)
        return 1 if name.endswith("size") else Processor()


def stops(template, row):
    """Whether the engine's loader would end with an exception at the row."""
    try:
        template.mm_plugin.process_messages(row["messages"], [], [], [], Processor())
        template.encode_multiturn(Characters(), row["messages"], row["system"], row["tools"])
    except Exception:  # noqa: BLE001  any of them ends the training
        return True
    return False


def main():
    """Asks every template about every row."""
    asked, _output, answers = sys.argv[1:]
    rows = json.loads(Path(asked).read_text("utf-8"))
    found = {name: [stops(one, row) for row in rows] for name, one in TEMPLATES.items()}
    told = {"stops": found, "templates": templates()}
    Path(answers).write_text(json.dumps(told), encoding="utf-8")


main()
