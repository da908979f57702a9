"""The model and the tokenizer that the tests of both trainers share."""

import torch
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from medcopilot.train import attention

VOCABULARY = 24


def tiny_model(seed: int = 0, scale: float = 8.0) -> Qwen2ForCausalLM:
    torch.manual_seed(seed)
    model = Qwen2ForCausalLM(Qwen2Config(vocab_size=VOCABULARY, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
                                         num_key_value_heads=2, intermediate_size=24, max_position_embeddings=64,
                                         tie_word_embeddings=True, bos_token_id=None, eos_token_id=1, pad_token_id=0))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.mul_(scale)
    attention.register()
    model.set_attn_implementation(attention.NAME)
    return model


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    inner = Tokenizer(models.WordLevel({f"w{n}": n for n in range(VOCABULARY)}, unk_token="w0"))
    return PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="w1", pad_token="w0")
