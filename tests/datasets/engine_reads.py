"""Run by the engine's own Python: what its loader makes of data sets.

Arguments: a file of cases `[{"directory", "name", "stage", "template", "cutoff_len"}]` and a folder
with `tokenizer.json`. Answers for each case: `{"lengths": […], "learnt": […]}` or `{"error": "…"}`.
"""

import json
import sys
from pathlib import Path

from llamafactory.data.loader import get_dataset
from llamafactory.data.template import get_template_and_fix_tokenizer
from llamafactory.hparams import DataArguments, ModelArguments
from transformers import PreTrainedTokenizerFast, Seq2SeqTrainingArguments

IGNORED = -100  # the label of a token that carries no loss


def read(case, tokenizer_dir, output):
    """Of the rows that the engine would train on: lengths in tokens, texts that carry loss."""
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(Path(tokenizer_dir) / "tokenizer.json"),
        eos_token="<|endoftext|>",
        pad_token="<|endoftext|>",
    )
    data = DataArguments(
        template=case.get("template", "chatml"),
        dataset=[case["name"]],
        dataset_dir=case["directory"],
        cutoff_len=case.get("cutoff_len", 100_000),
        packing=False,
        overwrite_cache=True,
    )
    template = get_template_and_fix_tokenizer(tokenizer, data)
    model = ModelArguments(model_name_or_path="none", cache_dir=str(Path(output) / "cache"))
    training = Seq2SeqTrainingArguments(output_dir=output, use_cpu=True, report_to="none")
    stage = {"dpo": "rm"}.get(case["stage"], case["stage"])
    module = get_dataset(template, model, data, training, stage, tokenizer, None)
    key = "chosen_input_ids" if stage == "rm" else "input_ids"
    rows = module["train_dataset"]
    lengths = [len(ids) for ids in rows[key]]
    if stage == "rm":
        other = [len(ids) for ids in rows["rejected_input_ids"]]
        lengths = [max(pair) for pair in zip(lengths, other, strict=True)]
    labels = rows["chosen_labels" if stage == "rm" else "labels"] if stage != "pt" else []
    learnt = [tokenizer.decode([one for one in row if one != IGNORED]) for row in labels]
    return {"lengths": lengths, "learnt": learnt}


def main():
    """Reads all cases; the answers go to the last argument's file, for the engine prints, too."""
    cases, tokenizer_dir, output, answers = sys.argv[1:]
    found = []
    for case in json.loads(Path(cases).read_text("utf-8")):
        try:
            found.append(read(case, tokenizer_dir, output))
        except Exception as error:  # noqa: BLE001  the answer to some cases
            found.append({"error": f"{type(error).__name__}: {error}"[:500]})
    Path(answers).write_text(json.dumps(found), encoding="utf-8")


main()
