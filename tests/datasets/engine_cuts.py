"""Run by the engine's own Python: how many tokens of each row it keeps, and what its templates are.

Arguments: a file that names `cases` (each with `directory`, `stage` and `limits`), `tokenizers`
(their folders) and `templates`; a folder to work in; the file for the answers. Of these `templates`
are the engine's by name, and `kept` the lengths of all rows in tokens, by tokenizer and template,
for each case and each limit. A preference has two; for pretraining they are those of blocks. None
for a row at which the engine stops.
"""

import json
import sys
from pathlib import Path

from llamafactory.data import loader
from llamafactory.data.mm_plugin import get_mm_plugin
from llamafactory.data.template import get_template_and_fix_tokenizer
from llamafactory.hparams import DataArguments, ModelArguments
from trainer_runtime.description import templates
from transformers import AutoTokenizer, Seq2SeqTrainingArguments

COLUMNS = {"rm": ("chosen_input_ids", "rejected_input_ids")}


def arguments(case, template, limit):
    """What a training of this case is told of its data."""
    return DataArguments(
        template=template,
        dataset=["it"],
        dataset_dir=case["directory"],
        cutoff_len=limit,
        packing=case["stage"] == "pt",
        overwrite_cache=True,
    )


def lengths(case, examples, data, template, tokenizer):
    """Tokens of each row after the step of the engine's loader that makes them."""
    processor = loader._get_dataset_processor(data, case["stage"], template, tokenizer, None)
    names = COLUMNS.get(case["stage"], ("input_ids",))

    def made(some):
        found = processor.preprocess_dataset(some)
        columns = [found[name] for name in names]
        return [[len(ids) for ids in row] for row in zip(*columns, strict=True)]

    def alone(place):
        try:
            (row,) = made({name: [column[place]] for name, column in examples.items()})
        except (RuntimeError, TypeError, ValueError):
            return None
        return row

    if case["stage"] == "pt":
        return made(examples)
    return [alone(place) for place in range(len(examples["_prompt"]))]


def main():
    """Loads each case once; then the engine makes tokens of it for each template and limit."""
    asked, output, answers = sys.argv[1:]
    asked = json.loads(Path(asked).read_text("utf-8"))
    model = ModelArguments(model_name_or_path="none", cache_dir=str(Path(output) / "cache"))
    training = Seq2SeqTrainingArguments(output_dir=output, use_cpu=True, report_to="none")
    cases = []
    for case in asked["cases"]:
        data = arguments(case, "empty", 1)
        rows = loader._get_merged_dataset(["it"], model, data, training, case["stage"])
        cases.append((case, rows[:]))
    kept = {folder: {} for folder in asked["tokenizers"]}
    for folder, found in kept.items():
        for name in asked["templates"]:
            tokenizer = AutoTokenizer.from_pretrained(folder)
            template = get_template_and_fix_tokenizer(tokenizer, arguments(cases[0][0], name, 1))
            template.mm_plugin = get_mm_plugin("base")  # those for images want an image processor
            found[name] = [
                [
                    lengths(case, rows, arguments(case, name, limit), template, tokenizer)
                    for limit in case["limits"]
                ]
                for case, rows in cases
            ]
    told = {"templates": templates(), "kept": kept}
    Path(answers).write_text(json.dumps(told), encoding="utf-8")


main()
