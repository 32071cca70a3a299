"""TRL's side of the comparison of GRPO steps: trl_peer.py SHAPE DTYPE THREADS, SHAPE a JSON object.

GRPOTrainer on a Llama model of these shapes with random weights and a tokenizer of words that are numbers, so that nothing
is downloaded. Requests, one a line: prepare grpo PROMPTS GROUP PROMPT TOKENS; run, one step of the trainer; release. Every
answer is a line of JSON. Ends with 77 where TRL, transformers or PyTorch is missing.
"""

import json
import os
import resource
import shutil
import sys
import tempfile
import time

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error", TOKENIZERS_PARALLELISM="false")
answers, sys.stdout = sys.stdout, sys.stderr  # the trainer prints, too

try:
    import torch
    import trl
    from datasets import Dataset
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, TrainerCallback
    from trl import GRPOConfig, GRPOTrainer
except ImportError as error:
    print(f"TRL: not compared with, {error}; --python PATH names an interpreter that has it", file=sys.stderr)
    sys.exit(77)

shape = json.loads(sys.argv[1])
if sys.argv[2] != "float32" or shape["qkvBias"]:
    sys.exit(f"expected a Llama shape in float32 but received {sys.argv[1:3]}")
torch.set_num_threads(int(sys.argv[3]))
torch.manual_seed(1)
padding = shape["vocabSize"] - 1  # a zero row of the embedding: at the start of a prompt its gradient has no bounds
folder = tempfile.mkdtemp()


def say(**what):
    print(json.dumps(what), file=answers, flush=True)


def reward(completion_ids, **_):
    return [sum(id % 2 for id in ids) / len(ids) for ids in completion_ids]


class OnRequest(TrainerCallback):
    """Holds every step until it is asked for; answers when it is done."""

    prepared = False

    def on_step_begin(self, args, state, control, **_):
        if not self.prepared:  # as others, it answers when all is allocated; the first step is not timed
            self.start = None
            return
        line = sys.stdin.readline().strip()
        if line != "run":
            if line not in ("", "release"):
                say(error=f"expected run or release but received {line}")
            else:
                say()
            shutil.rmtree(folder)
            os._exit(0)  # the trainer has no way out of a step that did not begin
        self.start = time.perf_counter()

    def on_step_end(self, args, state, control, **_):
        if self.start is None:
            self.prepared = True
            say()
            return
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        say(seconds=time.perf_counter() - self.start, peak=peak)


def tokenizer():
    words = {str(i): i for i in range(shape["vocabSize"])}
    model = Tokenizer(models.WordLevel(words, unk_token="0"))
    model.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=model, pad_token=str(padding), eos_token="1", bos_token="2")


def train(prompts, group, length, tokens):
    config = LlamaConfig(
        vocab_size=shape["vocabSize"],
        hidden_size=shape["hiddenSize"],
        intermediate_size=shape["intermediateSize"],
        num_hidden_layers=shape["layers"],
        num_attention_heads=shape["heads"],
        num_key_value_heads=shape["kvHeads"],
        head_dim=shape["headDim"],
        rms_norm_eps=shape["rmsNormEps"],
        tie_word_embeddings=True,
        pad_token_id=padding,
        eos_token_id=1,
        bos_token_id=2,
    )
    rows = [{"prompt": " ".join(str((i * 7919 + 13 * p) % 500) for i in range(length))} for p in range(4 * prompts)]
    args = GRPOConfig(
        output_dir=folder,
        per_device_train_batch_size=prompts * group,
        num_generations=group,
        max_completion_length=tokens,
        generation_kwargs={"min_new_tokens": tokens},  # no completion ends early
        max_steps=1000,
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        dataloader_pin_memory=False,
        report_to="none",
        logging_strategy="no",
        save_strategy="no",
        disable_tqdm=True,
    )
    GRPOTrainer(
        model=LlamaForCausalLM(config),
        reward_funcs=reward,
        args=args,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer(),
        callbacks=[OnRequest()],
    ).train()


say(name="TRL", detail=f"{trl.__version__}, PyTorch {torch.__version__}, {torch.get_num_threads()} threads")
words = sys.stdin.readline().split()
try:
    if words[:2] != ["prepare", "grpo"]:
        raise ValueError(f"expected prepare grpo PROMPTS GROUP PROMPT TOKENS but received {words}")
    train(*map(int, words[2:]))
except Exception as error:  # the driver decides what a failure means
    say(error=f"{type(error).__name__}: {error}")
